"""Convolution as one matrix product: rows are windows, columns are kernels."""

import math

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.algorithms import (
    Settings,
    transposed_input_gradient,
    transposed_kernel_gradient,
)
from cnn_jax.ops.windows import dilate, pad, patches


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """One matrix product of all windows with all kernels.

        Y = P·K, P [N·out, window·C] the flattened windows, K [window·C, O]

    With groups the product is batched over them.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O].
      settings: strides, padding, dilations, groups, precision.

    Returns:
      [N, *out, O].

    Reference:
      Chellapilla, Puri and Simard, High performance convolutional neural networks for
      document processing, 2006.
    """
    *window, group_features, features = kernel.shape
    groups = settings.feature_group_count
    padded = pad(dilate(inputs, settings.input_dilation), settings.pairs, "zeros")
    windows = patches(
        padded, window, strides=settings.strides, dilation=settings.kernel_dilation
    )
    out = windows.shape[: inputs.ndim - 1]
    taps = math.prod(window)
    rows = math.prod(out)
    columns = taps * group_features
    if groups == 1:
        left = windows.reshape(rows, columns)
        right = kernel.reshape(columns, features)
    else:
        left = windows.reshape(rows, taps, groups, group_features)
        left = left.transpose(2, 0, 1, 3).reshape(groups, rows, columns)
        right = kernel.reshape(columns, groups, features // groups).swapaxes(0, 1)
    products = jnp.matmul(
        left,
        right,
        precision=settings.precision,
        preferred_element_type=settings.preferred_element_type,
    )
    if groups > 1:
        products = products.swapaxes(0, 1)
    return products.reshape(*out, features)


input_gradient = transposed_input_gradient(forward)
kernel_gradient = transposed_kernel_gradient(forward)
