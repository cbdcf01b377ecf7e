"""Convolutions whose kernel changes with the position.

Layout and shape letters: inputs [N, *spatial, C], outputs [N, *out, O]. A locally
connected layer has its own kernel at every output position, a tiled convolution a few
kernels that take turns.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import ArrayLike

from cnn_jax.ops.arguments import add_bias, check_inputs, promote
from cnn_jax.ops.windows import (
    Padding,
    canonical,
    dilate,
    pad,
    patches,
    resolve_padding,
)


def locally_connected(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    window_shape: Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    input_dilation: int | Sequence[int] = 1,
    kernel_dilation: int | Sequence[int] = 1,
    precision: PrecisionLike = None,
) -> Array:
    """A convolution that shares nothing: one kernel per output position.

        y[n, p, o] = Σ_c Σ_w x[n, s·p + d·w − low, c] · k[p, (c, w), o] + b[p, o]

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*out, C·prod(window), O], the channel varies slowest; what
        flax.linen.ConvLocal calls its kernel.
      bias: [*out, O], or [O] to share it, or none.
      window_shape: one size per spatial axis.
      strides: s, one integer or one per axis.
      padding: as in `conv`.
      input_dilation: as in `conv`.
      kernel_dilation: d, distance between the kernel's elements.
      precision: of the products, as in jax.lax.

    Returns:
      [N, *out, O].

    Raises:
      ValueError: wrong rank; a kernel or bias that does not fit the output; a window
        larger than the padded input; an unknown padding.

    Reference:
      LeCun, Generalization and network design strategies, 1989.
    """
    inputs, kernel, bias = promote(inputs, kernel, bias)
    check_inputs(inputs)
    rank, channels = inputs.ndim - 2, inputs.shape[-1]
    window_shape = canonical(window_shape, rank, "window_shape")
    windows = _windows(
        inputs, window_shape, strides, padding, input_dilation, kernel_dilation
    )
    out = windows.shape[1 : rank + 1]
    columns = math.prod(window_shape) * channels
    if kernel.shape[:-1] != (*out, columns):
        raise ValueError(
            f"kernel: expected {(*out, columns)} + (features,), the output's size and "
            f"{channels} channels x window {window_shape}, got {kernel.shape}"
        )
    windows = jnp.moveaxis(windows, -1, rank + 1).reshape(len(inputs), *out, columns)
    outputs = _product_per_position(windows, kernel, precision)
    features = kernel.shape[-1]
    return add_bias(outputs, bias, [(*out, features), (features,)])


def tiled_conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    input_dilation: int | Sequence[int] = 1,
    kernel_dilation: int | Sequence[int] = 1,
    precision: PrecisionLike = None,
) -> Array:
    """A convolution whose kernels take turns: position p uses kernel p mod tiles.

        y[n, p, o] = Σ_w Σ_c x[n, s·p + d·w − low, c] · k[p mod t, w, c, o] + b[o]

    One tile per axis is `conv`; as many as output positions is `locally_connected`.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*tiles, *window, C, O], t tiles per axis.
      bias: [O], or none.
      strides: s, one integer or one per axis.
      padding: as in `conv`.
      input_dilation: as in `conv`.
      kernel_dilation: d, distance between the kernel's elements.
      precision: of the products, as in jax.lax.

    Returns:
      [N, *out, O].

    Raises:
      ValueError: wrong rank; mismatched channels or bias; a kernel larger than the
        padded input; an unknown padding.

    Reference:
      Ngiam et al., Tiled convolutional neural networks, 2010.
    """
    inputs, kernel, bias = promote(inputs, kernel, bias)
    check_inputs(inputs)
    rank, channels = inputs.ndim - 2, inputs.shape[-1]
    if kernel.ndim != 2 * rank + 2 or 0 in kernel.shape[:-2]:
        raise ValueError(
            f"kernel: expected rank {2 * rank + 2}, [*tiles, *window, C, O] with tiles "
            f"and window >= 1, for inputs of shape {inputs.shape}, got {kernel.shape}"
        )
    tiles, window = kernel.shape[:rank], kernel.shape[rank : 2 * rank]
    if kernel.shape[-2] != channels:
        raise ValueError(
            f"kernel: expected {channels} channels, as the inputs have, got "
            f"{kernel.shape[-2]} in shape {kernel.shape}"
        )
    windows = _windows(
        inputs, window, strides, padding, input_dilation, kernel_dilation
    )
    features, columns = kernel.shape[-1], math.prod(window) * channels
    windows = windows.reshape(*windows.shape[: rank + 1], columns)
    matrices = kernel.reshape(*tiles, columns, features)
    outputs = _product_per_position(windows, matrices, precision)
    return add_bias(outputs, bias, [(features,)])


def _windows(
    inputs: Array,
    window: Sequence[int],
    strides: int | Sequence[int],
    padding: Padding,
    input_dilation: int | Sequence[int],
    kernel_dilation: int | Sequence[int],
) -> Array:
    """[N, *out, *window, C]"""
    rank = len(window)
    strides = canonical(strides, rank, "strides")
    dilation = canonical(kernel_dilation, rank, "kernel_dilation")
    inputs = dilate(inputs, canonical(input_dilation, rank, "input_dilation"))
    mode, pairs = resolve_padding(
        padding, inputs.shape[1:-1], window, strides, dilation
    )
    padded = pad(inputs, pairs, mode)
    return patches(padded, window, strides=strides, dilation=dilation)


def _product_per_position(
    windows: Array, kernel: Array, precision: PrecisionLike
) -> Array:
    """[N, *out, K] and [*tiles, K, O] to [N, *out, O], tiles repeating over out.

    One batched matrix product: the batch is the tiles, the rows are images and
    repetitions. A last, incomplete repetition is filled with zeros and cut off.
    """
    num_images, *out, columns = windows.shape
    *tiles, _, features = kernel.shape
    rank = len(tiles)
    repeats = [-(-n // max(t, 1)) for n, t in zip(out, tiles, strict=True)]
    missing = [(0, r * t - n) for n, r, t in zip(out, repeats, tiles, strict=True)]
    windows = pad(windows, tuple(missing), "zeros")
    split = [size for pair in zip(repeats, tiles, strict=True) for size in pair]
    windows = windows.reshape(num_images, *split, columns)
    tile_axes = range(2, 2 * rank + 1, 2)
    windows = jnp.moveaxis(windows, tile_axes, range(rank))
    products = jnp.matmul(
        windows.reshape(math.prod(tiles), num_images * math.prod(repeats), columns),
        kernel.reshape(math.prod(tiles), columns, features),
        precision=precision,
    )
    products = products.reshape(*tiles, num_images, *repeats, features)
    products = jnp.moveaxis(products, range(rank), tile_axes)
    full = [r * t for r, t in zip(repeats, tiles, strict=True)]
    products = products.reshape(num_images, *full, features)
    return products[(slice(None), *(slice(n) for n in out))]
