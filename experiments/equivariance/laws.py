"""The laws about convolution: each measured over shifts, depths, kernels and seeds.

Every function takes keys [seeds], photographs [N, SIZE, SIZE, 1] and `trained`, the
convolution layers of the trained nets (leaves [seeds, arms, ...]), and returns
metrics with a leading seed axis. The axis "net" lists random layers first, then the
trained ones.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.instruments import (
    equivariance_error,
    invariance_error,
    peak_displacement,
    roll,
    shift_grid,
)
from cnn_jax.ops import conv, global_avg_pool, max_pool
from experiments.equivariance.geometry import (
    CONTENT,
    DEEPEST,
    GEOMETRIES,
    SIZE,
    WIDTH,
    Geometry,
    Layer,
    advance,
    advance_unshared,
    errors,
    labels,
    pictures,
    random_stack,
    sides,
)
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds

STRIDES = (1, 2, 4)


def convolution_errors(
    keys: jax.Array, photographs: np.ndarray, trained, arms, max_shift: int, depth: int
) -> Metrics:
    """conv-equivariant: the equivariance error under every geometry, and its control.

    Returns:
        error/NAME [seeds, strides, net, shift]; unshared-error [seeds, geometry], the
        smallest error of a layer whose kernels are independent; spread [seeds,
        geometry], the smallest spatial spread of any map.
    """
    nets = [
        [stack, *_of_seed(trained, seed)]
        for seed, stack in enumerate(
            _unstack(over_seeds(partial(random_stack, depth=depth), brief)(keys))
        )
    ]
    size = CONTENT + 2 * (max_shift + DEEPEST)  # of the largest canvas
    shape = (max(size, SIZE) + 2,) * 2 + (9, WIDTH)
    independent = np.asarray(
        over_seeds(lambda key: normals(key, shape)[0] / 3, brief)(keys)
    )
    metrics, unshared, alive = {}, [], []
    for name, geometry in GEOMETRIES.items():
        images = pictures(photographs, geometry, max_shift, depth)
        shifts = geometry.grid(max_shift)
        arguments = (images, shifts, geometry)
        values, spreads = zip(
            *(_net_errors(each, *arguments) for each in nets), strict=True
        )
        alive.append(spreads)
        random = [f"random x{layers}" for layers in geometry.depths(depth)]
        axes = {
            "strides": tuple("x".join(map(str, each)) for each in geometry.strides),
            "net": (
                *random,
                *(f"{arm} x{layers}" for arm in arms for layers in (1, 2)),
            ),
            "shift": labels(shifts),
        }
        metrics[f"error/{name}"] = Grid(np.stack(values), axes)
        unshared.append([_smallest_error(each, *arguments) for each in independent])
    axes = {"geometry": tuple(GEOMETRIES)}
    metrics["unshared-error"] = Grid(np.asarray(unshared).T, axes)
    metrics["spread"] = Grid(np.asarray(alive).T, axes)
    return metrics


def _unstack(per_seed) -> list:
    """One pytree per seed of a pytree with a leading seed axis."""
    num_seeds = len(jax.tree.leaves(per_seed)[0])
    per_seed = jax.tree.map(np.asarray, per_seed)
    return [
        jax.tree.map(operator.itemgetter(seed), per_seed) for seed in range(num_seeds)
    ]


def _of_seed(trained: Sequence[Layer], seed: int) -> list[list[Layer]]:
    """The layers of every arm, of one seed."""
    num_arms = trained[0][0].shape[1]
    host = [
        (np.asarray(kernel)[seed], np.asarray(bias)[seed]) for kernel, bias in trained
    ]
    return [
        [(kernel[arm], bias[arm]) for kernel, bias in host] for arm in range(num_arms)
    ]


def _net_errors(
    nets: Sequence[Sequence[Layer]],
    images: np.ndarray,
    shifts: np.ndarray,
    geometry: Geometry,
) -> tuple[np.ndarray, float]:
    """The errors of one seed's nets [strides, net, shift], and the smallest spread."""
    by_strides, spreads = [], []
    for strides in geometry.strides:
        found = [
            errors(advance, net, images, shifts, geometry, strides) for net in nets
        ]
        by_strides.append(np.concatenate([each for each, _ in found]))
        spreads += [each for _, each in found]
    return np.stack(by_strides), min(spreads)


def _smallest_error(
    kernels: np.ndarray, images: np.ndarray, shifts: np.ndarray, geometry: Geometry
) -> float:
    """The smallest error of one unshared layer over strides and shifts."""
    found = [
        errors(advance_unshared, [kernels], images, shifts, geometry, strides[:1])[0]
        for strides in geometry.strides
    ]
    return min(each.min() for each in found)


def displacements(keys: jax.Array, photographs: np.ndarray, trained, arms) -> Metrics:
    """moves-by-same-amount: the slope of the peak's displacement against the shift.

    Shifts are -3 to 3 strides along one axis, of one circular convolution. The slope
    is the least-squares line through the origin, per image.

    Returns:
        slope/STRIDE and peak/STRIDE, [seeds, net, axis, image].
    """
    axes = {
        "net": ("random", *arms),
        "axis": ("vertical", "horizontal"),
        "image": tuple(range(len(photographs))),
    }
    images = jnp.asarray(photographs)
    first = over_seeds(_with_random, brief)((keys, trained))[0]
    metrics: dict[str, Grid] = {}
    for stride in STRIDES:

        def measure(layers: Layer, images: jax.Array, stride: int = stride):
            return jax.lax.map(lambda layer: _slopes(layer, images, stride), layers)

        slope, peak = over_seeds(measure, brief)(first, images)
        metrics[f"slope/{stride}"] = Grid(np.asarray(slope), axes)
        metrics[f"peak/{stride}"] = Grid(np.asarray(peak), axes)
    return metrics


def _with_random(per_seed) -> list[Layer]:
    """One seed's trained layers, a random net of their shapes before them: [nets]."""
    key, trained = per_seed
    shapes = [leaf.shape[1:] for layer in trained for leaf in layer]
    drawn = iter(normals(key, *shapes))
    layers = []
    for kernels, biases in trained:
        scale = (2 / np.prod(kernels.shape[1:-1])) ** 0.5
        kernel, bias = scale * next(drawn), 0.2 * next(drawn)
        layers.append(
            (
                jnp.concatenate([kernel[None], kernels]),
                jnp.concatenate([bias[None], biases]),
            )
        )
    return layers


def _slopes(layer: Layer, images: jax.Array, stride: int):
    """(slope, lowest peak correlation), each [axis, image]."""
    kernel, bias = layer
    steps = stride * jnp.arange(-3, 4)

    def feature_map(images: jax.Array) -> jax.Array:
        return conv(
            images, kernel, bias, strides=stride, padding="CIRCULAR", algorithm="direct"
        )

    still = feature_map(images)

    def along(axis: jax.Array) -> tuple[jax.Array, jax.Array]:
        def at(step: jax.Array):
            moved = feature_map(roll(images, step * axis))
            displacement, peak = peak_displacement(moved, still)
            return displacement @ axis, peak

        moved, peaks = jax.lax.map(at, steps)
        slope = jnp.sum(steps[:, None] * moved, 0) / jnp.sum(steps**2)
        return slope, jnp.min(peaks, 0)

    return jax.lax.map(along, jnp.eye(2, dtype=jnp.int32))


def invariance_errors(
    keys: jax.Array, photographs: np.ndarray, trained, arms, max_shift: int
) -> Metrics:
    """What is invariant: circular convolutions alone, pooled, averaged, flattened.

    Each reading takes random layers and the trained nets'. The dense layer behind the
    last two readings is random: it acts on another size than the trained one.

    Returns:
        invariance/{conv, max-pool, average} and logits/{dense, average}, invariance
        errors, and invariance/equivariance, the equivariance error of the
        convolutions: [seeds, net, shift].
    """
    shifts = shift_grid(max_shift)[1:]
    measured = over_seeds(_invariances, brief)(
        (keys, trained), jnp.asarray(photographs), shifts
    )
    axes = {"net": ("random", *arms), "shift": labels(shifts)}
    return {name: Grid(np.asarray(values), axes) for name, values in measured.items()}


def _invariances(per_seed, images: jax.Array, shifts: jax.Array) -> dict:
    """One seed's errors by name, [net, shift]."""
    key, trained = per_seed
    net_key, dense_key = jax.random.split(key)

    def measure(layers: Sequence[Layer]) -> dict[str, jax.Array]:
        readings = _readings(layers, dense_key)

        def at(shift: jax.Array) -> dict[str, jax.Array]:
            found = {
                name: jnp.max(invariance_error(apply, None, images, shift))
                for name, apply in readings.items()
            }
            maps = readings["invariance/conv"]
            error = equivariance_error(maps, None, images, shift)
            return {**found, "invariance/equivariance": jnp.max(error)}

        return jax.lax.map(at, shifts)

    return jax.lax.map(measure, _with_random((net_key, trained)))


def _readings(layers: Sequence[Layer], dense_key: jax.Array) -> dict[str, Callable]:
    """What is said to be invariant, each a function (None, images) -> outputs."""

    def maps(_, images):
        for layer in layers:
            images = advance(images, layer, geometry=GEOMETRIES["circular"])
        return images

    def logits(features):
        flat = features.reshape(len(features), -1)
        (dense,) = normals(dense_key, (flat.shape[1], 10))
        return flat @ (dense / flat.shape[1] ** 0.5)

    return {
        "invariance/conv": maps,
        "invariance/max-pool": lambda _, x: max_pool(maps(_, x), (2, 2), (2, 2)),
        "invariance/average": lambda _, x: global_avg_pool(maps(_, x)),
        "logits/dense": lambda _, x: logits(maps(_, x)),
        "logits/average": lambda _, x: logits(global_avg_pool(maps(_, x))),
    }


def feature_maps(key: jax.Array, photographs: np.ndarray) -> Metrics:
    """What the eye sees of it: the most active channel under two paddings.

    Returns:
        "feature-maps" [geometry, panel, H, W]: the map, the map shifted, the map of
        the shifted image, and the difference of the last two.
    """
    names = ("circular", "zero-roll")
    panels = partial(brief(_panels, static_argnames="name"), key, photographs[:1])
    label = "feature maps of the figure [padding; panel; row; column]"
    return {"feature-maps": Shown(np.stack([panels(name=n) for n in names]), label)}


def _panels(key: jax.Array, image: jax.Array, *, name: str) -> jax.Array:
    """The four pictures [4, H, W] of one geometry."""
    geometry, shift = GEOMETRIES[name], jnp.asarray((6, 6))
    (layer,) = random_stack(key, depth=1)
    still = advance(image, layer, geometry=geometry)
    moved = advance(roll(image, shift), layer, geometry=geometry)
    left, right = sides(moved, still, shift)
    panels = jnp.stack([still, right, left, left - right])[:, 0]
    return panels[..., jnp.argmax(jnp.mean(still, axis=(0, 1, 2)))]
