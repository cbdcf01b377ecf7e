"""Which algorithm "auto" stands for: a rule of shapes, strides and dilations alone.

Measured with jax 0.10.2 on two busy CPU cores, float32; milliseconds as a minimum of 8
to 15 alternated runs, so compare within a row. Forward / with gradients / with
gradients inside lax.scan, as in a training loop (LeNet's first layer without the
gradient to the images):

    layer                         direct             im2col            shifted
    64x32x32x1 -> 6, 5x5          8.3 / 9.8 / 52     3.7 / 4.8 / 3.5   1.6 / 4.6 / 3.3
    the same, strides 2           2.3 / 2.8 / 11     1.1 / 1.4 / 0.9   0.5 / 1.2 / 0.8
    64x16x16x6 -> 16, 5x5         4.0 / 9.7 / 263    4.2 / 14 / 13     7.7 / 63 / 56
    the same, strides 2           1.2 / 2.7 / 42     1.2 / 3.1 / 2.6   1.5 / 10 / 10
    64x32x32x6 depthwise, 3x3     16 / 37 / 182      4.3 / 7.6 / 7.5   0.9 / 9.8 / 11
    8x56x56x64 depthwise, 3x3     65 / 197 / 3898    166 / 167 / 70    1.5 / 40 / 25
    32x28x28x1 -> 64, 7x7         3.5 / 20 / 590     4.8 / 15 / 13     11 / 24 / 23
    8x28x28x64 -> 256, 1x1        3.6 / 62 / 526     3.0 / 19 / 20     3.4 / 30 / 33
    64x8x8x64 -> 64, 3x3          5.2 / 16 / 1066    8.1 / 20 / 16     5.1 / 23 / 21
    64x16x16x32 -> 32, 3x3        5.2 / 18 / 1315    9.4 / 30 / 26     8.4 / 47 / 43
    64x32x32x16 -> 16, 3x3        4.3 / 23 / 1889    41 / 74 / 54      23 / 77 / 76

A whole training step of LeNet (64x32x32x1, Adam, inside lax.scan; milliseconds of one
interleaved run on the same busy cores): "banded" for both layers 27, "im2col" then
"banded" 32, "shifted" then "im2col" 86; forward of 360 images 70, 118, 150. Where
features or channels are more, or windows narrower, im2col wins again: 32x28x28x1 -> 64,
7x7 with gradients in a scan 39 banded, 26 im2col; 64x16x16x6 -> 16, 3x3 7.9 and 5.0.

The direct gradient takes 4 to 85 times longer inside a scan than outside. The rule
keeps "direct" where another algorithm's forward pass costs more than about twice as
much, as in the last two rows: in a training loop name "im2col" there.
"""

import math
from collections.abc import Sequence

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.windows import output_size

# Whole rows: at least 5 taps along them, rows at most 9 windows long.
_MIN_BAND_TAPS = 5
_MAX_BAND_RATIO = 9
_MAX_BAND_COLUMN = 32
_MAX_BAND_ENTRIES = 2**18
_MAX_SCALED_TAPS = 27
_MAX_SCALED_FEATURES = 16
_MAX_WINDOW_ELEMENTS = 2**16


def select(
    inputs_shape: Sequence[int], kernel_shape: Sequence[int], settings: Settings
) -> str:
    """The algorithm for these shapes.

    - "direct" with input dilation: the others would multiply by the zeros between.
    - "banded" without groups, for windows of 5 taps or more along the last axis, where
      a padded row is at most 9 windows long, taps times channels are at most 32 and
      the banded matrix has at most 2¹⁸ entries: the layers of LeNet.
    - "shifted" where every group has one channel, at most 16 features, and the window
      at most 27 taps (each tap is traced on its own).
    - "im2col" without groups, if the window has one tap, or the windows of one image
      hold at most 2¹⁶ numbers, [*out, *window, C]. The number of images does not count,
      so that a larger batch never meets another algorithm.
    - "direct" else.

    Args:
      inputs_shape: (N, *spatial, C).
      kernel_shape: (*window, C // groups, O).
      settings: strides, padding, dilations, groups.

    Returns:
      "direct", "im2col", "shifted" or "banded".
    """
    *window, group_features, features = kernel_shape
    taps, groups = math.prod(window), settings.feature_group_count
    if max(settings.input_dilation) > 1:
        return "direct"
    if groups == 1 and _is_band(inputs_shape[-2:], kernel_shape, settings):
        return "banded"
    scaled = group_features == 1 and features // groups <= _MAX_SCALED_FEATURES
    if scaled and taps <= _MAX_SCALED_TAPS:
        return "shifted"
    out = [
        output_size(n, k, s, d, *pair)
        for n, k, s, d, pair in zip(
            inputs_shape[1:-1],
            window,
            settings.strides,
            settings.kernel_dilation,
            settings.pairs,
            strict=True,
        )
    ]
    elements = math.prod(out) * taps * group_features
    if groups == 1 and (taps == 1 or elements <= _MAX_WINDOW_ELEMENTS):
        return "im2col"
    return "direct"


def _is_band(
    row_shape: Sequence[int], kernel_shape: Sequence[int], settings: Settings
) -> bool:
    """Whether rows [size, C] are short and thin, and their matrix is small."""
    size, channels = row_shape
    *outer, taps, _, features = kernel_shape
    stride, dilation = settings.strides[-1], settings.kernel_dilation[-1]
    padded = size + sum(settings.pairs[-1])
    out = output_size(padded, taps, stride, dilation, 0, 0)
    return (
        taps >= _MIN_BAND_TAPS
        and padded <= _MAX_BAND_RATIO * taps
        and taps * channels <= _MAX_BAND_COLUMN
        and math.prod(outer) * padded * channels * out * features <= _MAX_BAND_ENTRIES
    )
