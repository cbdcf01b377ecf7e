"""The kernel gradient of a convolution, one image at a time."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.meshes import zeros_beside
from cnn_jax.ops.windows import pad, patches, span


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """A loop over the images, one matrix product per image and kernel row.

        K̄[w] = Σ_n Pₙ[w]ᵀ·Ȳₙ,  Pₙ[w] [out, row·C] the w-th rows of image n's windows

    so that the windows of one image alone are ever copied. Without groups and input
    dilation.

    Args:
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O].
      settings: strides, padding, kernel dilation, precision.
      window: sizes of the kernel.

    Returns:
      [*window, C, O].
    """
    padded = pad(inputs, settings.pairs, "zeros")
    *outer, width = window
    ones = (1,) * len(outer)
    rows = list(itertools.product(*map(range, outer)))
    columns, features = width * inputs.shape[-1], cotangent.shape[-1]

    def add_image(sums: Array, image: tuple[Array, Array]) -> tuple[Array, None]:
        windows = patches(
            image[0][None],
            (*ones, width),
            strides=(*ones, settings.strides[-1]),
            dilation=settings.kernel_dilation,
        )[0]
        windows = windows.reshape(*windows.shape[: len(window)], columns)
        right = image[1].reshape(-1, features)
        products = []
        for row in rows:
            axes = zip(
                row,
                settings.kernel_dilation[:-1],
                image[1].shape,
                settings.strides[:-1],
                strict=False,
            )
            taken = tuple(slice(w * d, w * d + span(m, s), s) for w, d, m, s in axes)
            left = windows[taken].reshape(-1, columns)
            products.append(jnp.matmul(left.T, right, precision=settings.precision))
        return sums + jnp.stack(products), None

    zeros = zeros_beside(cotangent, (len(rows), columns, features), inputs.dtype)
    sums, _ = lax.scan(add_image, zeros, (padded, cotangent))
    return sums.reshape(*window, inputs.shape[-1], features)
