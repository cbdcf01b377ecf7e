"""Which algorithm "auto" stands for: a rule of shapes, strides and dilations alone.

The rule below is that of the CPU, derived from `python -m benchmarks.candidates`; the
measurements are in benchmarks/README.md. Elsewhere "auto" is "direct" in all forms.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from cnn_jax.ops.algorithms import (
    Forward,
    Gradient,
    Settings,
    banded,
    col2im,
    depthwise,
    direct,
    fourier,
    im2col,
    imagewise,
    phases,
    planes,
    pointwise,
    shifted,
    space_to_depth,
    tall,
    winograd,
)

FORWARD: dict[str, Forward] = {
    "direct": direct.forward,
    "im2col": im2col.forward,
    "shifted": shifted.forward,
    "banded": banded.forward,
    "tall": tall.forward,
    "planes": planes.forward,
    "col2im": col2im.forward,
    "space_to_depth": space_to_depth.forward,
    "winograd2": partial(winograd.forward, 2),
    "winograd4": partial(winograd.forward, 4),
    "fourier": fourier.forward,
    "pointwise": pointwise.forward,
}
INPUT_GRADIENT: dict[str, Gradient] = {
    "direct": direct.input_gradient,
    "im2col": im2col.input_gradient,
    "shifted": shifted.input_gradient,
    "banded": banded.input_gradient,
    "tall": tall.input_gradient,
    "planes": planes.input_gradient,
    "col2im": col2im.input_gradient,
    "winograd2": partial(winograd.input_gradient, 2),
    "winograd4": partial(winograd.input_gradient, 4),
    "fourier": fourier.input_gradient,
    "pointwise": pointwise.input_gradient,
    "phases": phases.input_gradient,
    "space_to_depth": space_to_depth.input_gradient,
}
KERNEL_GRADIENT: dict[str, Gradient] = {
    "direct": direct.kernel_gradient,
    "im2col": im2col.kernel_gradient,
    "shifted": shifted.kernel_gradient,
    "banded": banded.kernel_gradient,
    "tall": tall.kernel_gradient,
    "planes": planes.kernel_gradient,
    "col2im": col2im.kernel_gradient,
    "winograd2": partial(winograd.kernel_gradient, 2),
    "winograd4": partial(winograd.kernel_gradient, 4),
    "fourier": fourier.kernel_gradient,
    "pointwise": pointwise.kernel_gradient,
    "imagewise": imagewise.kernel_gradient,
    "space_to_depth": space_to_depth.kernel_gradient,
    "depthwise": depthwise.kernel_gradient,
}
FORMS: dict[str, Mapping[str, Callable[..., Array]]] = {
    "forward": FORWARD,
    "input_gradient": INPUT_GRADIENT,
    "kernel_gradient": KERNEL_GRADIENT,
}
# A loop over the groups, each a convolution of its own with its own choice.
GROUPED = "grouped"


def serving(
    form: str, kernel_shape: Sequence[int], settings: Settings, dtype: DTypeLike
) -> list[str]:
    """The names of the form's algorithms that compute it for these settings.

    Args:
      form: "forward", "input_gradient" or "kernel_gradient".
      kernel_shape: (*window, C // groups, O).
      settings: strides, padding, dilations, groups.
      dtype: of the arrays.
    """
    *window, channels, _ = kernel_shape
    is_dense = settings.feature_group_count == 1
    plain = is_dense and max(settings.input_dilation) == 1
    undilated = plain and max(settings.kernel_dilation) == 1
    real = jnp.issubdtype(dtype, jnp.floating)
    some = {
        "pointwise": plain and max(window) == 1,
        "tall": form == "forward" or (plain and len(window) == 2),
        "planes": len(window) == 3 and (plain or (is_dense and form == "forward")),
        "col2im": plain and max(settings.strides) == 1,
        "phases": undilated,
        "space_to_depth": undilated,
        "imagewise": plain,
        "depthwise": channels == 1,
        "winograd2": real and winograd.serves(window, settings),
        "winograd4": real and winograd.serves(window, settings),
        "fourier": real,
    }
    return [name for name in FORMS[form] if some.get(name, True)]


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
# What planes' windows grow by in space-to-depth: 11x11 of stride 4 to 12x12 pays.
_MAX_GROWTH = 1.2
_MAX_DEEPENED = 32
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
    positions = images * math.prod(settings.out(spatial, window))
    name = _DENSE[form](kernel_shape, settings, positions)
    copied = {"im2col": channels, "col2im": features}.get(name, 0)
    if positions * taps * copied > MAX_ELEMENTS:
        return "imagewise" if form == "kernel_gradient" else "direct"
    return name


def _is_patchwise(window: Sequence[int], settings: Settings) -> bool:
    """Whether windows do not overlap: as an embedding of patches, a matrix product."""
    pairs = zip(window, settings.strides, strict=True)
    return max(settings.kernel_dilation) == 1 and all(k <= s for k, s in pairs)


def _fits(window: Sequence[int], settings: Settings) -> bool:
    """Whether space-to-depth of planes multiplies by few zeros."""
    pairs = zip(window, settings.strides, strict=True)
    grown = math.prod(-(-k // s) * s for k, s in pairs)
    is_strided = max(settings.strides) > 1 and max(settings.kernel_dilation) == 1
    few_zeros = grown <= _MAX_GROWTH * math.prod(window)
    return len(window) == 2 and is_strided and few_zeros


def _is_deep(kernel_shape: Sequence[int], positions: int) -> bool:
    """Whether the kernel is larger than all outputs: windows are the least to copy."""
    return positions <= kernel_shape[-1]


def _dense_forward(
    kernel_shape: Sequence[int], settings: Settings, positions: int
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
    if features <= _FEW and channels >= 4 * features:
        return "col2im"
    if len(window) == 3:
        return "planes"
    if len(window) == 2 and channels > _VECTOR:
        return "tall" if max(channels, features) > _MAX_EIGEN_CHANNELS else "direct"
    return "direct"


def _dense_input_gradient(
    kernel_shape: Sequence[int], settings: Settings, positions: int
) -> str:
    *window, channels, features = kernel_shape
    few, strided = channels < _VECTOR, max(settings.strides) > 1
    if channels == 1 or _is_deep(kernel_shape, positions):
        return "im2col"
    if strided and max(settings.kernel_dilation) > 1:
        return "direct"
    if strided:
        deepened = few or _fits(window, settings)
        return "space_to_depth" if deepened else "phases"
    if few:
        return "im2col"
    if features <= _FEW and channels >= 4 * features:
        return "col2im"
    if len(window) == 3:
        return "planes"
    if len(window) == 2 and max(channels, features) > _MAX_EIGEN_CHANNELS:
        return "tall"
    return "direct"


def _dense_kernel_gradient(
    kernel_shape: Sequence[int], settings: Settings, positions: int
) -> str:
    *window, channels, features = kernel_shape
    few, strided = channels <= _VECTOR, max(settings.strides) > 1
    narrow = max(channels, features) <= _MAX_EIGEN_CHANNELS
    if _is_deep(kernel_shape, positions):
        return "im2col"
    thin = features <= _VECTOR and channels >= 2 * features
    if not strided and (thin or (len(window) == 1 and features < channels)):
        return "col2im"
    if len(window) == 1:
        return "im2col"
    if len(window) == 2 and not strided:
        small = narrow and positions <= _FEW_POSITIONS
        return "im2col" if small else "tall"
    if channels == 1 or (channels <= _FEW and not strided):
        return "im2col"
    if len(window) == 3 and not strided:
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
