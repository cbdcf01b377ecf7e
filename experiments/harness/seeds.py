"""Keys of the seeds, draws, and a function run once per seed in one compilation."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax

from experiments.harness.placement import Program


def keys(seed: int, num_seeds: int) -> jax.Array:
    """One key per seed: keys[i] = fold_in(key(seed), i).

    So the first seeds of a longer run are those of a shorter one.

    Args:
        seed: in [0, 2**32).
        num_seeds: 1 or more.

    Returns:
        [num_seeds] typed keys.
    """
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return fold(jax.random.key(seed), jax.numpy.arange(num_seeds))


def normals(key: jax.Array, *shapes: tuple[int, ...]) -> list[jax.Array]:
    """Standard normal arrays of these shapes, cut from one flat draw.

    XLA compiles a draw of four or five axes for ten seconds on CPU, a flat one for less
    than one.
    """
    return cut(jax.random.normal(key, (sum(map(math.prod, shapes)),)), *shapes)


def cut(numbers: jax.Array, *shapes: tuple[int, ...]) -> list[jax.Array]:
    """Arrays of these shapes, one after the other from numbers [N].

    Raises:
        ValueError: the shapes hold more numbers than there are.
    """
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    if ends[-1] > len(numbers):
        raise ValueError(f"expected at most {len(numbers)} numbers, got {ends[-1]}")
    parts = jax.numpy.split(numbers[: ends[-1]], ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def over_seeds(
    function: Callable[..., Any],
    jit: Callable[..., Callable[..., Any]] = jax.jit,
    *,
    batch_size: int | None = None,
) -> Program:
    """`function(per_seed, *shared)` for every seed, jitted.

    The first argument has a leading seed axis in every leaf, the others are the
    same for all seeds. `lax.map` runs the seeds one after the other: bit for bit
    what each would give alone, which vmap does not promise. Within `Lab.fit` the seeds
    are spread over all devices, and `placement` chooses between the two.

    Args:
        function: of one seed.
        jit: `compilation.brief` for what compiles for longer than it runs.
        batch_size: examples of a step, if devices may share them: `function` trains by
            `cnn_jax.training.chunk` a mean over examples, each treated alone.
    """
    return Program(function, jit, batch_size)
