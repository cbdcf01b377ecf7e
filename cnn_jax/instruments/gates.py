"""What the gates of a recurrent network do: how close to 0 and 1 they are.

Steps, carries and sequences are those of `gradients`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.instruments.gradients import Step
from cnn_jax.ops.dtypes import accumulator


class Saturation(NamedTuple):
    """How a gate's values are spread.

    Attributes:
      low: [], the share near 0.
      high: [], the share near 1.
      histogram: [bins], counts in bins of equal width over [0, 1].
    """

    low: Array
    high: Array
    histogram: Array


def gate_values(
    gates: Callable[[Any, Any, Any], Any],
    step: Step,
    params: Any,
    carry: Any,
    inputs: Any,
) -> Any:
    """What the gates were at every step.

    Args:
      gates: (params, carry, inputs) -> a pytree of values; as `step` is called.
      step, params, carry, inputs: as in `carry_jacobians`.

    Returns:
      The pytree of `gates`, [T, ...].
    """

    def advance(carry: Any, now: Any) -> tuple[Any, Any]:
        return step(params, carry, now)[0], gates(params, carry, now)

    return lax.scan(advance, carry, inputs)[1]


def saturation(values: Array, *, margin: float = 0.1, bins: int = 20) -> Saturation:
    """The shares of [0, margin] and [1 − margin, 1], and a histogram.

    Args:
      values: any shape, in [0, 1]; what lies outside counts in the totals only.
      margin: in (0, 0.5).
      bins: of the histogram.

    Returns:
      Saturation.

    Raises:
      ValueError: a margin outside (0, 0.5).
    """
    if not 0 < margin < 0.5:
        raise ValueError(f"margin: expected a number in (0, 0.5), got {margin}")
    values = jnp.asarray(values).ravel()
    values = values.astype(accumulator(values.dtype))  # which counts to 2**24
    low = jnp.mean((values >= 0) & (values <= margin))
    high = jnp.mean((values >= 1 - margin) & (values <= 1))
    histogram, _ = jnp.histogram(values, bins, (0, 1))
    return Saturation(low, high, histogram)
