"""The stacks that the notes speak of, as layers, and as linear nets of ones.

A net of positive kernels has a gradient wherever it has a path: the support of its
gradient is its receptive field. Pools stand in it as kernels of ones too, because a
maximum has a gradient at its argument alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.instruments import bounding_box, coverage, gradient_support
from cnn_jax.ops import Field, Layer, conv, receptive_field
from experiments.harness.compilation import brief

Block = tuple[Layer, ...]
Measured = tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class Branch:
    """Layers that are repeated; with a shortcut around each repetition or without."""

    layers: Block
    repeats: int = 1
    residual: bool = False


Net = tuple[Branch, ...]


def flat(net: Net) -> list[Layer]:
    """The longest path through a net, layer by layer."""
    return [
        layer
        for branch in net
        for _ in range(branch.repeats)
        for layer in branch.layers
    ]


def chain(*layers: Layer) -> Net:
    """Layers one after the other."""
    return (Branch(layers),)


def dilated(dilations: Sequence[int], rank: int = 1, size: int = 3) -> list[Layer]:
    """One convolution of the given size per dilation, padding SAME."""
    return [Layer((size,) * rank, 1, kernel_dilation=d) for d in dilations]


def _pool(size: int, padding: str = "VALID") -> Layer:
    return Layer(size, strides=2, padding=padding)


def _alexnet() -> Net:
    first = Layer(11, 1, strides=4, padding="VALID")
    last = [Layer(3, 1)] * 3
    return chain(first, _pool(3), Layer(5, 1), _pool(3), *last, _pool(3))


def _vgg16() -> Net:
    stages = ([Layer(3, 1)] * repeats + [_pool(2)] for repeats in (2, 2, 3, 3, 3))
    return chain(*(layer for stage in stages for layer in stage))


def _resnet(blocks: Sequence[int], strided: int) -> Net:
    """Bottlenecks 1, 3, 1; the stride of a stage's first on layer number `strided`."""
    bottleneck = (Layer(1, 1), Layer(3, 1), Layer(1, 1))
    net = [Branch((Layer(7, 1, strides=2), _pool(3, "SAME")))]
    for stage, repeats in enumerate(blocks):
        if stage == 0:
            net.append(Branch(bottleneck, repeats, residual=True))
            continue
        first = list(bottleneck)
        first[strided] = replace(first[strided], strides=2)
        net.append(Branch(tuple(first), 1, residual=True))
        net.append(Branch(bottleneck, repeats - 1, residual=True))
    return tuple(net)


# Net, size of the 1-D input, and the field that the literature gives.
KNOWN: dict[str, tuple[Net, int, int]] = {
    "alexnet": (_alexnet(), 512, 195),
    "vgg16": (_vgg16(), 512, 212),
    "resnet50-v1": (_resnet((3, 4, 6, 3), 0), 2048, 483),
    "resnet152-v1": (_resnet((3, 8, 36, 3), 0), 2048, 1507),
    "resnet50-v1.5": (_resnet((3, 4, 6, 3), 1), 2048, 427),
    "resnet152-v1.5": (_resnet((3, 8, 36, 3), 1), 2048, 1451),
}


def apply_ones(net: Net, inputs: Array) -> Array:
    """The net with kernels of ones and one channel, shortcuts included."""
    for branch in net:
        once = partial(_repetition, branch)
        if branch.repeats == 1:
            inputs = once(inputs)
        else:
            inputs, _ = jax.lax.scan(
                lambda hidden, _, once=once: (once(hidden), None),
                inputs,
                length=branch.repeats,
            )
    return inputs


def _repetition(branch: Branch, inputs: Array) -> Array:
    hidden = inputs
    for layer in branch.layers:
        hidden = _ones(layer, hidden)
    if not branch.residual:
        return hidden
    strides = [max(layer.axes[0].stride for layer in branch.layers)]
    if strides != [1]:
        inputs = _ones(Layer(1, 1, strides=strides), inputs)
    return hidden + inputs


def _ones(layer: Layer, inputs: Array) -> Array:
    axes = layer.axes
    return conv(
        inputs,
        jnp.ones((*(axis.window for axis in axes), 1, 1)),
        strides=[axis.stride for axis in axes],
        padding=layer.padding,
        kernel_dilation=[axis.dilation for axis in axes],
    )


@dataclass(frozen=True)
class Seen:
    """The field of a net's middle output, both ways.

    closed: the closed form's size; size: of the gradient's support, per axis; support:
    [*spatial]; coverage: the share of its box that it fills; agrees: whether size and
    start are the closed form's; margin: positions between the support and the border
    of the frame.
    """

    closed: int
    size: np.ndarray
    support: np.ndarray
    coverage: float
    agrees: bool
    margin: int


def see(net: Net, size: int, rank: int = 1) -> Seen:
    """Measures the field of the middle output of one net on a frame of one size."""
    spatial = (size,) * rank
    inputs = jnp.zeros((1, *spatial, 1))
    out = jax.eval_shape(partial(apply_ones, net), inputs).shape[1:-1]
    measured = brief(lambda inputs: look(partial(_apply, net), None, inputs))(inputs)
    return seen(measured, receptive_field(flat(net), spatial), out)


def _apply(net: Net, params: None, inputs: Array) -> Array:
    del params
    return apply_ones(net, inputs)


def look(apply: Callable[[Any, Array], Array], params: Any, inputs: Array) -> Measured:
    """(support, its start, its size, its coverage) for the middle output."""
    support = gradient_support(apply, params, inputs)
    return support, *bounding_box(support), coverage(support)


def seen(measured: Measured, fields: Sequence[Field], out: Sequence[int]) -> Seen:
    """Compares what `look` found with the closed form, for outputs of shape `out`."""
    support, start, size, share = map(np.asarray, measured)
    starts = [f.offset + f.stride * (n // 2) for f, n in zip(fields, out, strict=True)]
    sizes = [field.size for field in fields]
    ends = np.asarray(support.shape) - start - size
    return Seen(
        closed=sizes[0],
        size=size,
        support=support,
        coverage=float(share),
        agrees=sizes == size.tolist() and starts == start.tolist(),
        margin=int(min(start.min(), ends.min())),
    )
