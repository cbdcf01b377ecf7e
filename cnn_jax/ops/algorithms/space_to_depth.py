"""A strided convolution by space-to-depth.

The pixels of one stride become channels. The convolution has stride 1 then, and its
products as many times more channels to sum over. The window grows to a multiple of the
strides, with zeros. Where it is no larger than they are, as in an embedding of patches,
one matrix product is left. Without groups and dilations.

Reference:
  Shi et al., Real-time single image and video super-resolution using an efficient
  sub-pixel convolutional neural network, 2016.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from jax import Array

from cnn_jax.ops.algorithms import Settings, direct, planes, pointwise, tall
from cnn_jax.ops.windows import pad

# What computes convolutions without strides, by the number of spatial axes.
PLAIN = {1: direct, 2: tall, 3: planes}


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """The convolution of the rearranged inputs by the rearranged kernel.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C, O].
      settings: strides, padding, precision.

    Returns:
      [N, *out, O].
    """
    window, strides = kernel.shape[:-2], settings.strides
    out = settings.out(inputs.shape[1:-1], window)
    deep = _deepen(inputs, out, window, settings)
    taps = _deepen_kernel(kernel, strides)
    return _algorithm(taps.shape[:-2]).forward(deep, taps, _plain(settings))


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
    taps = _deepen_kernel(kernel, settings.strides)
    blocks = _blocks(cotangent.shape[1:-1], taps.shape[:-2])
    gradient = _algorithm(taps.shape[:-2]).input_gradient(
        cotangent, taps, _plain(settings), blocks
    )
    padded = to_space(gradient, settings.strides)
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
    deep = _deepen(inputs, cotangent.shape[1:-1], window, settings)
    gradient = _algorithm(taps).kernel_gradient(deep, cotangent, _plain(settings), taps)
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


def _algorithm(taps: Sequence[int]) -> ModuleType:
    return pointwise if max(taps) == 1 else PLAIN[len(taps)]


def _deepen(
    inputs: Array, out: Sequence[int], window: Sequence[int], settings: Settings
) -> Array:
    """The inputs that the windows reach, rearranged."""
    padded = pad(inputs, settings.pairs, "zeros")
    blocks = _blocks(out, _quotients(window, settings.strides))
    return to_depth(_fit(padded, blocks, settings.strides), settings.strides)


def _deepen_kernel(kernel: Array, strides: Sequence[int]) -> Array:
    """[*window, C, O] to [*taps, strides · C, O]."""
    *window, channels, features = kernel.shape
    taps = _quotients(window, strides)
    filled = _fit(kernel.reshape(1, *window, channels * features), taps, strides)
    deep = to_depth(filled, strides)
    return deep.reshape(*taps, math.prod(strides) * channels, features)


def _blocks(out: Sequence[int], taps: Sequence[int]) -> list[int]:
    """Blocks that the windows reach over."""
    return [m - 1 + t for m, t in zip(out, taps, strict=True)]


def _fit(array: Array, blocks: Sequence[int], strides: Sequence[int]) -> Array:
    """[N, *sizes, C] to [N, *blocks · strides, C], with zeros or a cut at the end."""
    axes = zip(array.shape[1:-1], blocks, strides, strict=True)
    return pad(array, tuple((0, b * s - size) for size, b, s in axes), "zeros")


def _plain(settings: Settings) -> Settings:
    rank = len(settings.strides)
    return replace(settings, strides=(1,) * rank, pairs=((0, 0),) * rank)
