"""Cells over time: the plain scan of a step, and the layers that compute it faster.

Inputs are [*N, T, D], any number of leading axes, T >= 1. With lengths [*N] a sequence
ends before T: what lies beyond its length is never read, outputs there are zero, and
the returned carry is the one at its end (at length 0, the first one). Reverse runs
begin at a sequence's end and leave what is beyond it where it is; `keep_order` gives
their outputs at the times of their inputs, instead of in the order of computation.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.recurrent import plans
from cnn_jax.ops.recurrent.activations import Activation
from cnn_jax.ops.recurrent.over_time import (
    Time,
    check_time,
    choose,
    live_inputs,
    mask_of,
    ordered,
    over_time,
)
from cnn_jax.ops.recurrent.parameters import Params

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def scan(
    step: Step,
    params: Any,
    carry: Any,
    inputs: ArrayLike,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    keep_order: bool = False,
    unroll: int = 1,
) -> tuple[Any, Array]:
    """A step from each time to the next: what the layers over time are equal to.

        carry_t, y_t = step(params, carry_{t-1}, inputs[:, t])

    Args:
      step: as `lstm_step`; its output is an array [*N, H]. With lengths it runs for
        sequences that have ended, too, on zeros and their last carry, where an infinite
        slope makes gradients NaN (in the layers below it does not).
      params: what the step takes.
      carry: the first one, a tree of arrays [*N, ...].
      inputs: [*N, T, D].
      lengths: integers [*N] in 0..T, or None: all T.
      reverse: whether time runs backward.
      keep_order: whether outputs of a reverse run lie at the times of their inputs.
      unroll: steps per iteration of the loop.

    Returns:
      (carry, outputs [*N, T, H]).

    Raises:
      ValueError: no time axis or T = 0, or lengths of another shape or beyond T.
    """
    inputs = jnp.asarray(inputs)
    num_steps, batch = check_time(inputs)
    mask = mask_of(lengths, num_steps, batch)

    def body(carry: Any, given: tuple) -> tuple[Any, Any]:
        inputs, live = given
        new, outputs = step(params, carry, inputs)
        if live is None:
            return new, outputs
        return jax.tree.map(partial(choose, live), new, carry), outputs

    steps = jnp.moveaxis(live_inputs(inputs, mask), -2, 0)
    masks = None if mask is None else jnp.moveaxis(mask, -1, 0)
    carry, outputs = lax.scan(
        body, carry, (steps, masks), reverse=reverse, unroll=unroll
    )
    outputs = jnp.moveaxis(outputs, 0, len(batch))
    return carry, ordered(outputs, mask, reverse and not keep_order)


def rnn(
    params: Params,
    inputs: ArrayLike,
    carry: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    keep_order: bool = False,
    unroll: int | None = None,
    chunk_length: int | None = None,
    activation: Activation = "tanh",
    residual: bool = False,
) -> tuple[Array, Array]:
    """`rnn_step` over time.

        h_t = activation(inputs[:, t] @ i + h_{t-1} @ h + b [+ h_{t-1} if residual])

    Fast, with a derivative of its own, for every activation that has a name; a residual
    or any other function takes a plain scan.

    Args:
      params: as `rnn_step`.
      inputs: [*N, T, D].
      carry: the first h [*N, H]; by default zeros.
      lengths: integers [*N] in 0..T, or None: all T.
      reverse: whether time runs backward.
      keep_order: whether outputs of a reverse run lie at the times of their inputs.
      unroll: steps per iteration of the loop; None: 1 on a CPU, 8 elsewhere.
      chunk_length: reverse mode keeps only the carry at every so many steps and
        computes the rest again; None keeps everything.
      activation: as `rnn_step`.
      residual: as `rnn_step`.

    Returns:
      (the last h [*N, H], outputs [*N, T, H]).

    Raises:
      ValueError: as `rnn_step` and `scan`, or a chunk_length below 1.
    """
    time = Time(lengths, reverse, keep_order, unroll, chunk_length)
    plan = partial(plans.rnn, activation=activation, residual=residual)
    (h,), outputs = over_time(plan, params, inputs, _tuple(carry), time)
    return h, outputs


def lstm(
    params: Params,
    inputs: ArrayLike,
    carry: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    keep_order: bool = False,
    unroll: int | None = None,
    chunk_length: int | None = None,
    gate: Activation = "sigmoid",
    activation: Activation = "tanh",
    cell_clip: float | None = None,
    projection_clip: float | None = None,
) -> tuple[tuple[Array, Array], Array]:
    """`lstm_step` over time.

        (c_t, h_t), h_t = lstm_step(params, (c_{t-1}, h_{t-1}), inputs[:, t])

    Fast, with a derivative of its own, for every gate and activation that has a name;
    peepholes, coupled gates, a projection, limits and other functions take a plain
    scan.

    Args:
      params: as `lstm_step`.
      inputs: [*N, T, D].
      carry: the first (c [*N, H], h [*N, H or P]); by default zeros.
      lengths: integers [*N] in 0..T, or None: all T.
      reverse: whether time runs backward.
      keep_order: whether outputs of a reverse run lie at the times of their inputs.
      unroll: steps per iteration of the loop; None: 1 on a CPU, 8 elsewhere.
      chunk_length: reverse mode keeps only the carry at every so many steps and
        computes the rest again; None keeps everything.
      gate: as `lstm_step`.
      activation: as `lstm_step`.
      cell_clip: as `lstm_step`.
      projection_clip: as `lstm_step`.

    Returns:
      (the last (c, h), outputs [*N, T, H or P]).

    Raises:
      ValueError: as `lstm_step` and `scan`, or a chunk_length below 1.
    """
    time = Time(lengths, reverse, keep_order, unroll, chunk_length)
    plan = partial(
        plans.lstm,
        gate=gate,
        activation=activation,
        cell_clip=cell_clip,
        projection_clip=projection_clip,
    )
    (c, h), outputs = over_time(plan, params, inputs, carry, time)
    return (c, h), outputs


def gru(
    params: Params,
    inputs: ArrayLike,
    carry: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    keep_order: bool = False,
    unroll: int | None = None,
    chunk_length: int | None = None,
    gate: Activation = "sigmoid",
    activation: Activation = "tanh",
    update: str = "cho",
    reset: str = "after",
) -> tuple[Array, Array]:
    """`gru_step` over time.

        h_t, h_t = gru_step(params, h_{t-1}, inputs[:, t])

    Fast, with a derivative of its own, for reset "after" and every gate and activation
    that has a name; reset "before" and other functions take a plain scan.

    Args:
      params: as `gru_step`.
      inputs: [*N, T, D].
      carry: the first h [*N, H]; by default zeros.
      lengths: integers [*N] in 0..T, or None: all T.
      reverse: whether time runs backward.
      keep_order: whether outputs of a reverse run lie at the times of their inputs.
      unroll: steps per iteration of the loop; None: 1 on a CPU, 8 elsewhere.
      chunk_length: reverse mode keeps only the carry at every so many steps and
        computes the rest again; None keeps everything.
      gate: as `gru_step`.
      activation: as `gru_step`.
      update: as `gru_step`.
      reset: as `gru_step`.

    Returns:
      (the last h [*N, H], outputs [*N, T, H]).

    Raises:
      ValueError: as `gru_step` and `scan`, or a chunk_length below 1.
    """
    time = Time(lengths, reverse, keep_order, unroll, chunk_length)
    plan = partial(
        plans.gru, gate=gate, activation=activation, update=update, reset=reset
    )
    (h,), outputs = over_time(plan, params, inputs, _tuple(carry), time)
    return h, outputs


def _tuple(carry: Any) -> tuple | None:
    return None if carry is None else (carry,)
