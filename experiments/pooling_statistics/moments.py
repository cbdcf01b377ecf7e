"""The variance of what a pool gives, over independent windows of known laws.

n values of a window are independent and of one law; Var(avg) = σ²/n always, and of the
maximum

    U(0, 1)   n / ((n + 1)²(n + 2))
    Exp(1)    Σ_{i <= n} 1/i²
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.ops import avg_pool, max_pool
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds

SIZES = (2, 3, 4, 8)
CELLS = tuple(size**2 for size in SIZES)
LAWS = ("uniform", "normal", "exponential", "relu-normal")
POOLS = ("avg", "max")


def variance(law: str, pool: str, cells: int) -> float:
    """The closed form of the pooled value's variance, for U(0, 1) and Exp(1)."""
    if pool == "avg":
        return (1 / 12 if law == "uniform" else 1.0) / cells
    if law == "uniform":
        return cells / ((cells + 1) ** 2 * (cells + 2))
    return sum(1 / i**2 for i in range(1, cells + 1))


CLOSED = ("uniform", "exponential")


def variances(keys: Array, windows: int) -> Metrics:
    """avg-reduces-variance: Var(avg) / Var(max), and closed forms as its control.

    Args:
      keys: [seeds].
      windows: independent windows per seed and law.

    Returns:
      variance-ratio/{law}-{n} [seeds]; variance-z [1, law, pool, n], the sample
      variance less its closed form over its standard error, seeds pooled;
      "relative-variances" [seed, law, n, pool], over the squared mean.
    """
    measure = over_seeds(lambda key: _moments(key, windows), brief)
    # [seeds, law, n, pool, moment]
    moments = np.asarray(measure(keys), np.float64)
    mean, second, fourth = np.moveaxis(moments, -1, 0)
    ratios = second[..., 0] / second[..., 1]
    metrics: dict = {
        f"variance-ratio/{law}-{cells}": ratios[:, row, column]
        for row, law in enumerate(LAWS)
        for column, cells in enumerate(CELLS)
    }
    axes = {"law": CLOSED, "pool": POOLS, "n": CELLS}
    rows = [LAWS.index(law) for law in CLOSED]
    z = _z(second[:, rows], fourth[:, rows], windows).swapaxes(1, 2)
    metrics["variance-z"] = Grid(z[None], axes)
    relative = second / np.square(mean)
    relative[:, LAWS.index("normal")] = np.nan  # whose mean is 0 before the maximum
    metrics["relative-variances"] = Shown(
        relative,
        f"variance over squared mean [seed; {', '.join(LAWS)}; n: "
        f"{', '.join(map(str, CELLS))}; {', '.join(POOLS)}], NaN for N",
    )
    return metrics


def _z(second: np.ndarray, fourth: np.ndarray, windows: int) -> np.ndarray:
    """[seeds, law, n, pool] moments -> [law, n, pool].

    The variance of a sample variance is about (μ₄ - σ⁴) / windows.
    """
    expected = np.asarray(
        [[[variance(law, p, n) for p in POOLS] for n in CELLS] for law in CLOSED]
    )
    error = np.sqrt((fourth - second**2).mean(0) / (windows * len(second)))
    return (second.mean(0) - expected) / error


def _moments(key: Array, windows: int) -> Array:
    """Mean, second and fourth central moment [law, n, pool, 3]."""
    shape = (windows, SIZES[-1] ** 2)
    uniform_key, normal_key = jax.random.split(key)
    uniform = jax.random.uniform(uniform_key, shape)
    normal = jax.random.normal(normal_key, shape)
    drawn = {
        "uniform": uniform,
        "normal": normal,
        "exponential": -jnp.log1p(-uniform),
        "relu-normal": jnp.maximum(normal, 0),
    }
    rows = []
    for law in LAWS:
        rows.append(
            jnp.stack([_of_window(drawn[law][:, :cells], cells) for cells in CELLS])
        )
    return jnp.stack(rows)


def _of_window(values: Array, cells: int) -> Array:
    """Of the pools of every window, values [N, n]: [pool, 3]."""
    signals = values[..., None]  # one window is one signal of n values
    pooled = [avg_pool(signals, (cells,)), max_pool(signals, (cells,))]
    return jnp.stack([_central(each.ravel()) for each in pooled])


def _central(values: Array) -> Array:
    mean = jnp.mean(values)
    squares = jnp.square(values - mean)
    unbiased = jnp.sum(squares) / (len(values) - 1)
    return jnp.stack([mean, unbiased, jnp.mean(jnp.square(squares))])
