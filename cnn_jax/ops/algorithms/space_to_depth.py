"""The gradients of a strided convolution of few channels, by space-to-depth.

The pixels of one stride become channels. The convolution has stride 1 then, and its
products s² times as many channels to sum over. (Forward, the rearranging costs more
than it saves.) Without groups and dilations.

Reference:
  Shi et al., Real-time single image and video super-resolution using an efficient
  sub-pixel convolutional neural network, 2016.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from jax import Array

from cnn_jax.ops.algorithms import Settings, direct, tall
from cnn_jax.ops.windows import pad


def input_gradient(
    cotangent: Array, kernel: Array, settings: Settings, spatial: Sequence[int]
) -> Array:
    """The input gradient of the rearranged convolution, put back in place.

    Args:
      cotangent: [N, *out, O].
      kernel: [*window, C, O].
      settings: strides, padding, precision.
      spatial: sizes of the inputs.

    Returns:
      [N, *spatial, C].
    """
    *window, channels, features = kernel.shape
    strides = settings.strides
    taps = _quotients(window, strides)
    filled = _fit(kernel.reshape(1, *window, channels * features), taps, strides)
    deep = to_depth(filled, strides)
    deep = deep.reshape(*taps, math.prod(strides) * channels, features)
    blocks = _blocks(cotangent, taps)
    gradient = direct.input_gradient(cotangent, deep, _plain(settings), blocks)
    padded = to_space(gradient, strides)
    axes = zip(spatial, settings.pairs, padded.shape[1:-1], strict=True)
    pairs = tuple((-low, n + low - size) for n, (low, _), size in axes)
    return pad(padded, pairs, "zeros")


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """The kernel gradient of the rearranged convolution, put back in place.

    Args:
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O].
      settings: strides, padding, precision.
      window: sizes of the kernel.

    Returns:
      [*window, C, O].
    """
    strides, channels, features = (
        settings.strides,
        inputs.shape[-1],
        cotangent.shape[-1],
    )
    taps = _quotients(window, strides)
    padded = pad(inputs, settings.pairs, "zeros")
    deep = to_depth(_fit(padded, _blocks(cotangent, taps), strides), strides)
    gradient = tall.kernel_gradient(deep, cotangent, _plain(settings), taps)
    filled = to_space(gradient.reshape(1, *taps, -1), strides)[0]
    kept = filled[tuple(slice(size) for size in window)]
    return kept.reshape(*window, channels, features)


def to_depth(array: Array, strides: Sequence[int]) -> Array:
    """[N, *blocks · strides, C] to [N, *blocks, strides · C]."""
    rank, (images, *sizes, channels) = len(strides), array.shape
    blocks = _quotients(sizes, strides)
    split = [part for pair in zip(blocks, strides, strict=True) for part in pair]
    array = array.reshape(images, *split, channels)
    blocks_first = (0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return array.transpose(blocks_first).reshape(
        images, *blocks, math.prod(strides) * channels
    )


def to_space(array: Array, strides: Sequence[int]) -> Array:
    """[N, *blocks, strides · C] to [N, *blocks · strides, C]."""
    rank, (images, *blocks, depth) = len(strides), array.shape
    channels = depth // math.prod(strides)
    array = array.reshape(images, *blocks, *strides, channels)
    order = [0]
    for axis in range(1, rank + 1):
        order += [axis, axis + rank]
    sizes = [b * s for b, s in zip(blocks, strides, strict=True)]
    return array.transpose(*order, 2 * rank + 1).reshape(images, *sizes, channels)


def _quotients(sizes: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Rounded up."""
    return [-(-size // s) for size, s in zip(sizes, strides, strict=True)]


def _blocks(cotangent: Array, taps: Sequence[int]) -> list[int]:
    """Blocks that the windows reach over."""
    return [m - 1 + t for m, t in zip(cotangent.shape[1:-1], taps, strict=True)]


def _fit(array: Array, blocks: Sequence[int], strides: Sequence[int]) -> Array:
    """[N, *sizes, C] to [N, *blocks · strides, C], with zeros or a cut at the end."""
    axes = zip(array.shape[1:-1], blocks, strides, strict=True)
    return pad(array, tuple((0, b * s - size) for size, b, s in axes), "zeros")


def _plain(settings: Settings) -> Settings:
    rank = len(settings.strides)
    return replace(settings, strides=(1,) * rank, pairs=((0, 0),) * rank)
