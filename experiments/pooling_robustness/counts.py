"""The rows that are arithmetic: parameters, receptive fields and products.

Parameters are counted in the trees of the nets themselves and by the closed form;
fields by the closed form and by the support of a gradient; products by the closed form
and by a loop. No count depends on a seed: every metric has a leading axis of length 1.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.models import LeNet
from cnn_jax.ops import Layer, num_macs, num_params, receptive_field
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.receptive_field.stacks import chain, see

EDGES = (28, 32, 40)  # of the images, which four divides
PAIRS = {  # a net with its pools, and without
    "any": (LeNet(head="global", dense=()), LeNet(pool=None, head="global", dense=())),
    "dense-head": (LeNet(), LeNet(pool=None)),
    "next-layer": (LeNet(), LeNet(pool=None)),
}
COUNTED = {"dense-head": "dense1", "next-layer": "conv2"}  # "any": the whole net
LAYERS = {
    "any": "the whole net",
    "dense-head": "dense layer",
    "next-layer": "next conv",
}
FEATURES = 8
STACKS = {"5x5, pool 2": (5, 2), "3x3, pool 2": (3, 2), "3x3, pool 3": (3, 3)}
DEPTHS = (2, 3)  # convolutions, a pool between every two
EDGE = 36  # of the maps, which both pools divide twice
FRAME = 64  # positions around a field


def parameters() -> Metrics:
    """pooling-cuts-parameters: of what the row names, with pools less without.

    Returns:
      parameters-with-less-without/{any, dense-head, next-layer} [1, edge];
      parameters-miscounted [1]: numbers that differ from the closed form;
      cells-left [1, edge]: share of the last map's cells that is left by the pools;
      "parameters" [which, with or without], of the middle edge.
    """
    axes = {"edge": EDGES}
    every = {name: [_sizes(name, edge) for edge in EDGES] for name in PAIRS}
    metrics: dict = {
        f"parameters-with-less-without/{name}": Grid(
            np.asarray([[left - right for left, right in sizes]]), axes
        )
        for name, sizes in every.items()
    }
    miscounted = sum(
        found != closed
        for name, sizes in every.items()
        for edge, found in zip(EDGES, sizes, strict=True)
        for closed in [_closed(name, edge)]
    )
    left = [math.prod(_last_map(PAIRS["any"][0], edge)) / edge**2 for edge in EDGES]
    return {
        **metrics,
        "parameters-miscounted": np.asarray([miscounted]),
        "cells-left": Grid(np.asarray([left]), axes),
        "parameters": Shown(
            np.asarray([sizes[EDGES.index(32)] for sizes in every.values()]),
            f"parameters at 32x32 [{', '.join(LAYERS.values())}; with pools, without]",
        ),
    }


def _shapes(net: LeNet, edge: int) -> Any:
    images = jax.ShapeDtypeStruct((1, edge, edge, 1), jnp.float32)
    return jax.eval_shape(
        lambda images: net.init_with_output(jax.random.key(0), images), images
    )


def _last_map(net: LeNet, edge: int) -> tuple[int, ...]:
    """Height and width of the map behind the last pool."""
    (_, activations), _ = _shapes(net, edge)
    return activations["pool2"].shape[1:-1]


def _sizes(name: str, edge: int) -> tuple[int, ...]:
    """Parameters of the row's layer, with pools and without."""
    sizes = []
    for net in PAIRS[name]:
        _, variables = _shapes(net, edge)
        tree = variables["params"]
        counted = tree[COUNTED[name]] if name in COUNTED else tree
        sizes.append(sum(leaf.size for leaf in jax.tree.leaves(counted)))
    return tuple(sizes)


def _closed(name: str, edge: int) -> tuple[int, ...]:
    """The same by the closed form; a dense layer is a convolution over its map."""
    first, second = (Layer((5, 5), features) for features in (6, 16))
    if name == "any":
        whole = num_params([first, second, Layer((1, 1), 10)], 1)
        return whole, whole
    if name == "next-layer":
        return (num_params([second], 6),) * 2
    heads = (Layer((size, size), 120, padding="VALID") for size in (edge // 4, edge))
    return tuple(num_params([head], 16) for head in heads)


def widening() -> Metrics:
    """pooling-widens-view: field and products, with pools less without.

    Returns:
      field-with-less-without, macs-with-less-without [1, stack, convolutions], the
      field of the last convolution, the products of all; fields-miscounted,
      macs-miscounted [1]: what differs from a gradient's support and from a loop;
      "fields", "products" [stack, convolutions, with or without].
    """
    pairs = [
        [(_stack(*each, depth), _stack(each[0], 1, depth)) for depth in DEPTHS]
        for each in STACKS.values()
    ]
    shape = (EDGE, EDGE, FEATURES)
    fields = np.asarray(
        [
            [[receptive_field(s, shape[:2])[0].size for s in p] for p in row]
            for row in pairs
        ]
    )
    macs = np.asarray([[[num_macs(s, shape) for s in p] for p in row] for row in pairs])
    every = list(dict.fromkeys(s for row in pairs for pair in row for s in pair))
    axes = {"stack": tuple(STACKS), "convolutions": DEPTHS}
    label = f"[{', '.join(STACKS)}; 2, 3 convolutions; with pools, without]"
    return {
        "field-with-less-without": Grid(-np.diff(fields)[None, ..., 0], axes),
        "macs-with-less-without": Grid(-np.diff(macs)[None, ..., 0], axes),
        "fields-miscounted": np.asarray([sum(not _is_seen(stack) for stack in every)]),
        "macs-miscounted": np.asarray(
            [sum(_counted(stack) != num_macs(stack, shape) for stack in every)]
        ),
        "fields": Shown(fields, f"field of the last convolution {label}", "pixels"),
        "products": Shown(macs, f"multiply-accumulates of {shape} {label}"),
    }


def _stack(kernel: int, pool: int, depth: int) -> tuple[Layer, ...]:
    """Convolutions with a pool between every two; a pool of 1 is none."""
    convolution = Layer((kernel, kernel), FEATURES)
    between = Layer((pool, pool), strides=pool, padding="VALID")
    layers = [convolution]
    for _ in range(depth - 1):
        layers += [between, convolution] if pool > 1 else [convolution]
    return tuple(layers)


def _is_seen(stack: tuple[Layer, ...]) -> bool:
    """Whether a gradient's support is the closed form's field, along one axis."""
    line = [
        Layer(
            layer.axes[0].window,
            layer.features and 1,
            layer.axes[0].stride,
            layer.padding,
        )
        for layer in stack
    ]
    found = see(chain(*line), FRAME)
    return found.agrees and found.margin > 0


def _counted(stack: tuple[Layer, ...]) -> int:
    """Products of a stack of EDGE x EDGE maps, by a loop over outputs and taps."""
    edge, total = EDGE, 0
    for layer in stack:
        window, stride, *_ = layer.axes[0]
        low = 0 if layer.padding == "VALID" else window // 2
        starts = range(-low, edge + low - window + 1, stride)
        taps = sum(1 for _ in itertools.product(starts, starts, range(window**2)))
        total += taps * FEATURES**2 if layer.features else 0
        edge = len(starts)
    return total
