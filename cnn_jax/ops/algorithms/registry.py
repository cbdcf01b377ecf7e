"""All algorithms by their names, form by form, and which of them serve what."""

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
        "phases": undilated and max(settings.strides) > 1,
        "space_to_depth": undilated and max(settings.strides) > 1,
        "imagewise": plain,
        "depthwise": channels == 1,
        "winograd2": real and winograd.serves(window, settings),
        "winograd4": real and winograd.serves(window, settings),
        "fourier": real,
    }
    return [name for name in FORMS[form] if some.get(name, True)]
