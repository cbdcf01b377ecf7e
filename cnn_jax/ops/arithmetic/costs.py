"""Sizes, parameters and multiply-accumulates of a stack of layers."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

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
    def axes(self) -> list["Axis"]:
        """The window of every spatial axis."""
        names = ("kernel_size", "strides", "kernel_dilation", "input_dilation")
        entries = (getattr(self, name) for name in names)
        return [Axis(*each) for each in zip(*entries, strict=True)]


class Axis(NamedTuple):
    """The window along one spatial axis."""

    window: int
    stride: int
    dilation: int
    input_dilation: int

    @property
    def span(self) -> int:
        return span(self.window, self.dilation)


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
        _, pairs = padding_of(layer, shape[:-1])
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


def padding_of(
    layer: Layer, spatial: Sequence[int]
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """(mode, pairs) of `resolve_padding` for these sizes."""
    windows, strides, dilations, _ = zip(*layer.axes, strict=True)
    return resolve_padding(
        layer.padding, _dilated(layer, spatial), windows, strides, dilations
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


def _products_with_inputs(
    layer: Layer, spatial: Sequence[int], out: Sequence[int]
) -> list[int]:
    """Pairs of output and tap, per axis, that fall on an input and on no zero."""
    mode, pairs = padding_of(layer, spatial)
    if mode == "zeros":
        sizes = zip(layer.axes, spatial, out, pairs, strict=True)
        return [_taps_on_inputs(axis, n, o, low) for axis, n, o, (low, _) in sizes]
    if max(axis.input_dilation for axis in layer.axes) > 1:
        raise ValueError(
            "input_dilation: expected 1 beside a border that repeats inputs, "
            f"padding {layer.padding!r}, got {layer.input_dilation}"
        )
    return [o * axis.window for o, axis in zip(out, layer.axes, strict=True)]


def _taps_on_inputs(axis: Axis, size: int, out: int, low: int) -> int:
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
