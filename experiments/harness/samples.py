"""The numbers behind a rule, in the shape that its procedure works on.

Shape letters: R replicates (seeds, unless the rule names something else), K
evaluations of a law per replicate, N test images.
"""

import numpy as np
import numpy.typing as npt

from experiments.harness.claims import Part
from experiments.harness.intervals import Array
from experiments.harness.metrics import Grid, Images, Metric, Shown, Timings

Mask = npt.NDArray[np.bool_]


def evaluations(part: Part, metric: Metric) -> Array:
    """A law's or a count's numbers as [R, K]; entries that do not apply left out.

    A bare number is one evaluation. Where the rule counts non-finite values, K is 1
    and the number is how many of a replicate's are not finite.

    Raises:
      ValueError: nothing was evaluated, or a statistical law came with several seeds.
    """
    values = np.atleast_1d(_array(part, metric, (np.ndarray, Grid)))
    rows = values.reshape(len(values), -1)
    if isinstance(metric, Grid) and metric.valid is not None:
        rows = rows[:, metric.valid.ravel()]
    if rows.size == 0:
        raise _unexpected(part, "at least one evaluation", values)
    if part.statistical and len(rows) > 1:
        raise _unexpected(part, "seeds pooled into a leading axis of length 1", values)
    if part.counts_nonfinite:
        return (~np.isfinite(rows)).sum(axis=1, keepdims=True).astype(np.float64)
    return rows


def replicates(part: Part, metric: Metric) -> Array:
    """A conditional claim's numbers in the shape that its interval takes.

    Where the rule counts non-finite values, [R, ...] becomes their number [R], or for
    a share the number and how many there were [R, 2].

    Raises:
      ValueError: the metric's shape is not what the estimate needs.
    """
    if part.counts_nonfinite:
        return _nonfinite_counts(part, metric)
    if part.estimate == "accuracy":
        return _array(part, metric, (Images,))
    if part.estimate == "timing":
        return _array(part, metric, (Timings,))
    values = _array(part, metric, (np.ndarray,))
    if part.estimate == "share":
        return _checked_counts(part, values)
    if values.ndim != 1 or not len(values):
        raise _unexpected(part, f"one number per {part.replicate} [R]", values)
    return values


def location(metric: Metric, failing: Mask) -> str:
    """Names the first failing evaluation in C order of the axes, as "shift (0, 1)".

    Args:
      metric: what was measured.
      failing: [R, K], as `evaluations` orders them; at least one True.
    """
    column = int(np.argmax(failing.any(axis=0)))
    seeds = failing[:, column]
    words = [] if seeds.all() else [f"seed {int(np.argmax(seeds))}"]
    if not isinstance(metric, Grid):
        return ", ".join(words) or "every seed"
    entries = np.arange(failing.shape[1])
    if metric.valid is not None:
        entries = np.flatnonzero(metric.valid)
    sizes = metric.values.shape[1:]
    index = np.unravel_index(entries[column], sizes) if sizes else ()
    named = [
        f"{name} {labels[place]}"
        for (name, labels), place in zip(metric.axes.items(), index, strict=True)
        if len(labels) > 1
    ]
    return ", ".join(named + words) or "the only evaluation"


def _nonfinite_counts(part: Part, metric: Metric) -> Array:
    values = np.atleast_1d(_array(part, metric, (np.ndarray, Grid)))
    rows = values.reshape(len(values), -1)
    counts = (~np.isfinite(rows)).sum(axis=1).astype(np.float64)
    if part.estimate == "share":
        return np.stack([counts, np.full_like(counts, rows.shape[1])], axis=-1)
    return counts


def _checked_counts(part: Part, values: Array) -> Array:
    if values.ndim != 2 or values.shape[1] != 2 or not len(values):
        raise _unexpected(part, "counts [R, 2] of hits and draws", values)
    hits, draws = values.T
    if not (hits >= 0).all() or not (hits <= draws).all() or not draws.sum() > 0:
        raise _unexpected(part, "0 <= hits <= draws and at least one draw", values)
    return values


def _array(part: Part, metric: Metric, kinds: tuple[type, ...]) -> Array:
    wrapped = isinstance(metric, Grid | Images | Timings | Shown)
    if not isinstance(metric if wrapped else np.asarray(metric), kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"{part.metric}: expected {names} for this rule, "
            f"got {type(metric).__name__}"
        )
    return np.asarray(getattr(metric, "values", metric), np.float64)


def _unexpected(part: Part, expected: str, values: Array) -> ValueError:
    return ValueError(
        f"{part.metric}: expected {expected}, got an array of shape {values.shape}"
    )
