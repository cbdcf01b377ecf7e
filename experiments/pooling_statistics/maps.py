"""What pools do to the maps of a trained LeNet, windows of 2x2 unless said.

Maps are those of test images, behind the ReLU unless said; a channel that never fires
is left out.
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.models import LeNet
from cnn_jax.ops import avg_pool, conv, max_pool, stochastic_pool
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds
from experiments.pooling_statistics.moments import CELLS, POOLS, SIZES

LAYERS = ("conv1", "conv2")
READINGS = ("raw", "relu")
NUM_IMAGES = 128
ERROR = 0.1  # standard deviation of a kernel's error, over the kernel's own rms
PAIRS = 32  # of errors ε and -ε, per seed
CONTROL = 4, 20_000  # values per window and windows of Exp(1)


def map_metrics(keys: Array, params: Any, images: np.ndarray) -> Metrics:
    """The three rows about trained maps.

    Args:
      keys: [seeds].
      params: of LeNet, leaves [seeds, ...].
      images: [N, H, W, 1], H and W of 16 or more; the first 128 are used.

    Returns:
      What `_approximations`, `_variances` and `_mean_shifts` do.
    """
    pictures = jnp.asarray(images[:NUM_IMAGES])
    found = over_seeds(_measured, brief)((keys, params), pictures)
    sums, control, variances, shifts, moved = jax.tree.map(np.asarray, found)
    return {
        **_approximations(sums, control),
        **_variances(variances),
        **_mean_shifts(shifts, moved),
    }


def _measured(key_and_params: Any, images: Array) -> tuple[Any, ...]:
    key, params = key_and_params
    activations = _activations(params, images)
    maps = [activations["active1"], activations["active2"]]
    inputs = [images, activations["pool1"]]
    kernels = [params[layer]["kernel"] for layer in LAYERS]
    sums = [_sums(each, kernel) for each, kernel in zip(maps, kernels, strict=True)]
    exponential = jax.random.exponential(key, (CONTROL[1], CONTROL[0], 1))
    control = _totals(exponential, CONTROL[:1])
    variances = jnp.stack([_moments(maps[0], size) for size in SIZES])
    both = [
        _shifts(layer_key, each, params[layer])
        for layer_key, each, layer in zip(
            jax.random.split(key), inputs, LAYERS, strict=True
        )
    ]
    shifts = [each for each, _ in both]
    return sums, control, variances, shifts, jnp.stack([moved for _, moved in both])


def _activations(params: Any, images: Array) -> dict[str, Array]:
    _, activations = cast(Any, LeNet().apply({"params": params}, images))
    return activations


def _totals(maps: Array, window: tuple[int, ...]) -> Array:
    """Σ of Σa²/Σa and Σ of the mean over all windows, [2, C]."""
    pooled = [stochastic_pool(maps, window, window), avg_pool(maps, window, window)]
    axes = tuple(range(maps.ndim - 1))
    return jnp.stack([jnp.sum(each, axes) for each in pooled])


def _sums(maps: Array, kernel: Array) -> Array:
    """[3, C]: both sums, and |Σw| / Σ|w|: 0 where the kernel removes the mean."""
    passed = jnp.abs(kernel.sum((0, 1, 2))) / jnp.abs(kernel).sum((0, 1, 2))
    return jnp.concatenate([_totals(maps, (2, 2)), passed[None]])


def _approximations(sums: list[np.ndarray], control: np.ndarray) -> Metrics:
    """stochastic-approx-average: ΣE / Σmean, E = Σa²/Σa, over non-empty windows.

    Empty windows add nothing to either sum.

    Returns:
      expectation-over-mean/{conv1, conv2} [seeds]; .../exponential [seeds], of windows
      of n = 4 independent Exp(1), where 2n/(n + 1) = 1.6 is exact;
      "expectations-by-channel" [seed, channel, 2].
    """
    metrics: dict = {}
    for layer, each in zip(LAYERS, sums, strict=True):
        drawn, mean, passed = np.moveaxis(each.astype(np.float64), 1, 0)
        metrics[f"expectation-over-mean/{layer}"] = drawn.sum(1) / mean.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = drawn / mean
        metrics[f"expectations-by-channel/{layer}"] = Shown(
            np.stack([passed, ratio], -1),
            f"{layer}: |Σw| / Σ|w| of the kernel, and ΣE / Σmean of its map "
            "[seed; channel; which], NaN where it never fires",
        )
    metrics["expectation-over-mean/exponential"] = control[:, 0, 0] / control[:, 1, 0]
    return metrics


def _pooled(maps: Array, size: int) -> list[Array]:
    window = (size, size)
    return [avg_pool(maps, window, window), max_pool(maps, window, window)]


def _moments(maps: Array, size: int) -> Array:
    """Variance and squared mean over images and places, summed over channels.

    Returns [pool, 2].
    """
    axes = (0, 1, 2)
    return jnp.stack(
        [
            jnp.stack([jnp.var(p, axes).sum(), jnp.square(jnp.mean(p, axes)).sum()])
            for p in _pooled(maps, size)
        ]
    )


def _variances(moments: np.ndarray) -> Metrics:
    """avg-reduces-variance/trained: of the first layer's map, over images and places.

    Args:
      moments: [seeds, n, pool, 2].

    Returns:
      variance-ratio/trained-{n} [seeds]; "relative-variances-trained".
    """
    second, squared = np.moveaxis(moments.astype(np.float64), -1, 0)
    ratios = second[..., 0] / second[..., 1]
    metrics: dict = {
        f"variance-ratio/trained-{cells}": ratios[:, column]
        for column, cells in enumerate(CELLS)
    }
    metrics["relative-variances-trained"] = Shown(
        second / squared,
        f"variance over squared mean of trained maps [seed; n: "
        f"{', '.join(map(str, CELLS))}; {', '.join(POOLS)}]",
    )
    return metrics


def _shifts(key: Array, inputs: Array, layer: dict[str, Array]) -> tuple[Any, Array]:
    """How far an error of the kernel moves the mean of a pool.

    Returns:
      shift by each error over the sd of the pool without it [2·pair, reading, pool, C],
      NaN where that sd is 0; and, as a control, the mean shift when 1 is added to the
      raw map [pool].
    """
    kernel, bias = layer["kernel"], layer["bias"]
    spread = ERROR * jnp.sqrt(jnp.mean(jnp.square(kernel)))

    def means(kernel: Array, bias: Array) -> Array:
        return jnp.stack([jnp.mean(p, (0, 1, 2)) for p in pools(kernel, bias)])

    def pools(kernel: Array, bias: Array) -> list[Array]:
        raw = conv(inputs, kernel, bias)
        return _pooled(raw, 2) + _pooled(jnp.maximum(raw, 0), 2)

    clean = means(kernel, bias)
    sd = jnp.stack([jnp.std(each, (0, 1, 2)) for each in pools(kernel, bias)])

    def shift(error: Array) -> Array:
        moved = means(kernel + spread * error.reshape(kernel.shape), bias) - clean
        return jnp.where(sd > 0, moved / jnp.where(sd > 0, sd, 1), jnp.nan)

    errors = jax.random.normal(key, (PAIRS * kernel.size,)).reshape(PAIRS, -1)
    drawn = jax.lax.map(shift, jnp.concatenate([errors, -errors]))
    shape = (2 * PAIRS, len(READINGS), len(POOLS), len(bias))
    added = jnp.mean(means(kernel, bias + 1) - clean, -1)[: len(POOLS)]
    return drawn.reshape(shape), added


def _mean_shifts(shifts: list[np.ndarray], moved: np.ndarray) -> Metrics:
    """max-reduces-mean-shift: |E pool(w + ε) - E pool(w)| / sd of pool(w).

    E is over ε, images and places; the mean over the channels of both layers. Errors
    come in pairs ε and -ε, so that what is linear in ε, whose mean is 0, cancels. The
    average of a raw map is linear: its shift, by which the maximum's is divided, is
    rounding.

    Returns:
      mean-shift-ratio/{raw, relu} [seeds], maximum over average; added-constant
      [seeds, layer, pool]; "mean-shifts" and "root-mean-square-shifts" [seed, reading,
      pool].
    """
    each = np.concatenate(shifts, -1).astype(np.float64)  # [seed, draw, ..., C]
    bias = np.nanmean(np.abs(each.mean(1)), -1)
    size = np.nanmean(np.sqrt(np.square(each).mean(1)), -1)
    axes = f"[seed; {', '.join(READINGS)}; {', '.join(POOLS)}]"
    return {
        **{
            f"mean-shift-ratio/{reading}": bias[:, row, 1] / bias[:, row, 0]
            for row, reading in enumerate(READINGS)
        },
        "added-constant": Grid(moved, {"layer": LAYERS, "pool": POOLS}),
        "mean-shifts": Shown(
            bias, f"shift of the mean over errors of the kernel, in sd {axes}"
        ),
        "root-mean-square-shifts": Shown(
            size, f"shift of the mean by one such error, root mean square, in sd {axes}"
        ),
    }
