"""Which algorithm "auto" stands for: a rule of shapes, strides and dilations alone.

The rule below is that of the CPU, derived from `python -m benchmarks.candidates`; the
measurements are in benchmarks/README.md. Elsewhere "auto" is "direct" in all forms, and
"im2col" for integers.
"""

import math
from collections.abc import Sequence

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.registry import GROUPED

# Whole rows: at least 5 taps along them, rows at most 9 windows long, and enough of
# them that making the matrix does not count.
_MIN_BAND_TAPS = 5
_MAX_BAND_RATIO = 9
_MAX_BAND_COLUMN = 32
_MAX_BAND_ENTRIES = 2**18
_MIN_BAND_ROWS = 256
MAX_TAPS = 64  # each is compiled by itself
_MAX_SCALED_FEATURES = 16
# Gradients to fewer channels fill no vector: they take one product over the windows.
_VECTOR = 8
# As inputs or outputs, fewer do not either, if each is in few windows, its copies.
_FEW = 4
_MAX_COPIES = 9
# What windows grow by in space-to-depth: 11x11 of stride 4 to 12x12 pays.
_MAX_GROWTH = 1.2
_MAX_DEEPENED = 32
# Copies of the outputs' windows pay where the outputs are not much fewer than inputs.
_MAX_SHRINKING = 1.5
MAX_DEPTH = 8  # taps along it, each compiled by itself
MAX_PHASES = 16  # of the strides, each compiled by itself
# XLA hands no convolution between so few channels to its slower library.
_MAX_EIGEN_CHANNELS = 16
_FEW_POSITIONS = 1024
MAX_ELEMENTS = 2**27  # of all copied windows


def select(
    form: str,
    spatial: Sequence[int],
    kernel_shape: Sequence[int],
    settings: Settings,
    images: int,
) -> str:
    """The algorithm of one form for these shapes, on a CPU.

    Args:
      form: "forward", "input_gradient" or "kernel_gradient".
      spatial: sizes of the inputs.
      kernel_shape: (*window, C // groups, O).
      settings: strides, padding, dilations, groups.
      images: N.

    Returns:
      A name of the form's algorithms, or "grouped".
    """
    *window, channels, features = kernel_shape
    groups, taps = settings.feature_group_count, math.prod(window)
    if max(settings.input_dilation) > 1:
        return "direct"
    scaled = channels == 1 and features // groups <= _MAX_SCALED_FEATURES
    if groups > 1 and not scaled:
        return GROUPED
    few_taps = taps <= MAX_TAPS
    if groups > 1:
        if not few_taps:
            return "direct"
        return "depthwise" if form == "kernel_gradient" else "shifted"
    if taps == 1:
        return "pointwise"
    # In a network XLA merges sums of taps with the pooling behind them, and computes
    # them over and over; a product stays by itself. (Fewer rows are soon computed.)
    banded = _is_band(spatial, kernel_shape, settings, images)
    if banded and (form == "input_gradient" or (scaled and form == "forward")):
        return "banded"
    if scaled and few_taps and form == "forward":
        return "shifted"
    if _is_patchwise(window, settings):
        return "space_to_depth"
    pixels = images * math.prod(spatial)
    positions = images * math.prod(settings.out(spatial, window))
    name = _DENSE[form](kernel_shape, settings, positions, pixels)
    copied = {"im2col": positions * channels, "col2im": pixels * features}
    if taps * copied.get(name, 0) > MAX_ELEMENTS:
        return _without_copies(form, kernel_shape, settings)
    return name


def _without_copies(form: str, kernel_shape: Sequence[int], settings: Settings) -> str:
    """What needs no more memory than an image's windows."""
    *window, channels, features = kernel_shape
    to_kernel = form == "kernel_gradient"
    if max(settings.strides) > 1:
        return "imagewise" if to_kernel else "direct"
    if len(window) == 2:
        wide = min(channels, features) > _VECTOR
        return "tall" if to_kernel or wide else "direct"
    return "planes" if len(window) == 3 and window[0] <= MAX_DEPTH else "direct"


def growth(window: Sequence[int], settings: Settings) -> float:
    """How many times larger space-to-depth makes the window, with zeros."""
    pairs = zip(window, settings.strides, strict=True)
    return math.prod(-(-k // s) * s for k, s in pairs) / math.prod(window)


def _is_patchwise(window: Sequence[int], settings: Settings) -> bool:
    """Whether windows do not overlap: as an embedding of patches, a matrix product."""
    pairs = zip(window, settings.strides, strict=True)
    apart = max(settings.kernel_dilation) == 1 and all(k <= s for k, s in pairs)
    return apart and growth(window, settings) <= _MAX_GROWTH


def _fits(window: Sequence[int], settings: Settings) -> bool:
    """Whether space-to-depth of planes multiplies by few zeros."""
    is_strided = max(settings.strides) > 1 and max(settings.kernel_dilation) == 1
    few_zeros = growth(window, settings) <= _MAX_GROWTH
    return len(window) == 2 and is_strided and few_zeros


def _is_thin(kernel_shape: Sequence[int], positions: int, pixels: int) -> bool:
    """Whether features are so few that the outputs' windows are the least to copy."""
    *window, channels, features = kernel_shape
    in_few_windows = len(window) != 2 or math.prod(window) <= _MAX_COPIES
    few = features <= _FEW and channels >= 4 * features
    return few and in_few_windows and pixels <= _MAX_SHRINKING * positions


def _is_deep(kernel_shape: Sequence[int], positions: int) -> bool:
    """Whether the kernel is larger than all outputs: windows are the least to copy."""
    return positions <= kernel_shape[-1]


def _dense_forward(
    kernel_shape: Sequence[int], settings: Settings, positions: int, pixels: int
) -> str:
    *window, channels, features = kernel_shape
    strided, deep = max(settings.strides) > 1, _is_deep(kernel_shape, positions)
    if deep and len(window) != 1:
        return "im2col" if len(window) == 2 else "direct"
    if channels <= _MAX_DEEPENED and _fits(window, settings):
        return "space_to_depth"
    copies = math.prod(window) <= _MAX_COPIES or len(window) == 3
    if len(window) > 1 and channels <= _FEW and copies:
        return "im2col"
    if strided:
        return "direct"
    if _is_thin(kernel_shape, positions, pixels):
        return "col2im"
    if len(window) == 3 and window[0] <= MAX_DEPTH:
        return "planes"
    wide = min(channels, features) > _VECTOR
    narrow = max(channels, features) <= _MAX_EIGEN_CHANNELS
    return "tall" if len(window) == 2 and wide and not narrow else "direct"


def _dense_input_gradient(
    kernel_shape: Sequence[int], settings: Settings, positions: int, pixels: int
) -> str:
    *window, channels, features = kernel_shape
    few, strided = channels < _VECTOR, max(settings.strides) > 1
    if channels == 1 or _is_deep(kernel_shape, positions):
        return "im2col"
    if strided and max(settings.kernel_dilation) > 1:
        return "direct"
    if strided and (few or _fits(window, settings)):
        return "space_to_depth"
    if strided:
        return "phases" if math.prod(settings.strides) <= MAX_PHASES else "im2col"
    if few:
        return "im2col"
    if _is_thin(kernel_shape, positions, pixels):
        return "col2im"
    if len(window) == 3 and window[0] <= MAX_DEPTH:
        return "planes"
    narrow = max(channels, features) <= _MAX_EIGEN_CHANNELS or features <= _FEW
    return "tall" if len(window) == 2 and not narrow else "direct"


def _dense_kernel_gradient(
    kernel_shape: Sequence[int], settings: Settings, positions: int, pixels: int
) -> str:
    *window, channels, features = kernel_shape
    few, strided = channels <= _VECTOR, max(settings.strides) > 1
    narrow = max(channels, features) <= _MAX_EIGEN_CHANNELS
    hardly_overlap = positions * math.prod(window) <= 2 * pixels
    if hardly_overlap or _is_deep(kernel_shape, positions):
        return "im2col"
    thin = (features <= _VECTOR and channels >= 2 * features) or (
        len(window) == 1 and features < channels
    )
    if thin and not strided and pixels <= _MAX_SHRINKING * positions:
        return "col2im"
    if len(window) == 1:
        return "im2col"
    if len(window) == 2 and not strided:
        small = narrow and positions <= _FEW_POSITIONS
        return "im2col" if small else "tall"
    if channels == 1 or (channels <= _FEW and not strided):
        return "im2col"
    if len(window) == 3 and not strided and window[0] <= MAX_DEPTH:
        return "planes"
    undilated = max(settings.kernel_dilation) == 1
    if len(window) == 2 and undilated and (few or _fits(window, settings)):
        return "space_to_depth"
    return "imagewise"


_DENSE = {
    "forward": _dense_forward,
    "input_gradient": _dense_input_gradient,
    "kernel_gradient": _dense_kernel_gradient,
}


def _is_band(
    spatial: Sequence[int],
    kernel_shape: Sequence[int],
    settings: Settings,
    images: int,
) -> bool:
    """Whether rows [size, C] are short, thin and many, and their matrix is small."""
    *window, channels, features = kernel_shape
    *outer, taps = window
    padded = spatial[-1] + sum(settings.pairs[-1])
    *lines, out = settings.out(spatial, window)
    return (
        taps >= _MIN_BAND_TAPS
        and padded <= _MAX_BAND_RATIO * taps
        and taps * channels <= _MAX_BAND_COLUMN
        and math.prod(outer) * padded * channels * out * features <= _MAX_BAND_ENTRIES
        and images * math.prod(lines) >= _MIN_BAND_ROWS
    )
