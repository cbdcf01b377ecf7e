"""Convolution with a window of one pixel: a matrix product over the pixels."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.windows import pad


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """Y = X·K over the pixels that the strides keep. Without groups.

    Args:
      inputs: [N, *spatial, C].
      kernel: [1, ..., 1, C, O].
      settings: strides, padding, precision.

    Returns:
      [N, *out, O].
    """
    return _product(_kept(inputs, settings), kernel[(0,) * (kernel.ndim - 2)], settings)


def input_gradient(
    cotangent: Array, kernel: Array, settings: Settings, spatial: Sequence[int]
) -> Array:
    """X̄ = Ȳ·Kᵀ, zeros at the pixels that the strides skip.

    Args:
      cotangent: [N, *out, O].
      kernel: [1, ..., 1, C, O].
      settings: strides, padding, precision.
      spatial: sizes of the inputs.

    Returns:
      [N, *spatial, C].
    """
    products = _product(cotangent, kernel[(0,) * (kernel.ndim - 2)].T, settings)
    axes = zip(
        spatial, cotangent.shape[1:-1], settings.strides, settings.pairs, strict=True
    )
    edges = [(-low, n + low - (m - 1) * s - 1, s - 1) for n, m, s, (low, _) in axes]
    zero = jnp.zeros((), products.dtype)
    return lax.pad(products, zero, [(0, 0, 0), *edges, (0, 0, 0)])


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """K̄ = Xᵀ·Ȳ over the pixels that the strides keep.

    Args:
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O].
      settings: strides, padding, precision.
      window: ones.

    Returns:
      [1, ..., 1, C, O].
    """
    pixels = _kept(inputs, settings).reshape(-1, inputs.shape[-1])
    product = _product(
        pixels.T, cotangent.reshape(len(pixels), cotangent.shape[-1]), settings
    )
    return product.reshape(*window, *product.shape)


def _kept(inputs: Array, settings: Settings) -> Array:
    padded = pad(inputs, settings.pairs, "zeros")
    return padded[(slice(None), *(slice(None, None, s) for s in settings.strides))]


def _product(left: Array, right: Array, settings: Settings) -> Array:
    """Rows times a matrix, as one product of two matrices."""
    rows = left.reshape(-1, left.shape[-1])
    product = jnp.matmul(
        rows,
        right,
        precision=settings.precision,
        preferred_element_type=settings.preferred_element_type,
    )
    return product.reshape(*left.shape[:-1], right.shape[-1])
