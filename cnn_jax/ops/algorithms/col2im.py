"""Convolution by windows of the outputs: im2col, turned around.

Without strides a convolution is the input gradient of the convolution by the flipped
kernel. So its three forms are those of im2col with the sides exchanged: what is copied
for every tap is as wide as the features, where im2col copies the channels. Without
groups, strides and input dilation.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.algorithms import (
    Settings,
    flip,
    flipped_input_gradient,
    im2col,
    sum_dtype,
    turn,
)
from cnn_jax.ops.windows import pad, patches


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """One product of all pixels with all taps; the products are added in place.

        Z = X·K, K [C, window·O];  y[n, p, o] = Σ_w z[n, p + d·w − low, w, o]

    16-bit floats are multiplied and summed in float32.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C, O].
      settings: padding, kernel dilation, precision.

    Returns:
      [N, *out, O].
    """
    spatial, window = inputs.shape[1:-1], kernel.shape[:-2]
    out, dtype = settings.out(spatial, window), settings.output_dtype(inputs)
    turned = replace(turn(settings, window, out, spatial), preferred_element_type=None)
    wide = inputs.astype(sum_dtype(dtype))
    flipped = flip(kernel, settings).astype(wide.dtype)
    return im2col.input_gradient(wide, flipped, turned, out).astype(dtype)


input_gradient = flipped_input_gradient(im2col.forward)


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """One matrix product of all pixels with all windows of the cotangent.

        Z = Xᵀ·P, P [N·spatial, window·O] the windows of ȳ;  k̄[w] = z[window − 1 − w]

    Args:
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O].
      settings: padding, kernel dilation, precision.
      window: sizes of the kernel.

    Returns:
      [*window, C, O].
    """
    spatial, features = inputs.shape[1:-1], cotangent.shape[-1]
    turned = turn(settings, window, cotangent.shape[1:-1], spatial)
    padded = pad(cotangent, turned.pairs, "zeros")
    windows = patches(padded, window, dilation=settings.kernel_dilation)
    taps = math.prod(window)
    pixels = inputs.reshape(-1, inputs.shape[-1])
    products = jnp.matmul(
        pixels.T,
        windows.reshape(len(pixels), taps * features),
        precision=settings.precision,
    )
    by_tap = products.reshape(-1, taps, features).swapaxes(0, 1)
    return by_tap[::-1].reshape(*window, -1, features)
