"""A recurrence over time with a derivative of its own.

    z_t = x_t @ kernel + h_{t-1} @ recurrent_kernel + bias
    state_t = form(z_t, state_{t-1})

The tangent of the scan is one linear map (`linear.linear_map`) of the tangents of what
is added to z and of the first state; kernels, biases and inputs act on it from outside,
so that their gradients are one product each after the backward scan instead of a sum
over its steps. Derivatives of the second order are jax's own, of both scans.

Time comes first: x [T, N, D], kernel [D, P], recurrent_kernel [H, K], bias [Z], states
[N, H], z [N, Z], mask [T, N, 1]. The first P of Z are what the inputs add to, the last
K what the state does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.recurrent.forms import Form
from cnn_jax.ops.recurrent.linear import linear_map
from cnn_jax.ops.recurrent.parameters import add_bias

Arrays = tuple[Array, ...]


@dataclass(frozen=True)
class Recurrence:
    """What is static: the cell's form and how time is gone through."""

    form: Form
    reverse: bool
    unroll: int

    def scan(self, body, init, steps, backward: bool = False):
        """lax.scan in the recurrence's direction of time, or against it."""
        reverse = self.reverse != backward
        return lax.scan(body, init, steps, reverse=reverse, unroll=self.unroll)


class Weights(NamedTuple):
    """Joined kernels [D, P] and [H, K], and a bias [Z] or None."""

    kernel: Array
    recurrent_kernel: Array
    bias: Array | None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def recur(
    recurrence: Recurrence,
    weights: Weights,
    inputs: Array,
    state: Arrays,
    mask: Array | None,
) -> tuple[Arrays, Array]:
    """The recurrence from `state`, which a false mask keeps as it is.

    Args:
      recurrence: form, direction and unrolling.
      weights: of one dtype.
      inputs: [T, N, D], of that dtype.
      state: tuple of [N, H], the last one h; its dtype may be wider.
      mask: bool [T, N, 1] or None.

    Returns:
      (state after the last step, h of all steps [T, N, H]).
    """
    steps, project = hoisted(weights.kernel, inputs)

    def body(before: Arrays, step: tuple) -> tuple[Arrays, Array]:
        inputs, live = step
        z = _sums(recurrence.form, project(inputs), before[-1], weights)
        after = keep_ended(live, recurrence.form.advance(z, before)[0], before)
        return after, after[-1]

    return recurrence.scan(body, state, (steps, mask))


@recur.defjvp
def _recur_jvp(recurrence: Recurrence, primals: tuple, tangents: tuple) -> tuple:
    weights, inputs, state, mask = primals
    dweights, dinputs, dstate, _ = tangents
    form = recurrence.form
    steps, project = hoisted(weights.kernel, inputs)

    def body(before: Arrays, step: tuple) -> tuple[Arrays, tuple[Arrays, Arrays]]:
        inputs, live = step
        z = _sums(form, project(inputs), before[-1], weights)
        after, kept = form.advance(z, before)
        after = keep_ended(live, after, before)
        return after, (after, kept)

    last, (after, kept) = recurrence.scan(body, state, (steps, mask))
    before = tuple(map(partial(_shifted, recurrence), after, state))
    from_inputs = dinputs @ weights.kernel + inputs @ dweights.kernel
    dz = _sums(form, from_inputs, before[-1], dweights)
    live = () if mask is None else (mask,)
    num_states, masked = len(state), mask is not None
    *dlast, dh = linear_map(
        _Push(recurrence, num_states, masked),
        _Pull(recurrence, num_states, masked),
        (dz, *dstate),
        (weights.recurrent_kernel, *after, *before, *kept, *live),
    )
    return (last, after[-1]), (tuple(dlast), dh)


def hoisted(kernel: Array, inputs: Array) -> tuple[Array, Callable[[Array], Array]]:
    """What to scan over, and what makes a step of it inputs @ kernel.

    One product before the scan, unless a step's own is cheaper than to write its result
    and read it again: the kernel then is small beside the batch, and stays in cache.
    """
    if inputs.shape[-1] > 4 * inputs.shape[1]:
        return inputs @ kernel, lambda projected: projected
    return inputs, lambda step: step @ kernel


class _Tangents(NamedTuple):
    """The residuals of a linear map by what they are."""

    kernel: Array
    after: Arrays
    before: Arrays
    kept: Arrays
    mask: Array | None


@dataclass(frozen=True)
class _Map:
    """A linear map is known by its recurrence, so that compilations are kept by it."""

    recurrence: Recurrence
    num_states: int
    masked: bool

    def named(self, residuals: Arrays) -> _Tangents:
        kernel, *rest = residuals
        mask = rest.pop() if self.masked else None
        n = self.num_states
        parts = (tuple(rest[:n]), tuple(rest[n : 2 * n]), tuple(rest[2 * n :]))
        return _Tangents(kernel, *parts, mask)


@dataclass(frozen=True)
class _Push(_Map):
    """(dz of all steps, tangent of the first state) -> (of the last, of every h)."""

    def __call__(self, operands: Arrays, residuals: Arrays) -> Arrays:
        dz, *dstate = operands
        kernel, *steps = self.named(residuals)
        form, dtype = self.recurrence.form, dstate[-1].dtype

        def body(dbefore: Arrays, step: tuple) -> tuple[Arrays, Array]:
            dz, (after, before, kept, live) = step
            dz = _add_shared(form, dz, dbefore[-1].astype(kernel.dtype) @ kernel)
            dafter = form.push(
                _cast(kept, dtype), before, after, dz.astype(dtype), dbefore
            )
            dafter = keep_ended(live, dafter, dbefore)
            return dafter, dafter[-1]

        last, dh = self.recurrence.scan(body, tuple(dstate), (dz, steps))
        return (*last, dh)


@dataclass(frozen=True)
class _Pull(_Map):
    """The transpose of `_Push`: emits dz only, against the direction of time."""

    def __call__(self, operands: Arrays, residuals: Arrays) -> Arrays:
        *dlast, dh = operands
        kernel, *steps = self.named(residuals)
        form, dtype = self.recurrence.form, dh.dtype

        def body(dafter: Arrays, step: tuple) -> tuple[Arrays, Array]:
            dh, (after, before, kept, live) = step
            dafter = (*dafter[:-1], dafter[-1] + dh)
            zeros = tuple(map(jnp.zeros_like, dafter))
            entering, passing = dafter, zeros
            if live is not None:
                entering = keep_ended(live, dafter, zeros)
                passing = keep_ended(live, zeros, dafter)
            dz, dbefore = form.pull(_cast(kept, dtype), before, after, entering)
            dz = dz.astype(kernel.dtype)
            from_z = _shared(form, dz, kernel) @ kernel.T
            dbefore = (*dbefore[:-1], dbefore[-1] + from_z.astype(dtype))
            return tuple(a + b for a, b in zip(dbefore, passing, strict=True)), dz

        first, dz = self.recurrence.scan(body, tuple(dlast), (dh, steps), backward=True)
        return (dz, *first)


def _sums(form: Form, from_inputs: Array, h: Array, weights: Weights) -> Array:
    """z: the inputs enter its first blocks, the state its last."""
    from_state = h.astype(from_inputs.dtype) @ weights.recurrent_kernel
    if form.num_unshared:
        size = _unshared_size(form, from_state)
        middle = from_inputs[..., size:] + from_state[..., :-size]
        parts = [from_inputs[..., :size], middle, from_state[..., -size:]]
        z = jnp.concatenate(parts, axis=-1)
    else:
        z = from_inputs + from_state
    return add_bias(z, weights.bias)


def _add_shared(form: Form, dz: Array, from_state: Array) -> Array:
    """dz with what the state adds to its last blocks."""
    if not form.num_unshared:
        return dz + from_state
    size = _unshared_size(form, from_state)
    return jnp.concatenate([dz[..., :size], dz[..., size:] + from_state], axis=-1)


def _unshared_size(form: Form, from_state: Array) -> int:
    shared_or_state = form.num_blocks - form.num_unshared
    return form.num_unshared * from_state.shape[-1] // shared_or_state


def _shared(form: Form, dz: Array, kernel: Array) -> Array:
    """The part of dz that the state enters."""
    return dz[..., dz.shape[-1] - kernel.shape[-1] :] if form.num_unshared else dz


def keep_ended(live: Array | None, new: Arrays, old: Arrays) -> Arrays:
    """The new state where the sequence still runs."""
    if live is None:
        return new
    return tuple(jnp.where(live, a, b) for a, b in zip(new, old, strict=True))


def _cast(arrays: Arrays, dtype) -> Arrays:
    return tuple(array.astype(dtype) for array in arrays)


def _shifted(recurrence: Recurrence, after: Array, first: Array) -> Array:
    """The state before each step, from the states after."""
    if recurrence.reverse:
        return jnp.concatenate([after[1:], first[None]])
    return jnp.concatenate([first[None], after[:-1]])
