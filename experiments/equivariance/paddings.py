"""conv-equivariant: the equivariance error of convolutions under every geometry.

Letters: R seeds. Nets are those of one seed each: random stacks and the convolution
layers of the trained nets.
"""

import operator
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

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
)
from experiments.harness.claims import Grid, Metrics
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds


class Subjects(NamedTuple):
    """What is measured under every geometry.

    Attributes:
      nets: per seed the random stack and the layers of every arm.
      arms: names of the trained nets.
      unshared: [R, rows, columns, 9, WIDTH], independent kernels.
      photographs: [N, SIZE, SIZE, 1].
      max_shift: of the grid, in pixels.
      depth: of the random stack.
    """

    nets: list[list[list[Layer]]]
    arms: Sequence[str]
    unshared: np.ndarray
    photographs: np.ndarray
    max_shift: int
    depth: int


def subjects(
    keys: jax.Array,
    photographs: np.ndarray,
    trained: Sequence[tuple[np.ndarray, np.ndarray]],
    arms: Sequence[str],
    max_shift: int,
    depth: int,
) -> Subjects:
    """Draws what is random; `trained` has leaves [R, arms, ...]."""
    stacks = over_seeds(partial(random_stack, depth=depth), brief)(keys)
    nets = [
        [stack, *_of_seed(trained, seed)] for seed, stack in enumerate(_unstack(stacks))
    ]
    size = CONTENT + 2 * (max_shift + DEEPEST)  # of the largest canvas
    shape = (max(size, SIZE) + 2,) * 2 + (9, WIDTH)
    unshared = over_seeds(lambda key: normals(key, shape)[0] / 3, brief)(keys)
    return Subjects(nets, arms, np.asarray(unshared), photographs, max_shift, depth)


def geometry_errors(name: str, subjects: Subjects) -> Metrics:
    """The errors under one geometry, and what its controls need.

    Returns:
        error/NAME [R, strides, net, shift]; unshared-error/NAME [R], the smallest error
        of a layer whose kernels are independent; spread/NAME [R], the smallest spatial
        spread of any map.
    """
    geometry, depth = GEOMETRIES[name], subjects.depth
    images = pictures(subjects.photographs, geometry, subjects.max_shift, depth)
    shifts = geometry.grid(subjects.max_shift)
    arguments = (images, shifts, geometry)
    values, spreads = zip(
        *(_net_errors(each, *arguments) for each in subjects.nets), strict=True
    )
    random = [f"random x{layers}" for layers in geometry.depths(depth)]
    axes = {
        "strides": tuple("x".join(map(str, each)) for each in geometry.strides),
        "net": (
            *random,
            *(f"{arm} x{layers}" for arm in subjects.arms for layers in (1, 2)),
        ),
        "shift": labels(shifts),
    }
    smallest = [_smallest_error(each, *arguments) for each in subjects.unshared]
    return {
        f"error/{name}": Grid(np.stack(values), axes),
        f"unshared-error/{name}": np.asarray(smallest),
        f"spread/{name}": np.asarray(spreads),
    }


def joined(metrics: Metrics) -> Metrics:
    """The metrics with unshared-error and spread as one grid each [R, geometry]."""
    kept = dict(metrics)
    for kind in ("unshared-error", "spread"):
        rows = [np.asarray(kept.pop(f"{kind}/{name}")) for name in GEOMETRIES]
        kept[kind] = Grid(np.stack(rows, 1), {"geometry": tuple(GEOMETRIES)})
    return kept


def _unstack(per_seed) -> list:
    """One pytree per seed of a pytree with a leading seed axis."""
    num_seeds = len(jax.tree.leaves(per_seed)[0])
    per_seed = jax.tree.map(np.asarray, per_seed)
    return [
        jax.tree.map(operator.itemgetter(seed), per_seed) for seed in range(num_seeds)
    ]


def _of_seed(
    trained: Sequence[tuple[np.ndarray, np.ndarray]], seed: int
) -> list[list[Layer]]:
    """The layers of every arm, of one seed."""
    num_arms = trained[0][0].shape[1]
    return [
        [(kernel[seed, arm], bias[seed, arm]) for kernel, bias in trained]
        for arm in range(num_arms)
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
