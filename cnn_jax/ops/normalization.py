"""Batch normalization by statistics that are plain values.

inputs [..., C] with any number of leading axes; C features, each with its own mean
and variance over all other axes.

Training normalizes by the batch's own statistics, which are part of the gradient, and
keeps running ones; testing normalizes by those:

    batch = batch_statistics(inputs)
    outputs = normalize(inputs, batch, scale, bias)
    running = update_statistics(running, batch)
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype


class Statistics(NamedTuple):
    """Mean and variance per feature.

    Attributes:
      mean: [C].
      variance: [C], the mean squared distance from the mean (not n / (n - 1) of it).
    """

    mean: Array
    variance: Array


def batch_statistics(inputs: ArrayLike) -> Statistics:
    """Mean and variance of every feature over all other axes.

        mean[c] = Σ inputs[..., c] / n
        variance[c] = Σ (inputs[..., c] − mean[c])² / n

    The squares are taken of distances, so a feature far from zero loses no digits.

    Args:
      inputs: [..., C].

    Returns:
      Statistics of [C] in at least float32; NaN where there is nothing to average.

    Raises:
      ValueError: inputs without a feature axis.

    Reference:
      Ioffe and Szegedy, Batch normalization, 2015.
    """
    inputs = jnp.asarray(inputs)
    if not inputs.ndim:
        raise ValueError("inputs: expected [..., C], got shape ()")
    wide = inputs.astype(accumulator(inputs.dtype))
    axes = tuple(range(inputs.ndim - 1))
    return Statistics(jnp.mean(wide, axes), jnp.var(wide, axes))


def normalize(
    inputs: ArrayLike,
    statistics: Statistics,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """Features brought to mean 0 and variance 1 by the statistics, then to new ones.

        y = (inputs − mean) · (scale / √(variance + ε)) + bias

    Args:
      inputs: [..., C].
      statistics: of the batch or running ones: mean and variance, [C] each.
      scale: [C]; 1 where none is given.
      bias: [C]; 0 where none is given.
      epsilon: ε, so that a constant feature gives 0 and not NaN.

    Returns:
      [..., C] in the inputs' dtype, float32 for integers; computed in at least float32.

    Raises:
      ValueError: statistics, scale or bias that are not [C].

    Reference:
      Ioffe and Szegedy, Batch normalization, 2015.
    """
    inputs = jnp.asarray(inputs)
    dtype = accumulator(inputs.dtype)

    def broadcast(name: str, value: ArrayLike) -> Array:
        value = jnp.asarray(value, dtype)
        if not inputs.ndim or value.shape != inputs.shape[-1:]:
            raise ValueError(
                f"{name}: expected one value per feature of inputs {inputs.shape}, "
                f"got shape {value.shape}"
            )
        return value.reshape((1,) * (inputs.ndim - 1) + value.shape)

    mean, variance = map(broadcast, Statistics._fields, statistics)
    factor = lax.rsqrt(variance + epsilon)
    if scale is not None:
        factor *= broadcast("scale", scale)
    outputs = (inputs.astype(dtype) - mean) * factor
    if bias is not None:
        outputs += broadcast("bias", bias)
    return outputs.astype(output_dtype(inputs.dtype))


def update_statistics(
    running: Statistics, batch: Statistics, *, momentum: float = 0.99
) -> Statistics:
    """Running statistics moved towards a batch's.

        running = momentum · running + (1 − momentum) · batch

    Start from mean 0 and variance 1, as flax.linen.BatchNorm does.

    Args:
      running: [C] each.
      batch: [C] each.
      momentum: the share that stays, in [0, 1].

    Returns:
      Statistics of [C].
    """
    mean, variance = (
        momentum * old + (1 - momentum) * new
        for old, new in zip(running, batch, strict=True)
    )
    return Statistics(mean, variance)
