"""Stochastic pooling against its law, and what pools hold to learn.

A window a[w] >= 0 is pooled to one of its values, drawn with P(w) = a[w] / Σ a, while
training, and to their mean Σ a² / Σ a when testing.
"""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import layers
from cnn_jax.models import LeNet
from cnn_jax.ops import avg_pool, max_pool, stochastic_pool
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import cut, over_seeds

WINDOWS, DRAWS = 10, 10_000  # per seed: 1e5 draws
CELLS = 9  # values of a window
LEAST = 0.1  # of the values above 0: every expected count is far above 5
SAMPLERS = ("stochastic pooling", "uniform sampler")
KINDS = ("uniform", "exponential", "sparse", "equal", "photographs")
SIZES = (2, 3, 4, 8)
NUM_TESTED = 1000  # windows per seed, kind and size
_WINDOWS = (2, 2), (2, 2)
POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": partial(layers.MaxPool, *_WINDOWS),
    "average": partial(layers.AvgPool, *_WINDOWS),
    "L2": partial(layers.LpPool, *_WINDOWS),
    "stochastic": partial(layers.StochasticPool, *_WINDOWS, deterministic=True),
}
LEARNED = partial(layers.MixedPool, *_WINDOWS, per_channel=True)


def parameters() -> Metrics:
    """no-parameters: what a pool's layer adds to the parameter tree of LeNet.

    Against the same net with every second pixel in the place of the pool, whose maps
    are as large.

    Returns:
      pool-parameters [1, pool]; learned-shares [1], of the control: a pool between
      average and maximum, by a share that each channel learns.
    """
    without = _size(lambda inputs: inputs[:, ::2, ::2])
    counts = [[_size(_layer(pool)) - without for pool in POOLS.values()]]
    return {
        "pool-parameters": Grid(np.asarray(counts), {"pool": tuple(POOLS)}),
        "learned-shares": np.asarray([_size(_layer(LEARNED)) - without]),
    }


def _layer(pool: Callable[[], nn.Module]) -> Callable[[Array], Array]:
    """A layer of its own wherever the net pools."""
    return lambda inputs: pool()(inputs)


def _size(pool: Callable[[Array], Array]) -> int:
    net, images = LeNet(pool=pool), jnp.zeros((1, 24, 24, 1))
    tree = jax.eval_shape(net.init, jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def follows_value(keys: Array) -> Metrics:
    """stochastic-follows-value: one chi-squared per sampler, seeds pooled.

    Windows of nine distinct values, one of which is 0; every window is drawn from
    10,000 times. The uniform sampler, too, draws no 0, so that the test has to tell it
    by its shares.

    Returns:
      p/{stochastic, uniform} [1]; accepted-negative [1], whether a negative value
      passes without a ValueError that names it; "drawn-shares" [sampler, 2, cells].
    """
    counts, chances = map(np.asarray, over_seeds(_counts, brief)(keys))
    tests = {
        "p/stochastic": chi_squared(counts[:, 0], chances)[1],
        "p/uniform": chi_squared(counts[:, 1], chances)[1],
    }
    # [seed, cell, sampler, window]
    shares = counts[:, :, :CELLS].swapaxes(1, 2) / DRAWS
    wanted = np.broadcast_to(chances[:, :, None], shares.shape)
    pairs = np.stack([wanted, shares]).transpose(3, 0, 1, 4, 2)
    return {
        **{name: np.asarray([p]) for name, p in tests.items()},
        "accepted-negative": np.asarray([int(not _refuses_negative())]),
        "drawn-shares": Shown(
            pairs.reshape(len(SAMPLERS), 2, -1),
            f"value over its window's sum, and share of draws [{', '.join(SAMPLERS)}; "
            "which; cell of a window of a seed]",
        ),
    }


def chi_squared(counts: np.ndarray, chances: np.ndarray) -> tuple[float, float]:
    """Pearson's statistic over all windows, and its p-value.

        Σ (count - draws·P)² / (draws·P),   one degree of freedom less per window

    Args:
      counts: [seeds, cells + 1, windows], the last cell what was in no cell.
      chances: P [seeds, cells, windows]; what has chance 0 must never be drawn.
    """
    from scipy import stats

    draws = counts.sum(1, keepdims=True)
    nothing = np.zeros_like(chances[:, :1])
    expected = draws * np.concatenate([chances, nothing], 1)
    possible = expected > 0
    if counts[~possible].any():
        return float("inf"), 0.0
    squares = (counts - expected)[possible] ** 2 / expected[possible]
    freedom = possible.sum() - draws.size
    return float(squares.sum()), float(stats.chi2.sf(squares.sum(), freedom))


def _counts(key: Array) -> tuple[Array, Array]:
    """Draws of each value [sampler, cells + 1, windows]; P [cells, windows]."""
    number_key, draw_key = jax.random.split(key)
    numbers = jax.random.uniform(number_key, ((CELLS + DRAWS) * WINDOWS,))
    values, other = cut(numbers, (CELLS, WINDOWS), (DRAWS, WINDOWS))
    values = LEAST + (1 - LEAST) * values
    values = values.at[0].set(0)
    signals = jnp.broadcast_to(values, (DRAWS, CELLS, WINDOWS))
    drawn = stochastic_pool(signals, (CELLS,), key=draw_key)[:, 0]
    index = 1 + jnp.floor((CELLS - 1) * other).astype(int)
    uniform = jnp.take_along_axis(values, index, 0)

    def count(drawn: Array) -> Array:
        hits = jnp.sum(drawn[:, None] == values[None], 0)
        return jnp.concatenate([hits, DRAWS - hits.sum(0, keepdims=True)])

    return jnp.stack([count(drawn), count(uniform)]), values / values.sum(
        0, keepdims=True
    )


def _refuses_negative() -> bool:
    try:
        stochastic_pool(jnp.asarray([[1.0], [-2.0]]), (2,))
    except ValueError as error:
        return "expected values >= 0" in str(error) and "-2" in str(error)
    return False


def between(keys: Array, photographs: np.ndarray) -> Metrics:
    """stochastic-between: how far Σa²/Σa leaves [mean, max], over the maximum.

    Args:
      keys: [seeds].
      photographs: patches that fill their frame [P, H, H, 1], H of 48 or more.

    Returns:
      leaves-interval [seeds, kind, size], the worst non-empty window; .../signed, of
      U(-1, 1), by the same formula without its condition.
    """
    measure = over_seeds(_leaves, brief)
    found, signed = map(np.asarray, measure(keys, jnp.asarray(photographs)))
    axes = {"windows": KINDS, "size": SIZES}
    return {
        "leaves-interval": Grid(found, axes),
        "leaves-interval/signed": Grid(signed, {"size": SIZES}),
    }


def _leaves(key: Array, photographs: Array) -> tuple[Array, Array]:
    shape = (NUM_TESTED, SIZES[-1], SIZES[-1], 1)
    numbers = jax.random.uniform(key, (2 * math.prod(shape),))
    uniform, other = cut(numbers, shape, shape)
    exponential = -jnp.log1p(-other)
    kinds = {
        "uniform": uniform,
        "exponential": exponential,
        "sparse": jnp.where(uniform < 0.8, 0, exponential),
        "equal": jnp.broadcast_to(uniform[:, :1, :1], shape),
        "photographs": photographs,
    }
    signed = 2 * uniform - 1
    worst = [[_worst(kinds[kind], size) for size in SIZES] for kind in KINDS]
    leaving = [_distance(signed, size, contraharmonic) for size in SIZES]
    return jnp.asarray(worst), jnp.asarray(leaving)


def _worst(inputs: Array, size: int) -> Array:
    def pooled(inputs: Array, window: tuple[int, int]) -> Array:
        return stochastic_pool(inputs, window, window)

    return _distance(inputs, size, pooled)


def contraharmonic(inputs: Array, window: tuple[int, int]) -> Array:
    """Σa²/Σa of each window, whatever the signs."""
    squares = avg_pool(jnp.square(inputs), window, window)
    return squares / avg_pool(inputs, window, window)


def _distance(inputs: Array, size: int, pooled: Callable) -> Array:
    """The worst distance from [mean, max], relative to the window's largest |a|."""
    window = (size, size)
    value = pooled(inputs, window)
    mean = avg_pool(inputs, window, window)
    largest = max_pool(inputs, window, window)
    scale = max_pool(jnp.abs(inputs), window, window)
    outside = jnp.maximum(jnp.maximum(mean - value, value - largest), 0)
    return jnp.max(jnp.where(scale > 0, outside / jnp.where(scale > 0, scale, 1), 0))
