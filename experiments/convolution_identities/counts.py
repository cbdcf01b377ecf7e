"""What is counted: uses of weights and pixels, multiplications, parameters.

Uses are derivatives of a sum, exact whole numbers. Every metric has a leading axis of
length 1: no count depends on a seed.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.layers import Conv
from cnn_jax.ops import conv, locally_connected
from experiments.convolution_identities.sides import direct_conv
from experiments.harness.claims import Grid, Metric, Metrics

# Edges of map and kernel; every map is at least 2f - 1 wide.
MAPS = ((4, 2), (6, 3), (9, 5))
CHANNELS = (1, 2, 3, 4)
COSTS = ((5, 2), (8, 3), (12, 5))  # m inputs, k taps


def weight_uses(padding: str, edge: int, window: int) -> jax.Array:
    """On how many pixels of an edge x edge map each weight acts: [window, window].

    The derivative of the sum of all outputs of an image of ones: what falls on the
    padding's zeros is no use of a pixel.
    """
    images = jnp.ones((1, edge, edge, 1))

    def total(kernel: jax.Array) -> jax.Array:
        return jnp.sum(direct_conv(images, kernel, padding=padding))

    return jax.grad(total)(jnp.ones((window, window, 1, 1)))[..., 0, 0]


def pixel_uses(padding: str, stride: int, edge: int, window: int) -> jax.Array:
    """To how many products each pixel of an edge x edge map contributes: [edge, edge].

    The derivative of the sum of all outputs of a kernel of ones.
    """
    kernel = jnp.ones((window, window, 1, 1))

    def total(images: jax.Array) -> jax.Array:
        return jnp.sum(direct_conv(images, kernel, padding=padding, strides=stride))

    return jax.grad(total)(jnp.ones((1, edge, edge, 1)))[0, ..., 0]


def uses() -> Metrics:
    """weights-used-everywhere and border-used-less.

    Returns:
        weights-used-everywhere/dense [1, use], and /PADDING [1, map], the uses of the
        kernel's least used tap over the number of pixels. border-used-less/ corner
        (uses), interior and full (least and most uses over f²) and full-stride-2 (how
        many different numbers of uses). "uses", maps for the figure.
    """
    paddings = ("FULL", "CIRCULAR", "SAME", "VALID")
    borders = (("VALID", 1), ("FULL", 1), ("FULL", 2))

    @jax.jit
    def measure():
        dense = jax.grad(lambda kernel: jnp.sum(jnp.ones((1, 12)) @ kernel))
        weights = [[weight_uses(p, *each) for each in MAPS] for p in paddings]
        pixels = [[pixel_uses(*each, *m) for m in MAPS] for each in borders]
        return dense(jnp.ones((12, 5))), weights, pixels

    dense, weights, pixels = jax.tree.map(np.asarray, measure())
    labels = {"map": tuple(f"{m}x{m}, kernel {f}x{f}" for m, f in MAPS)}
    found: dict[str, Metric] = {
        "weights-used-everywhere/dense": np.asarray([dense.min(), dense.max()])[None]
    }
    for padding, taps in zip(paddings, weights, strict=True):
        share = [each.min() / m**2 for each, (m, _) in zip(taps, MAPS, strict=True)]
        name = f"weights-used-everywhere/{padding.lower()}"
        found[name] = Grid(np.asarray([share]), labels)
    valid, full, strided = pixels
    return {**found, **_borders(valid, full, strided, labels)}


def _borders(valid, full, strided, labels) -> Metrics:
    """The metrics of border-used-less, of each list one map of uses per MAPS."""
    ends = {**labels, "of": ("least used", "most used")}
    inner, whole = [], []
    for each, every, (_, f) in zip(valid, full, MAPS, strict=True):
        interior = each[f - 1 : 1 - f, f - 1 : 1 - f] / f**2
        inner.append((interior.min(), interior.max()))
        whole.append((every.min() / f**2, every.max() / f**2))
    distinct = [len(np.unique(each)) for each in strided]
    return {
        "border-used-less/corner": Grid(
            np.asarray([[each[0, 0] for each in valid]]), labels
        ),
        "border-used-less/interior": Grid(np.asarray([inner]), ends),
        "border-used-less/full": Grid(np.asarray([whole]), ends),
        "border-used-less/full-stride-2": Grid(np.asarray([distinct]), labels),
        "uses": np.stack([each[1] for each in (valid, full, strided)])[None],
    }


def multichannel() -> Metrics:
    """multichannel-commutes/only-if: counts that differ although both orders exist.

    All pairs of layers of up to 4 channels and features each, by what `conv` accepts.

    Returns:
        .../only-if [1], pairs with differing counts whose two orders are defined and of
        one shape; .../square [1], the pairs with equal counts of which that is true.
    """
    layers = [(c, features) for c in CHANNELS for features in CHANNELS]
    composed = {(a, b): _composed(a, b) for a in layers for b in layers}
    defined = [
        {*first, *second}
        for (first, second), shape in composed.items()
        if shape is not None and shape == composed[second, first]
    ]
    equal = sum(len(counts) == 1 for counts in defined)
    return {
        "multichannel-commutes/only-if": np.asarray([len(defined) - equal]),
        "multichannel-commutes/square": np.asarray([equal]),
        "cases/multichannel-commutes/only-if": np.asarray([[equal, len(defined)]]),
    }


def _composed(first: tuple[int, int], second: tuple[int, int]) -> tuple | None:
    """Shapes of inputs and outputs of one layer after the other; None: undefined."""
    inputs, *kernels = [
        jax.ShapeDtypeStruct(shape, jnp.float32)
        for shape in ((1, 4, first[0]), (3, *first), (3, *second))
    ]

    def apply(inputs, first, second):
        return conv(conv(inputs, first), second)

    try:
        return inputs.shape, jax.eval_shape(apply, inputs, *kernels).shape
    except ValueError:
        return None


def counted(
    inputs: np.ndarray, weights: np.ndarray, taps: Sequence[Sequence[tuple]]
) -> tuple[np.ndarray, int, int]:
    """y[p] = Σ weights[index]·inputs[i] over the (index, i) of taps[p], by a loop.

    Returns:
        (outputs, multiplications, weights used).
    """
    outputs, multiplications, used = [], 0, set()
    for row in taps:
        total = 0.0
        for index, place in row:
            total += float(weights[index]) * float(inputs[place])
            multiplications += 1
            used.add(index)
        outputs.append(total)
    return np.asarray(outputs), multiplications, len(used)


def costs() -> Metrics:
    """sparse-cost: what a loop counts, less m·n, k·n and k; valid, stride 1, 1-d.

    Returns:
        sparse-cost [1, size, layer, what]; sparse-cost/outputs [1, size, layer], the
        relative error of the loop's outputs against the layer's own.
    """
    axes = {
        "size": tuple(f"m {m}, k {k}" for m, k in COSTS),
        "layer": ("dense", "sparse", "shared"),
    }
    found = [_cost(m, k) for m, k in COSTS]
    differences, wrong = zip(*found, strict=True)
    what = {"what": ("multiplications", "parameters")}
    return {
        "sparse-cost": Grid(np.asarray([differences]), {**axes, **what}),
        "sparse-cost/outputs": Grid(np.asarray([wrong]), axes),
    }


def _cost(m: int, k: int) -> tuple[list[tuple[int, int]], list[float]]:
    """Counted less stated, and the loops' errors, of all three layers of one size."""
    n, draw = m - k + 1, np.random.RandomState(m)
    inputs, dense, local, shared = (
        draw.standard_normal(shape).astype(np.float32)
        for shape in ((m,), (n, m), (n, k), (k,))
    )
    loops = (
        counted(inputs, dense, [[((p, i), i) for i in range(m)] for p in range(n)]),
        counted(inputs, local, [[((p, w), p + w) for w in range(k)] for p in range(n)]),
        counted(inputs, shared, [[((w,), p + w) for w in range(k)] for p in range(n)]),
    )
    stated = ((m * n, m * n), (k * n, k * n), (k * n, k))

    @jax.jit
    def layers() -> tuple[jax.Array, ...]:
        image = jnp.asarray(inputs).reshape(1, m, 1)
        kernel = jnp.asarray(local)[..., None]
        return (
            jnp.asarray(dense) @ jnp.asarray(inputs),
            locally_connected(image, kernel, window_shape=(k,), padding="VALID"),
            direct_conv(image, jnp.asarray(shared)[:, None, None], padding="VALID"),
        )

    differences = [
        (products - claimed, used - parameters)
        for (_, products, used), (claimed, parameters) in zip(
            loops, stated, strict=True
        )
    ]
    wrong = [
        float(np.linalg.norm(np.ravel(layer) - outputs) / np.linalg.norm(outputs))
        for layer, (outputs, *_) in zip(layers(), loops, strict=True)
    ]
    return differences, wrong


def parameters() -> Metrics:
    """separable-count and grouped-count: the layers' parameters less the formula.

    Returns:
        separable-count [1, K, c1, c2] and grouped-count [1, K, c2, g], c1 = 8.
    """
    windows, features, groups = (1, 3, 5), (4, 8), (2, 4, 8)

    def size(layer: Conv, channels: int) -> int:
        images = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
        tree = jax.eval_shape(layer.init, jax.random.key(0), images)
        return sum(leaf.size for leaf in jax.tree.leaves(tree["params"]))

    def layer(features: int, k: int, groups: int = 1) -> Conv:
        return Conv(features, (k, k), feature_group_count=groups, use_bias=False)

    separable = [
        [
            [
                size(layer(c1, k, c1), c1)
                + size(layer(c2, 1), c1)
                - k**2 * c1
                - c1 * c2
                for c2 in features
            ]
            for c1 in features
        ]
        for k in windows
    ]
    grouped = [
        [
            [g * size(layer(c2, k, g), 8) - size(layer(c2, k), 8) for g in groups]
            for c2 in (8, 16)
        ]
        for k in windows
    ]
    return {
        "separable-count": Grid(
            np.asarray([separable]), {"K": windows, "c1": features, "c2": features}
        ),
        "grouped-count": Grid(
            np.asarray([grouped]), {"K": windows, "c2": (8, 16), "groups": groups}
        ),
    }
