"""Closed forms for any stack of convolutions and pools: sizes, costs and fields.

A stack is a sequence of `Layer`, first layer first; shapes are those of one image,
(*spatial, C). A dense layer over a whole map is a convolution with its window and
padding "VALID"; a transposed convolution is one with `input_dilation`.

Letters, per axis: n size, k window, s stride, d kernel dilation, i input dilation,
e = (k − 1)·d + 1 the window's span, (low, high) the padding.

Reference: Araujo, Norris and Sim, Computing receptive fields of convolutional neural
networks, 2019.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from cnn_jax.ops.windows import (
    Padding,
    canonical,
    output_size,
    resolve_padding,
    span,
)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution or pool, as far as sizes, costs and fields depend on it.

    Attributes:
      kernel_size: k per spatial axis; one integer is one axis.
      features: channels of the outputs; None for a pool, which keeps those of its
        inputs and has neither parameters nor multiply-accumulates.
      strides: s, one integer or one per axis.
      padding: as in `conv`. Pools of this library default to "VALID": say it here.
      kernel_dilation: d, one integer or one per axis.
      input_dilation: i, one integer or one per axis.
      feature_group_count: groups of channels that do not mix.
      use_bias: whether a convolution adds a bias.
    """

    kernel_size: int | Sequence[int]
    features: int | None = None
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    input_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True

    def __post_init__(self) -> None:
        size = self.kernel_size
        rank = len(size) if isinstance(size, Sequence) else 1
        for name in ("kernel_size", "strides", "kernel_dilation", "input_dilation"):
            entries = canonical(getattr(self, name), rank, name)
            object.__setattr__(self, name, entries)
        if not isinstance(self.padding, str):
            _, pairs = resolve_padding(self.padding, *((1,) * rank,) * 4)
            object.__setattr__(self, "padding", pairs)

    @property
    def axes(self) -> list["_Axis"]:
        """The window of every spatial axis."""
        names = ("kernel_size", "strides", "kernel_dilation", "input_dilation")
        entries = (getattr(self, name) for name in names)
        return [_Axis(*each) for each in zip(*entries, strict=True)]


class _Axis(NamedTuple):
    window: int
    stride: int
    dilation: int
    input_dilation: int

    @property
    def span(self) -> int:
        return span(self.window, self.dilation)


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


def output_shapes(
    layers: Sequence[Layer], input_shape: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """The shape after every layer: ⌊(low + (n − 1)·i + 1 + high − e) / s⌋ + 1 per axis.

    Args:
      layers: the stack.
      input_shape: (*spatial, C).

    Returns:
      One (*out, C) per layer.

    Raises:
      ValueError: a layer with another number of axes; groups that do not divide; a
        window larger than its padded input.
    """
    shapes, shape = [], tuple(input_shape)
    for layer in layers:
        _, pairs = _padding(layer, shape[:-1])
        sizes = zip(_dilated(layer, shape[:-1]), layer.axes, pairs, strict=True)
        out = [
            output_size(size, axis.window, axis.stride, axis.dilation, *pair)
            for size, axis, pair in sizes
        ]
        shape = (*out, _features(layer, shape[-1]))
        shapes.append(shape)
    return tuple(shapes)


def num_params(layers: Sequence[Layer], channels: int) -> int:
    """Parameters of a stack: Σ Π k · (C / groups) · O + O.

    Args:
      layers: the stack.
      channels: C of the first layer's inputs.

    Raises:
      ValueError: groups that do not divide channels and features.
    """
    total = 0
    for layer in layers:
        features = _features(layer, channels)
        if layer.features is not None:
            window = math.prod(axis.window for axis in layer.axes)
            total += window * (channels // layer.feature_group_count) * features
            total += features if layer.use_bias else 0
        channels = features
    return total


def num_macs(
    layers: Sequence[Layer], input_shape: Sequence[int], *, padded: bool = True
) -> int:
    """Multiply-accumulates of a stack for one image; pools and biases have none.

        Σ Π (out · k) · (C / groups) · O

    Args:
      layers: the stack.
      input_shape: (*spatial, C).
      padded: whether products with zeros count that padding or input dilation put
        there, as they cost what others do in most implementations. Borders that
        repeat inputs ("CIRCULAR", ...) are no zeros and always count.

    Raises:
      ValueError: as `output_shapes`; or, without padded products, input dilation
        beside a border that repeats dilated inputs.
    """
    total, shape = 0, tuple(input_shape)
    for layer, out in zip(layers, output_shapes(layers, input_shape), strict=True):
        if layer.features is not None:
            products = [o * a.window for o, a in zip(out, layer.axes, strict=False)]
            if not padded:
                products = _products_with_inputs(layer, shape[:-1], out[:-1])
            channels = shape[-1] // layer.feature_group_count
            total += math.prod(products) * channels * layer.features
        shape = out
    return total


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


def _features(layer: Layer, channels: int) -> int:
    """Channels of a layer's outputs."""
    if layer.features is None:
        return channels
    groups = layer.feature_group_count
    if groups < 1 or channels % groups or layer.features % groups:
        raise ValueError(
            f"feature_group_count: expected a divisor of {channels} channels and "
            f"{layer.features} features, got {groups}"
        )
    return layer.features


def _dilated(layer: Layer, spatial: Sequence[int]) -> list[int]:
    """Sizes after input dilation; an empty axis stays empty."""
    if len(spatial) != len(layer.axes):
        raise ValueError(
            f"expected {len(layer.axes)} spatial axes for a window of "
            f"{layer.kernel_size}, got sizes {tuple(spatial)}"
        )
    sizes = zip(spatial, layer.axes, strict=True)
    return [span(n, axis.input_dilation) if n else 0 for n, axis in sizes]


def _padding(
    layer: Layer, spatial: Sequence[int]
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """(mode, pairs) of `resolve_padding` for these sizes."""
    windows, strides, dilations, _ = zip(*layer.axes, strict=True)
    return resolve_padding(
        layer.padding, _dilated(layer, spatial), windows, strides, dilations
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
        _, pairs = _padding(layer, sizes)
        lows.append([low for low, _ in pairs])
        if shape is not None:
            place = dataclasses.replace(layer, features=None)
            (shape,) = output_shapes([place], shape)
    return lows


def _positions(axes: Sequence[_Axis], lows: Sequence[int], position: int) -> np.ndarray:
    """The input positions behind one output position of one axis, ascending."""
    positions = np.asarray([position])
    for axis, low in zip(reversed(axes), reversed(lows), strict=True):
        taps = np.arange(axis.window) * axis.dilation - low
        reached = np.unique(positions[:, None] * axis.stride + taps[None])
        # Between the inputs there are zeros, which come from nowhere.
        inputs = reached[reached % axis.input_dilation == 0]
        positions = inputs // axis.input_dilation
    return positions


def _largest(axes: Sequence[_Axis], lows: Sequence[int]) -> int:
    """The largest field over one period of output positions."""
    period, stride = 1, Fraction(1)
    for axis in reversed(axes):
        stride *= Fraction(axis.stride, axis.input_dilation)
        period = math.lcm(period, stride.denominator)
    reached = [_positions(axes, lows, position) for position in range(period)]
    return max(int(np.ptp(each)) + 1 if each.size else 0 for each in reached)


def _whole(value: Fraction) -> int | Fraction:
    return int(value) if value.denominator == 1 else value


def _products_with_inputs(
    layer: Layer, spatial: Sequence[int], out: Sequence[int]
) -> list[int]:
    """Pairs of output and tap, per axis, that fall on an input and on no zero."""
    mode, pairs = _padding(layer, spatial)
    if mode == "zeros":
        sizes = zip(layer.axes, spatial, out, pairs, strict=True)
        return [_taps_on_inputs(axis, n, o, low) for axis, n, o, (low, _) in sizes]
    if max(axis.input_dilation for axis in layer.axes) > 1:
        raise ValueError(
            "input_dilation: expected 1 beside a border that repeats inputs, "
            f"padding {layer.padding!r}, got {layer.input_dilation}"
        )
    return [o * axis.window for o, axis in zip(out, layer.axes, strict=True)]


def _taps_on_inputs(axis: _Axis, size: int, out: int, low: int) -> int:
    """How often s·p + d·w − low = i·j, for outputs p, taps w and inputs j.

    For every tap the outputs p are one residue class modulo i / gcd(s, i), between
    the first and the last position that lies inside.
    """
    common = math.gcd(axis.stride, axis.input_dilation)
    modulus = axis.input_dilation // common
    total = 0
    for tap in range(axis.window):
        start = tap * axis.dilation - low
        if start % common:
            continue
        inverse = pow(axis.stride // common, -1, modulus)
        residue = -(start // common) * inverse % modulus
        first = max(0, -(start // axis.stride))
        last = min(out - 1, ((size - 1) * axis.input_dilation - start) // axis.stride)
        # Numbers up to x of a residue class: floor((x - residue) / modulus) + 1.
        reached = (last - residue) // modulus - (first - 1 - residue) // modulus
        total += max(reached, 0)
    return total
