"""What follows from the windows of all signals: metrics, and tables beside them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from experiments.equivariance.maxima import unchanged_fraction
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import over_seeds
from experiments.pooling_robustness import counts, laws
from experiments.pooling_robustness.signals import (
    LIMITS,
    POOLS,
    RIVAL_SIZE,
    RIVALS,
    ROWS,
    SHOWN,
    SIGNALS,
    SIZES,
    Sums,
    draw,
    steps_within,
    sums_of,
)

UNIFORM, TRAINED = SIGNALS.index("uniform"), SIGNALS.index("trained")


def measurements(
    keys: jax.Array, lab: Lab, config: Any
) -> dict[str, Callable[[], Metrics]]:
    """What `lab.measure` takes: the rows that need no trained net."""
    del lab, config
    return {
        "parameters": counts.parameters,
        "receptive fields": counts.widening,
        "linearity": partial(laws.convolution_errors, keys),
    }


def signal_metrics(keys: jax.Array, params: Any, test: Split) -> Metrics:
    """most-outputs-unchanged; avg-less-invariant-than-max, but for its logits.

    Args:
      keys: [seeds].
      params: of `LeNet` with maximum pools, leaves [seeds, ...].
      test: images [N, H, W, 1] of 20 pixels or more, and labels; not trained on.

    Returns:
      What `_unchanged`, `_rivals`, `_exact` and `_shown` do, and signals/accuracy
      [seeds], percent of the drawn images that the nets get right.
    """
    images, labels = map(jnp.asarray, (test.images, test.labels))
    joined, channels, maps, right = over_seeds(draw, brief)(
        (keys, params), images, labels
    )
    # A loop, as one program of all seeds takes twice as long to compile.
    summed, spread = brief(sums_of), brief(steps_within)
    own = jax.tree.map(lambda each: each[0], channels)
    every = [
        (summed(each, own), spread(map_))
        for each, map_ in zip(joined, maps, strict=True)
    ]
    sums, within = jax.tree.map(lambda *each: np.stack(each).astype(np.float64), *every)
    tables = {"shares": shares(sums), **changes(sums)}
    return {
        **_unchanged(tables["shares"]),
        **_rivals(tables),
        **_exact(tables),
        **_shown(tables, sums, within),
        "signals/accuracy": 100 * np.asarray(right, np.float64),
    }


def shares(sums: Sums) -> np.ndarray:
    """Share unchanged, mean of both axes [seed, size, row, signal]; or NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums.same / sums.varying[:, :, None]).mean(3)


def changes(sums: Sums) -> dict[str, np.ndarray]:
    """ "relative" and "centered", mean of both axes [seed, size, row, signal]."""
    step = np.sqrt(sums.squares).mean(3)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "relative": step / np.sqrt(sums.power),
            "centered": step / np.sqrt(sums.spread),
        }


def _unchanged(share: np.ndarray) -> Metrics:
    """unchanged/{pooling}-{k}-{signal}, unchanged-less-subsampling/... [seeds]."""
    metrics: dict = {}
    for row, pool in enumerate(POOLS):
        for column, size in enumerate(SIZES):
            for place, signal in enumerate(SIGNALS):
                arm = f"{pool}-{size}-{signal}"
                own, plain = share[:, column, row, place], share[:, column, -1, place]
                metrics[f"unchanged/{arm}"] = own
                metrics[f"unchanged-less-subsampling/{arm}"] = own - plain
    return metrics


def rival(table: np.ndarray, pool: str) -> np.ndarray:
    """Of [seed, size, row, signal] what is compared: 2x2 pools of the trained maps."""
    return table[:, SIZES.index(RIVAL_SIZE), ROWS.index(pool), TRAINED]


def _rivals(tables: dict[str, np.ndarray]) -> Metrics:
    """unchanged-max-less-avg; relative-avg-over-max, centered-avg-over-max [seeds]."""
    maximum, average = (rival(tables["shares"], pool) for pool in RIVALS)
    metrics: dict = {"unchanged-max-less-avg": maximum - average}
    for name in ("relative", "centered"):
        maximum, average = (rival(tables[name], pool) for pool in RIVALS)
        metrics[f"{name}-avg-over-max"] = average / maximum
    return metrics


def _exact(tables: dict[str, np.ndarray]) -> Metrics:
    """What is known of U(0, 1): measured less exact.

    Returns:
      max-closed-form [seed, k], of the share unchanged, (k - 1) / (k + 1);
      avg-closed-form [seed, k], of the centered change, √(2 / k).
    """
    share = tables["shares"][:, :, ROWS.index("max"), UNIFORM]
    centered = tables["centered"][:, :, ROWS.index("avg"), UNIFORM]
    overlap = [unchanged_fraction(size, (0, 1)) for size in SIZES]
    root = np.sqrt(2 / np.asarray(SIZES))
    axes = {"k": SIZES}
    return {
        "max-closed-form": Grid(share - overlap, axes),
        "avg-closed-form": Grid(centered - root, axes),
    }


def _shown(
    tables: dict[str, np.ndarray], sums: Sums, within: np.ndarray
) -> dict[str, Shown]:
    sizes = ", ".join(map(str, SIZES))
    axes = f"[seed; k: {sizes}; {', '.join(ROWS)}; {', '.join(SHOWN)}]"
    setting = f"{RIVAL_SIZE}x{RIVAL_SIZE} pools of the trained maps"
    rivals = ", ".join(RIVALS)
    lengths = [
        np.stack([rival(np.sqrt(each), pool) for pool in RIVALS], 1)
        for each in (sums.squares.mean(3), sums.power, sums.spread)
    ]
    return {
        "shares-unchanged": Shown(
            tables["shares"], f"share of the windows that 1 px leaves unchanged {axes}"
        ),
        "relative-changes": Shown(tables["relative"], f"‖Δ‖ / ‖y‖ {axes}"),
        "centered-changes": Shown(tables["centered"], f"‖Δ‖ / ‖y - ȳ‖ {axes}"),
        "lengths": Shown(
            np.stack(lengths, -1),
            f"root mean squares, {setting} [seed; {rivals}; Δ, y, y - ȳ]",
        ),
        "changes-within": Shown(
            within,
            "share of the windows whose change is at most t times the rms of the map, "
            f"{setting} [seed; {rivals}; t]",
        ),
        "changes-within/t": Shown(np.asarray(LIMITS), "the values of t"),
    }
