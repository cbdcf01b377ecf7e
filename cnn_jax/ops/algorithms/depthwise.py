"""The kernel gradient of a depthwise convolution, one output row at a time."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.algorithms import Settings, sum_dtype
from cnn_jax.ops.meshes import zeros_beside
from cnn_jax.ops.windows import dilate, pad, span


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """A loop over the outputs' first axis, one running sum per tap of the kernel.

        k̄[w, c] = Σ_n Σ_q ( Σ_p x[n, s·(p, q) + d·w, c] · ȳ[n, p, q, c] )

    The inner sum runs over rows p and keeps images, columns q and channels apart, so
    that every step is one multiply-add of whole rows. One channel per group.

    Args:
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O], O a multiple of C.
      settings: strides, padding, dilations, groups.
      window: sizes of the kernel.

    Returns:
      [*window, 1, O].
    """
    padded = pad(dilate(inputs, settings.input_dilation), settings.pairs, "zeros")
    features = cotangent.shape[-1]
    padded = jnp.repeat(padded, features // inputs.shape[-1], axis=-1)
    taps = list(itertools.product(*map(range, window)))
    strides, dilation = settings.strides, settings.kernel_dilation
    wide = sum_dtype(cotangent.dtype)

    def add_row(row: Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        slopes = lax.dynamic_index_in_dim(cotangent, row, 1, keepdims=False)
        slopes = slopes.astype(wide)
        new = []
        for tap, total in zip(taps, sums, strict=True):
            start = row * strides[0] + tap[0] * dilation[0]
            line = lax.dynamic_index_in_dim(padded, start, 1, keepdims=False)
            axes = zip(
                tap[1:], dilation[1:], cotangent.shape[2:-1], strides[1:], strict=True
            )
            taken = tuple(slice(w * d, w * d + span(m, s), s) for w, d, m, s in axes)
            new.append(total + slopes * line[(slice(None), *taken)].astype(wide))
        return tuple(new)

    shape = (len(cotangent), *cotangent.shape[2:])
    zeros = (zeros_beside(cotangent, shape, wide),) * len(taps)
    sums = lax.fori_loop(0, cotangent.shape[1], add_row, zeros)
    totals = [jnp.sum(total, range(total.ndim - 1)) for total in sums]
    return jnp.stack(totals).astype(cotangent.dtype).reshape(*window, 1, features)
