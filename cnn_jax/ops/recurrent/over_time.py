"""How every layer goes through time: axes, lengths, direction and chunks.

Inputs are [*N, T, D]; a mask [*N, T] tells which steps lie within the lengths.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.meshes import varying_alike
from cnn_jax.ops.platforms import on_cpu
from cnn_jax.ops.recurrent.parameters import Params
from cnn_jax.ops.recurrent.plans import Plan


class Time(NamedTuple):
    """How a layer goes through time."""

    lengths: ArrayLike | None
    reverse: bool
    keep_order: bool
    unroll: int | None
    chunk_length: int | None


def over_time(
    make_plan: Callable[[Params, Array], Plan],
    params: Params,
    inputs: ArrayLike,
    carry: Any,
    time: Time,
) -> tuple[tuple[Array, ...], Array]:
    """A layer from its plan: batch axes merged, time first, chunk by chunk."""
    inputs = jnp.asarray(inputs)
    num_steps, batch = check_time(inputs)
    mask = mask_of(time.lengths, num_steps, batch)
    plan = make_plan(params, inputs)
    state = plan.state(carry, batch)
    merged = math.prod(batch)
    state = tuple(part.reshape(merged, part.shape[-1]) for part in state)
    steps = live_inputs(inputs, mask).reshape(merged, num_steps, inputs.shape[-1])
    masks = None if mask is None else mask.reshape(merged, num_steps).T[..., None]
    arrays, tree = jax.tree.flatten((plan.gates, state, steps, masks))
    gates, state, steps, masks = jax.tree.unflatten(tree, varying_alike(*arrays))
    plan = plan._replace(gates=gates)
    unroll = steps_at_once() if time.unroll is None else time.unroll
    run = partial(plan.run, reverse=time.reverse, unroll=unroll)
    state, outputs = _in_chunks(
        run, state, (steps.swapaxes(0, 1), masks), time.chunk_length, time.reverse
    )
    outputs = outputs.swapaxes(0, 1).reshape(*batch, num_steps, outputs.shape[-1])
    state = tuple(part.reshape(*batch, part.shape[-1]) for part in state)
    flip = time.reverse and not time.keep_order
    return state, ordered(outputs, mask, flip)


def steps_at_once() -> int:
    """Steps per iteration where the caller leaves them open.

    An accelerator waits for each iteration's launches; more than eight gain nothing
    and take longer to compile (benchmarks/README.md).
    """
    return 1 if on_cpu() else 8


def _in_chunks(
    run: Callable[..., tuple[Any, Array]],
    state: Any,
    steps: Any,
    length: int | None,
    reverse: bool,
) -> tuple[Any, Array]:
    """run(state, *steps); reverse mode keeps only the state before each chunk."""
    if length is None:
        return run(state, *steps)
    if length < 1:
        raise ValueError(f"chunk_length: expected None or at least 1, got {length}")
    run = jax.checkpoint(run, prevent_cse=False)
    num_steps = steps[0].shape[0]
    num_chunks, rest = divmod(num_steps, length)
    # The steps that fill no chunk are the last to be computed.
    cut = rest if reverse else num_steps - rest
    whole, left = (slice(cut, None), slice(None, cut))[:: 1 if reverse else -1]
    parts = []
    if num_chunks:
        chunks = jax.tree.map(
            lambda x: x[whole].reshape(num_chunks, length, *x.shape[1:]), steps
        )
        state, outputs = lax.scan(
            lambda state, chunk: run(state, *chunk), state, chunks, reverse=reverse
        )
        parts.append(outputs.reshape(num_chunks * length, *outputs.shape[2:]))
    if rest:
        state, outputs = run(state, *jax.tree.map(lambda x: x[left], steps))
        parts.append(outputs)
    return state, jnp.concatenate(parts[::-1] if reverse else parts)


def check_time(inputs: Array) -> tuple[int, tuple[int, ...]]:
    """T and *N."""
    if inputs.ndim < 2 or inputs.shape[-2] < 1:
        raise ValueError(
            f"inputs: expected [*N, T, D] with T >= 1, got shape {inputs.shape}"
        )
    return inputs.shape[-2], inputs.shape[:-2]


def mask_of(
    lengths: ArrayLike | None, num_steps: int, batch: tuple[int, ...]
) -> Array | None:
    """Which steps lie within the lengths: bool [*N, T]."""
    if lengths is None:
        return None
    given, lengths = lengths, jnp.asarray(lengths)
    if lengths.shape != batch or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"lengths: expected integers of shape {batch}, got {lengths.dtype} of "
            f"shape {lengths.shape}"
        )
    if not isinstance(given, jax.core.Tracer) and lengths.size:
        known = np.asarray(given)
        low, high = known.min(), known.max()
        if low < 0 or high > num_steps:
            raise ValueError(
                f"lengths: expected 0 to T = {num_steps}, got {low} to {high}"
            )
    times = jnp.arange(num_steps)  # T may be more than the lengths' own type holds
    lengths = lengths.astype(times.dtype)
    return times.reshape((1,) * len(batch) + (-1,)) < lengths[..., None]


def live_inputs(inputs: Array, mask: Array | None) -> Array:
    """Zeros beyond the lengths: not even NaN there reaches a gradient."""
    return inputs if mask is None else choose(mask, inputs, jnp.zeros_like(inputs))


def choose(mask: Array, new: Array, old: Array) -> Array:
    """new where the mask, over the leading axes, is true."""
    return jnp.where(mask.reshape(mask.shape + (1,) * (new.ndim - mask.ndim)), new, old)


def ordered(outputs: Array, mask: Array | None, flip: bool) -> Array:
    """Zeros beyond the lengths; flipped within them if so asked."""
    axis = outputs.ndim - 2
    if mask is None:
        return jnp.flip(outputs, axis) if flip else outputs
    outputs = choose(mask, outputs, jnp.zeros_like(outputs))
    if not flip:
        return outputs
    times = jnp.arange(mask.shape[-1]).reshape((1,) * (mask.ndim - 1) + (-1,))
    lengths = jnp.sum(mask, axis=-1, keepdims=True)
    source = jnp.where(mask, lengths - 1 - times, times)
    return jnp.take_along_axis(outputs, source[..., None], axis=axis)
