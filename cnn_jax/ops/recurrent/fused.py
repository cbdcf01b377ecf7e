"""A recurrence over time with a derivative of its own.

    state_t = form(x_t @ kernel + bias, h_{t-1} @ recurrent_kernel + recurrent_bias,
                   state_{t-1})

The tangent of the scan is one linear map (`linear.linear_map`) of the tangents dz of
what the gates see and of the first state; kernels, biases and inputs act on it from
outside, so that their gradients are one product each after the backward scan instead of
a sum over its steps. Derivatives of the second order are jax's own, of both scans.

Time comes first: x [T, N, D], kernel [D, P], recurrent_kernel [H, K], states [N, H],
dz a tuple of [T, N, some H], mask [T, N, 1].
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.platforms import on_cpu
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


class Gates(NamedTuple):
    """Kernels [D, H] and [H, H] of the gates in the form's order, and what is added.

    Not joined yet: a gradient to a part of joined kernels would be padded with zeros.
    """

    kernels: Arrays
    recurrent_kernels: Arrays
    biases: Arrays | None
    recurrent_biases: Arrays | None

    def joined(self) -> "Weights":
        biases, recurrent_biases = self.biases, self.recurrent_biases
        return Weights(
            jnp.concatenate(self.kernels, axis=-1),
            jnp.concatenate(self.recurrent_kernels, axis=-1),
            None if biases is None else jnp.concatenate(biases),
            None if recurrent_biases is None else jnp.concatenate(recurrent_biases),
        )


class Weights(NamedTuple):
    """Kernels [D, P] and [H, K] of all gates; what is added, [P] and [K], or None."""

    kernel: Array
    recurrent_kernel: Array
    bias: Array | None
    recurrent_bias: Array | None

    def of_inputs(self, inputs: Array) -> Array:
        """What a step's inputs give: [N, P]."""
        return add_bias(inputs @ self.kernel, self.bias)

    def of_state(self, h: Array) -> Array:
        """What the state gives: [N, K]."""
        product = h.astype(self.kernel.dtype) @ self.recurrent_kernel
        return add_bias(product, self.recurrent_bias)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def recur(
    recurrence: Recurrence,
    gates: Gates,
    inputs: Array,
    state: Arrays,
    mask: Array | None,
) -> tuple[Arrays, Array]:
    """The recurrence from `state`, which a false mask keeps as it is.

    Args:
      recurrence: form, direction and unrolling.
      gates: of one dtype.
      inputs: [T, N, D], of that dtype.
      state: tuple of [N, H], the last one h; its dtype may be wider, while slopes are
        kept in the gates'.
      mask: bool [T, N, 1] or None.

    Returns:
      (state after the last step, h of all steps [T, N, H]).
    """
    weights = gates.joined()
    steps, project = hoisted(weights, inputs)

    def body(before: Arrays, step: tuple) -> tuple[Arrays, Array]:
        step, live = step
        of_state = weights.of_state(before[-1])
        after, _ = recurrence.form.advance(project(step), of_state, before)
        return keep_ended(live, after, before), before[-1]

    last, h = recurrence.scan(body, state, (steps, mask))
    return last, _outputs(recurrence, h, last)


@recur.defjvp
def _recur_jvp(recurrence: Recurrence, primals: tuple, tangents: tuple) -> tuple:
    gates, inputs, state, mask = primals
    dgates, dinputs, dstate, _ = tangents
    weights = gates.joined()
    form, dtype = recurrence.form, inputs.dtype
    steps, project = hoisted(weights, inputs)

    # The state before each step is kept, not the one after: it is what the gradient to
    # the recurrent kernel is a product with.
    def body(before: Arrays, step: tuple) -> tuple[Arrays, tuple[Array, Arrays]]:
        step, live = step
        of_state = weights.of_state(before[-1])
        after, slopes = form.advance(project(step), of_state, before)
        return keep_ended(live, after, before), (before[-1], _cast(slopes, dtype))

    last, (h, slopes) = recurrence.scan(body, state, (steps, mask))
    dz = form.moved(
        slopes,
        partial(_moved_inputs, gates, dgates, inputs, dinputs),
        partial(_moved_state, dgates, h.astype(dtype)),
    )
    live = () if mask is None else (mask,)
    num_parts, masked = len(dz), mask is not None
    *dlast, dh = linear_map(
        _Push(recurrence, num_parts, masked),
        _Pull(recurrence, num_parts, masked),
        (*dz, *dstate),
        (weights.recurrent_kernel, *slopes, *live),
    )
    return (last, _outputs(recurrence, h, last)), (tuple(dlast), dh)


def _outputs(recurrence: Recurrence, before: Array, last: Arrays) -> Array:
    """h after every step, from h before every step.

    The function and its rule both take it from here: vmap needs them to put the mapped
    axis in one place.
    """
    if recurrence.reverse:
        return jnp.concatenate([last[-1][None], before[:-1]])
    return jnp.concatenate([before[1:], last[-1][None]])


def hoisted(weights: Weights, inputs: Array) -> tuple[Array, Callable[[Array], Array]]:
    """What to scan over, and what makes a step of it inputs @ kernel + bias.

    One product before the scan, unless a step's own is cheaper than to write its result
    and read it again: on a CPU the kernel, small beside the batch, stays in cache.
    """
    if not on_cpu() or inputs.shape[-1] > 4 * inputs.shape[1]:
        product = _product(inputs, weights.kernel)
        return add_bias(product, weights.bias), lambda projected: projected
    return inputs, weights.of_inputs


def _moved_inputs(
    gates: Gates, dgates: Gates, inputs: Array, dinputs: Array, begin: int, end: int
) -> Array:
    """The tangent of what the inputs give to some of the gates, at all steps."""
    kernels, dkernels = gates.kernels[begin:end], dgates.kernels[begin:end]
    moved = _product(dinputs, jnp.concatenate(kernels, axis=-1))
    moved += _product(inputs, jnp.concatenate(dkernels, axis=-1))
    return _add_biases(moved, dgates.biases, begin, end)


def _moved_state(dgates: Gates, h: Array, begin: int, end: int) -> Array:
    """The same of what the state gives, while the state itself is held."""
    dkernels = dgates.recurrent_kernels[begin:end]
    moved = _product(h, jnp.concatenate(dkernels, axis=-1))
    return _add_biases(moved, dgates.recurrent_biases, begin, end)


def _add_biases(moved: Array, biases: Arrays | None, begin: int, end: int) -> Array:
    bias = None if biases is None else jnp.concatenate(biases[begin:end])
    return add_bias(moved, bias)


def _product(arrays: Array, kernel: Array) -> Array:
    """[..., D] @ [D, P] with one axis of rows.

    The gradient to the kernel then is a product of two matrices as they lie, where
    several axes of rows would have one of them copied transposed.
    """
    num_rows = math.prod(arrays.shape[:-1])
    rows = arrays.reshape(num_rows, arrays.shape[-1]) @ kernel
    return rows.reshape(*arrays.shape[:-1], kernel.shape[-1])


@dataclass(frozen=True)
class _Map:
    """A linear map is known by its recurrence, so that compilations are kept by it."""

    recurrence: Recurrence
    num_parts: int
    masked: bool

    def named(self, residuals: Arrays) -> tuple[Array, Arrays, Array | None]:
        """The recurrent kernel, the slopes of all steps, the mask."""
        kernel, *slopes = residuals
        mask = slopes.pop() if self.masked else None
        return kernel, tuple(slopes), mask


@dataclass(frozen=True)
class _Push(_Map):
    """(dz of all steps, tangent of the first state) -> (of the last, of every h)."""

    def __call__(self, operands: Arrays, residuals: Arrays) -> Arrays:
        dz, dstate = operands[: self.num_parts], operands[self.num_parts :]
        kernel, slopes, mask = self.named(residuals)
        form, dtype = self.recurrence.form, dstate[-1].dtype

        def body(dbefore: Arrays, step: tuple) -> tuple[Arrays, Array]:
            dz, slopes, live = step
            moved = dbefore[-1].astype(kernel.dtype) @ kernel
            hidden = dbefore[-1].shape[-1]
            by_state = form.moved(
                slopes,
                lambda begin, end: jnp.zeros((), kernel.dtype),
                lambda begin, end: moved[..., begin * hidden : end * hidden],
            )
            dz = _cast(map(jnp.add, dz, by_state), dtype)
            dafter = form.push(_cast(slopes, dtype), dz, dbefore)
            dafter = keep_ended(live, dafter, dbefore)
            return dafter, dafter[-1]

        last, dh = self.recurrence.scan(body, dstate, (dz, slopes, mask))
        return (*last, dh)


@dataclass(frozen=True)
class _Pull(_Map):
    """The transpose of `_Push`: emits dz only, against the direction of time."""

    def __call__(self, operands: Arrays, residuals: Arrays) -> Arrays:
        *dlast, dh = operands
        kernel, slopes, mask = self.named(residuals)
        form, dtype = self.recurrence.form, dh.dtype

        def body(dafter: Arrays, step: tuple) -> tuple[Arrays, Arrays]:
            dh, slopes, live = step
            dafter = (*dafter[:-1], dafter[-1] + dh)
            dz, of_state, dbefore = form.pull(_cast(slopes, dtype), dafter)
            from_z = of_state.astype(kernel.dtype) @ kernel.T
            dbefore = (*dbefore[:-1], dbefore[-1] + from_z.astype(dtype))
            dz = _cast(dz, kernel.dtype)
            dz = keep_ended(live, dz, tuple(map(jnp.zeros_like, dz)))
            return keep_ended(live, dbefore, dafter), dz

        first, dz = self.recurrence.scan(
            body, tuple(dlast), (dh, slopes, mask), backward=True
        )
        return (*dz, *first)


def keep_ended(live: Array | None, new: Arrays, old: Arrays) -> Arrays:
    """The new state where the sequence still runs."""
    if live is None:
        return new
    return tuple(jnp.where(live, a, b) for a, b in zip(new, old, strict=True))


def _cast(arrays: Iterable[Array], dtype: Any) -> Arrays:
    return tuple(array.astype(dtype) for array in arrays)
