"""Convolution as a sum over the kernel's taps of products with the shifted input."""

import itertools

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.algorithms import (
    Settings,
    flipped_input_gradient,
    sum_dtype,
    transposed_kernel_gradient,
)
from cnn_jax.ops.windows import dilate, output_size, pad, span


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """One product per tap of the kernel, summed.

        y[n, p, o] = Σ_w Σ_c x[n, s·p + d·w, c] · k[w, c, o]

    The outer sum runs over shifted views of one padded array, so no window is ever
    copied. 16-bit floats are summed in float32.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O].
      settings: strides, padding, dilations, groups, precision.

    Returns:
      [N, *out, O].
    """
    *window, group_features, features = kernel.shape
    padded = pad(dilate(inputs, settings.input_dilation), settings.pairs, "zeros")
    if group_features == 1 and settings.feature_group_count > 1:
        padded = jnp.repeat(padded, features // settings.feature_group_count, axis=-1)
    dtype = settings.output_dtype(inputs)
    axes = tuple(
        zip(
            window,
            settings.strides,
            settings.kernel_dilation,
            padded.shape[1:-1],
            strict=True,
        )
    )
    out = [output_size(n, k, s, d, 0, 0) for k, s, d, n in axes]
    outputs = jnp.zeros((len(inputs), *out, features), sum_dtype(dtype))
    for tap in itertools.product(*map(range, window)):
        starts = [w * d for w, d in zip(tap, settings.kernel_dilation, strict=True)]
        limits = [
            start + span(size, s)
            for start, size, s in zip(starts, out, settings.strides, strict=True)
        ]
        shifted = lax.slice(
            padded,
            (0, *starts, 0),
            (len(inputs), *limits, padded.shape[-1]),
            (1, *settings.strides, 1),
        )
        outputs += _product(shifted, kernel[tap], outputs.dtype, settings)
    return outputs.astype(dtype)


input_gradient = flipped_input_gradient(forward)
kernel_gradient = transposed_kernel_gradient(forward)


def _product(
    shifted: Array, matrix: Array, dtype: jnp.dtype, settings: Settings
) -> Array:
    """[N, *out, C] times one tap [C // groups, O] of the kernel."""
    group_features, features = matrix.shape
    groups = settings.feature_group_count
    if group_features == 1:
        scales = matrix.reshape((1,) * (shifted.ndim - 1) + (features,))
        return shifted.astype(dtype) * scales.astype(dtype)
    if groups == 1:
        return jnp.matmul(
            shifted,
            matrix,
            precision=settings.precision,
            preferred_element_type=dtype,
        )
    products = jnp.einsum(
        "mgc,cgo->mgo",
        shifted.reshape(-1, groups, group_features),
        matrix.reshape(group_features, groups, features // groups),
        precision=settings.precision,
        preferred_element_type=dtype,
    )
    return products.reshape(*shifted.shape[:-1], features)
