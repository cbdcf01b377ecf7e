"""Pools over all positions of an image: [N, *spatial, C] -> [N, C].

Exactly one batch axis, because nothing else tells batch axes from spatial ones: vmap
over the others. Any number of spatial axes.
"""

import math
from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype
from cnn_jax.ops.pooling.frames import largest
from cnn_jax.ops.pooling.norms import check_exponent, power, root, scale_of, scaled


def global_max_pool(inputs: ArrayLike) -> Array:
    """The largest value of each channel.

        y[n, c] = max_p inputs[n, p, c]

    Equal maxima share the gradient equally. NaN wins, with gradient 0.

    Args:
      inputs: [N, *spatial, C].

    Returns:
      [N, C] in the inputs' dtype.

    Raises:
      ValueError: no spatial axis, or an empty one.

    Reference:
      Collobert et al., Natural language processing (almost) from scratch, 2011.
    """
    return largest(_positions(inputs), 1)


def global_avg_pool(inputs: ArrayLike) -> Array:
    """The mean of each channel.

        y[n, c] = Σ_p inputs[n, p, c] / P,   P positions

    Args:
      inputs: [N, *spatial, C].

    Returns:
      [N, C] in the inputs' dtype, float32 for integers; summed in at least float32.

    Raises:
      ValueError: no spatial axis, or an empty one.

    Reference:
      Lin, Chen and Yan, Network in network, 2014.
    """
    positions = _positions(inputs)
    sums = jnp.sum(positions.astype(accumulator(positions.dtype)), axis=1)
    return (sums / positions.shape[1]).astype(output_dtype(positions.dtype))


def global_lp_pool(inputs: ArrayLike, p: float) -> Array:
    """The p-norm of each channel, differentiated as in `lp_pool`.

        y[n, c] = (Σ_p' |inputs[n, p', c]|^p)^(1/p)

    Args:
      inputs: [N, *spatial, C].
      p: exponent, 1 <= p < ∞; need not be an integer.

    Returns:
      [N, C], at least 0, in the inputs' dtype, float32 for integers.

    Raises:
      ValueError: p below 1 or infinite, no spatial axis, or an empty one.
    """
    check_exponent(p)
    positions = _positions(inputs)
    wide = positions.astype(accumulator(positions.dtype))
    scale = scale_of(jnp.max(abs(wide), axis=1, keepdims=True))
    norms = scaled(partial(_norms, p), wide, scale)[:, 0]
    return norms.astype(output_dtype(positions.dtype))


def _norms(p: float, values: Array) -> Array:
    """[N, P, C] to [N, 1, C]"""
    return root(jnp.sum(power(values, p), axis=1, keepdims=True), p)


def _positions(inputs: ArrayLike) -> Array:
    """[N, *spatial, C] -> [N, P, C] with at least one position."""
    inputs = jnp.asarray(inputs)
    if inputs.ndim < 3 or 0 in inputs.shape[1:-1]:
        raise ValueError(
            "inputs: expected [N, *spatial, C] with at least one spatial axis and no "
            f"empty one, got shape {inputs.shape}"
        )
    num_images, *spatial, channels = inputs.shape
    return inputs.reshape(num_images, math.prod(spatial), channels)
