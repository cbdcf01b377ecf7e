"""Receptive fields of a stack of layers.

Reference: Araujo, Norris and Sim, Computing receptive fields of convolutional neural
networks, 2019.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from cnn_jax.ops.arithmetic.costs import Axis, Layer, output_shapes, padding_of


class Field(NamedTuple):
    """What one output depends on, along one spatial axis.

    Output p depends on inputs from offset + stride·p on, over `size` positions at most.

    Attributes:
      size: positions from the first input to the last; with input dilation, which
        makes it vary from output to output, the largest.
      stride: input positions from one output to the next, a fraction below 1 where
        input dilation outweighs strides.
      offset: where the window of output 0 begins; negative: in the padding.
    """

    size: int
    stride: int | Fraction
    offset: int | Fraction


def receptive_field(
    layers: Sequence[Layer], spatial: Sequence[int] | None = None
) -> tuple[Field, ...]:
    """The receptive field of a stack's outputs, per spatial axis.

        stride = Π_l s_l / i_l
        offset = − Σ_l low_l / i_l · Π_{m<l} s_m / i_m
        size   = 1 + Σ_l (e_l − 1) · Π_{m<l} s_m          (without input dilation)

    It is the box around the inputs: how many of them dilation skips says
    `field_positions`. Of branches that are added (residual networks) it is the
    longest branch's.

    Args:
      layers: the stack, at least one layer.
      spatial: sizes of the inputs; needed where padding is "SAME" and a stride above
        1, because the offset then depends on them.

    Returns:
      One Field per axis.

    Raises:
      ValueError: no layers, layers of different numbers of axes, or sizes that are
        needed and not given.
    """
    lows = _lows(layers, spatial)
    fields = []
    for number in range(len(layers[0].axes)):
        axes = [layer.axes[number] for layer in layers]
        stride, offset, size = Fraction(1), Fraction(0), 1
        for axis, low in zip(axes, (pairs[number] for pairs in lows), strict=True):
            offset -= Fraction(low, axis.input_dilation) * stride
            size += (axis.span - 1) * math.floor(stride)
            stride *= Fraction(axis.stride, axis.input_dilation)
        if any(axis.input_dilation > 1 for axis in axes):
            size = _largest(axes, [pairs[number] for pairs in lows])
        fields.append(Field(size, _whole(stride), _whole(offset)))
    return tuple(fields)


def field_positions(
    layers: Sequence[Layer],
    position: Sequence[int],
    spatial: Sequence[int] | None = None,
) -> tuple[np.ndarray, ...]:
    """The input positions that one output depends on, per spatial axis.

    The inputs themselves are all combinations of the axes. Positions below 0, or of
    `spatial` and above, lie in the padding.

    Args:
      layers: the stack, at least one layer.
      position: of the output, per axis.
      spatial: as in `receptive_field`.

    Returns:
      Ascending integers per axis.

    Raises:
      ValueError: as `receptive_field`.
    """
    lows = _lows(layers, spatial)
    rank = len(layers[0].axes)
    if len(position) != rank:
        raise ValueError(
            f"position: expected one integer per axis, {rank}, got {position}"
        )
    return tuple(
        _positions([layer.axes[a] for layer in layers], [low[a] for low in lows], p)
        for a, p in enumerate(position)
    )


def _lows(layers: Sequence[Layer], spatial: Sequence[int] | None) -> list[list[int]]:
    """Padding before the first position: per layer, per axis."""
    if not layers:
        raise ValueError("layers: expected at least one, got none")
    rank = len(layers[0].axes)
    shape = None if spatial is None else (*spatial, 1)
    lows = []
    for layer in layers:
        strided = max(axis.stride for axis in layer.axes) > 1
        if shape is None and strided and layer.padding == "SAME":
            raise ValueError(
                "spatial: expected the sizes of the inputs, on which padding 'SAME' "
                f"with strides {layer.strides} depends, got None"
            )
        sizes = (1,) * rank if shape is None else shape[:-1]
        _, pairs = padding_of(layer, sizes)
        lows.append([low for low, _ in pairs])
        if shape is not None:
            place = dataclasses.replace(layer, features=None)
            (shape,) = output_shapes([place], shape)
    return lows


def _positions(axes: Sequence[Axis], lows: Sequence[int], position: int) -> np.ndarray:
    """The input positions behind one output position of one axis, ascending."""
    positions = np.asarray([position])
    for axis, low in zip(reversed(axes), reversed(lows), strict=True):
        taps = np.arange(axis.window) * axis.dilation - low
        reached = np.unique(positions[:, None] * axis.stride + taps[None])
        # Between the inputs there are zeros, which come from nowhere.
        inputs = reached[reached % axis.input_dilation == 0]
        positions = inputs // axis.input_dilation
    return positions


def _largest(axes: Sequence[Axis], lows: Sequence[int]) -> int:
    """The largest field over one period of output positions."""
    period, stride = 1, Fraction(1)
    for axis in reversed(axes):
        stride *= Fraction(axis.stride, axis.input_dilation)
        period = math.lcm(period, stride.denominator)
    reached = [_positions(axes, lows, position) for position in range(period)]
    return max(int(np.ptp(each)) + 1 if each.size else 0 for each in reached)


def _whole(value: Fraction) -> int | Fraction:
    return int(value) if value.denominator == 1 else value
