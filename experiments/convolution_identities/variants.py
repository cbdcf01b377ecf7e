"""The identities of the other convolutions: tiled, grouped, separable, transposed.

Metrics as in `laws`: numbers [seeds, NUMBERS] to Grids with a leading seed axis.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import tiled_conv
from experiments.convolution_identities import sides
from experiments.convolution_identities.laws import error, errors
from experiments.convolution_identities.sides import Sides
from experiments.convolution_identities.transposed import (
    Transposed,
    adjoint_sides,
    zero_stuffed_sides,
)
from experiments.harness.claims import Grid, Metrics
from experiments.harness.seeds import cut, over_seeds

MAP = 8  # edge of the maps that are tiled
TILES = (1, 2, 4)


def tiles(numbers: jax.Array) -> Metrics:
    """locally-connected-and-tiled: both ends, and how many kernels lie between.

    Returns:
        locally-connected-and-tiled/ends [seeds, case]; .../kernels [seeds, t], distinct
        kernels of t x t tiles on a circular map, less t².
    """

    def ends(numbers: jax.Array, rank: int, every: bool) -> Sides:
        spatial, window = (6,) * rank, (3,) * rank
        tiled = spatial if every else ()
        apply = sides.all_tiles_sides if every else sides.one_tile_sides
        return apply(*cut(numbers, (2, *spatial, 2), (*tiled, *window, 2, 3)))

    def kernels(numbers: jax.Array) -> list[jax.Array]:
        return [
            sides.layer_matrix(
                functools.partial(
                    tiled_conv,
                    kernel=cut(numbers, (t, t, 3, 3, 1, 1))[0],
                    padding="CIRCULAR",
                ),
                (MAP, MAP, 1),
            )
            for t in TILES
        ]

    found = [np.asarray(each) for each in over_seeds(kernels)(numbers)]
    beyond = [
        [distinct_kernels(each) - t**2 for each in matrix]
        for t, matrix in zip(TILES, found, strict=True)
    ]
    cases = {
        f"{rank}-d, {'a tile per position' if every else 'one tile'}": (
            functools.partial(ends, rank=rank, every=every)
        )
        for rank in (1, 2)
        for every in (False, True)
    }
    return {
        "locally-connected-and-tiled/ends": errors(numbers, cases),
        "locally-connected-and-tiled/kernels": Grid(
            np.asarray(beyond).T, {"tiles": TILES}
        ),
    }


def distinct_kernels(matrix: np.ndarray) -> int:
    """How many kernels a layer on a circular MAP x MAP has, from its matrix."""
    rows = matrix.reshape(MAP, MAP, MAP, MAP)
    centered = [
        np.roll(rows[i, j], (-i, -j), (0, 1)).ravel()
        for i in range(MAP)
        for j in range(MAP)
    ]
    return len(np.unique(centered, axis=0))


def equal_kernels(numbers: jax.Array) -> Metrics:
    """Controls of separable-count and grouped-count: the layers are what is counted.

    Returns:
        separable-count/equal and grouped-count/equal [seeds, case].
    """

    def separable(numbers: jax.Array, channels: int) -> Sides:
        shapes = (2, 5, 5, channels), (3, 3, 1, channels), (1, 1, channels, 3)
        return sides.separable_sides(*cut(numbers, *shapes))

    def grouped(numbers: jax.Array, groups: int) -> Sides:
        shapes = (2, 5, 5, 4), (3, 3, 4 // groups, 8)
        return sides.grouped_sides(*cut(numbers, *shapes), groups=groups)

    return {
        "separable-count/equal": errors(
            numbers,
            {f"{c} channels": functools.partial(separable, channels=c) for c in (1, 4)},
        ),
        "grouped-count/equal": errors(
            numbers,
            {f"{g} groups": functools.partial(grouped, groups=g) for g in (2, 4)},
        ),
    }


def transposes(numbers: jax.Array, cases: tuple[Transposed, ...]) -> Metrics:
    """transposed-is-adjoint/{adjoint, zero-stuffing}, two channels to three.

    Returns:
        .../adjoint [seeds, case, reading] and .../zero-stuffing [seeds, case].
    """

    def measure(numbers: jax.Array, case: Transposed) -> jax.Array:
        (kernel,) = cut(numbers, (case.window, 2, 3))
        both = [*adjoint_sides(kernel, case), zero_stuffed_sides(kernel, case)]
        return jnp.stack(list(map(error, both)))

    def measure_all(numbers: jax.Array) -> jax.Array:
        return jnp.stack([measure(numbers, case) for case in cases])

    found = np.asarray(over_seeds(measure_all)(numbers))
    labels = {"case": tuple(map(str, cases))}
    readings = ("matrix", "backward of C", "backward of Cᵀ")
    return {
        "transposed-is-adjoint/adjoint": Grid(
            found[..., :3], {**labels, "reading": readings}
        ),
        "transposed-is-adjoint/zero-stuffing": Grid(found[..., 3], labels),
    }
