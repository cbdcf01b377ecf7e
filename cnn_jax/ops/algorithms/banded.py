"""Convolution as one product with a banded matrix: whole rows in, whole rows out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.ops.algorithms import (
    Settings,
    transposed_input_gradient,
    transposed_kernel_gradient,
)
from cnn_jax.ops.windows import dilate, output_size, pad, patches


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """The last spatial axis becomes a banded (Toeplitz) matrix, the others windows.

        Y[n·p, (q, o)] = Σ_w Σ_(r, c) X[n·p + w, (r, c)] · B[w, (r, c), (q, o)]
        B[w, (r, c), (q, o)] = k[w, t, c, o] where r = s·q + d·t, else 0

    p and w run over all spatial axes but the last, r and q over a row of the padded
    input and of the output. Most of B is zero: the product does size / window times
    the work of im2col, and is still faster where channels are few, because nothing
    smaller than a row is ever moved and both gradients are matrix products too. A
    value that is not finite meets the zeros as well, and so spreads over its rows.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O].
      settings: strides, padding, dilations, groups, precision.

    Returns:
      [N, *out, O].

    Reference:
      Gray, Toeplitz and circulant matrices: a review, 2006.
    """
    padded = pad(dilate(inputs, settings.input_dilation), settings.pairs, "zeros")
    groups = settings.feature_group_count
    if groups == 1:
        return _rows(padded, kernel, settings)
    *leading, channels = padded.shape
    split = padded.reshape(*leading, groups, channels // groups)
    *window, features = kernel.shape
    kernels = kernel.reshape(*window, groups, features // groups)
    outputs = jax.vmap(_rows, (-2, -2, None), -2)(split, kernels, settings)
    return outputs.reshape(*outputs.shape[:-2], features)


input_gradient = transposed_input_gradient(forward)
kernel_gradient = transposed_kernel_gradient(forward)


def _rows(padded: Array, kernel: Array, settings: Settings) -> Array:
    *window, channels, features = kernel.shape
    size, taps = padded.shape[-2], window[-1]
    stride, dilation = settings.strides[-1], settings.kernel_dilation[-1]
    out = output_size(size, taps, stride, dilation, 0, 0)
    band = np.zeros((taps, size, out), bool)
    for tap in range(taps):
        band[tap, stride * np.arange(out) + dilation * tap, np.arange(out)] = True
    matrix = jnp.einsum(
        "wtco,trq->wrcqo",
        kernel.reshape(-1, taps, channels, features),
        band.astype(kernel.dtype),
        # Entries are only put in place: what a low precision rounds here, the product
        # below would round the same way.
        precision=settings.precision,
    ).reshape(-1, out * features)
    rows = padded.reshape(*padded.shape[:-2], size * channels)
    if len(window) > 1:
        rows = patches(
            rows,
            window[:-1],
            strides=settings.strides[:-1],
            dilation=settings.kernel_dilation[:-1],
        )
    lines = rows.shape[: len(window)]
    products = jnp.matmul(
        rows.reshape(math.prod(lines), len(matrix)),
        matrix,
        precision=settings.precision,
        preferred_element_type=settings.preferred_element_type,
    )
    return products.reshape(*lines, out, features)
