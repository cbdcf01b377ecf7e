"""Convolution by its definition: one dot product per output, one after the other."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.windows import output_size, pad, resolve_padding
from experiments.convolution_speed.shapes import Shape


def loops(inputs: Array, kernel: Array, shape: Shape) -> Array:
    """A loop over images, positions and features.

        y[n, i, j, o] = ⟨x[n, s·i : s·i + k, s·j : s·j + k, group of o], k[:, :, :, o]⟩

    Args:
      inputs: [N, H, W, C].
      kernel: [k, k, C // groups, O].
      shape: what the arrays' shapes do not say.

    Returns:
      [N, H', W', O].
    """
    window, strides = kernel.shape[:2], (shape.stride,) * 2
    _, pairs = resolve_padding("SAME", inputs.shape[1:3], window, strides, (1, 1))
    padded = pad(inputs, pairs, "zeros")
    axes = zip(padded.shape[1:3], window, strides, strict=True)
    sizes = (
        len(inputs),
        *(output_size(n, k, s, 1, 0, 0) for n, k, s in axes),
        shape.features,
    )
    kernels = jnp.moveaxis(kernel, -1, 0)
    group_channels = kernel.shape[2]
    group_features = shape.features // shape.groups

    def one(index: Array, outputs: Array) -> Array:
        image, row, column, feature = jnp.unravel_index(index, sizes)
        corner = (
            image,
            row * shape.stride,
            column * shape.stride,
            feature // group_features * group_channels,
        )
        seen = lax.dynamic_slice(padded, corner, (1, *window, group_channels))
        taps = lax.dynamic_index_in_dim(kernels, feature, keepdims=False)
        return outputs.at[index].set(jnp.vdot(seen, taps))

    total = sizes[0] * sizes[1] * sizes[2] * sizes[3]
    outputs = jax.lax.fori_loop(0, total, one, jnp.zeros(total, inputs.dtype))
    return outputs.reshape(sizes)
