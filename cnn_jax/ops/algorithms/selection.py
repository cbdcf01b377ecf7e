"""Which algorithm "auto" stands for: a rule of shapes alone, so that it never changes
between two traces of one program.
"""

import math
from collections.abc import Sequence

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.windows import output_size

_MAX_SCALED_TAPS = 27
_MAX_SCALED_FEATURES = 16
_MAX_WINDOW_ELEMENTS = 2**16


def select(
    inputs_shape: Sequence[int], kernel_shape: Sequence[int], settings: Settings
) -> str:
    *window, group_features, features = kernel_shape
    taps, groups = math.prod(window), settings.feature_group_count
    if max(settings.input_dilation) > 1:
        return "direct"
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
