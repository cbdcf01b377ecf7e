"""The laws about convolution: each measured over shifts, depths, kernels and seeds.

Every function takes keys [seeds], photographs [N, SIZE, SIZE, 1] and `trained`, the
convolution layers of the trained nets (leaves [seeds, arms, ...]), and returns
metrics with a leading seed axis. The axis "net" lists random layers first, then the
trained ones.
"""

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
    GEOMETRIES,
    Layer,
    advance,
    labels,
    random_stack,
    sides,
)
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds

STRIDES = (1, 2, 4)


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
