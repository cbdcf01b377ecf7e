"""Confidence intervals of what an experiment measured, by way of estimation.

Every function takes one or more samples at once (leading axes ...) and a `level`, the
probability of error of both sides together (0.05 for a 95 % interval), and returns the
lower and upper ends [...].

Shape letters: R replicates (seeds, unless the claim names something else), N test
images.

The accuracy interval answers two questions at once: would other seeds say the same (t),
and would other test images (b)? It comes with the instruments (`accuracy_interval`
there, half-width √(t² + b²)), so that a user's own nets are judged by the same rule.
With b from percentiles or from the standard error of a paired bootstrap over images,
one side erred in up to 7 % of the runs below.

Measured error rates: percent of the runs that say "supported" / "refuted" of a claim
"> threshold" whose true value is exactly the threshold, where either is wrong. The aim
is 2.5 a side. 20,000 runs each (standard error 0.11; timings 2,000, 0.35), 360 test
images; repeated by `python -m tests.harness.error_rates`.

| metric | 5 seeds | 10 seeds |
|---|---|---|
| normal | 2.5 / 2.4 | 2.3 / 2.5 |
| accuracy, one arm hard 2 %, other random 2 % | 1.3 / 0.1 | 1.0 / 0.1 |
| accuracy, one arm hard 2 %, other constant | 0.6 / 0.1 | 0.5 / 0.1 |
| accuracy, each arm hard 2 %, other images | 1.1 / 1.2 | 1.2 / 1.3 |
| accuracy, the same and seeds differ (sd 1.2 points) | 1.1 / 1.1 | 1.2 / 1.2 |
| accuracy, graded difficulty | 0.8 / 0.7 | 1.2 / 1.1 |
| accuracy, no persistent difficulty | 0.3 / 0.2 | 0.3 / 0.2 |
| accuracy, one arm hard 0.5 %, other random | 2.6 / 0.0 | 14.6 / 0.0 |
| uniform | 3.3 / 3.1 | 2.6 / 2.8 |
| exponential | 0.4 / 11.8 | 0.4 / 9.8 |
| lognormal (sd of log 1) | 0.1 / 17.9 | 0.1 / 15.6 |
| lognormal, as a ratio | 2.5 / 2.4 | 2.3 / 2.5 |
| share, draws independent | 2.1 / 2.2 | 2.3 / 2.4 |
| share, differs between seeds (sd 0.11) | 19.9 / 20.4 | 20.1 / 20.5 |
| timing, 20 and 40 repeats | 1.6 / 1.6 | 2.2 / 2.1 |

So: skewed positive quantities belong on the log scale; a share that differs between
seeds is a mean over seeds, not a share of pooled draws; and a test set that may hold no
hard image at all cannot know of any (one in six at 0.5 % of 360).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from cnn_jax.instruments import accuracy_interval, image_half_width
from cnn_jax.instruments.intervals import student

__all__ = [
    "INTERVALS",
    "LEVEL",
    "RESAMPLES",
    "Array",
    "Ends",
    "accuracy_interval",
    "image_half_width",
    "mean_interval",
    "ratio_interval",
    "share_interval",
    "smallest_level",
    "timing_interval",
]

LEVEL = 0.05
RESAMPLES = 9_999

Array = npt.NDArray[np.float64]
Ends = tuple[Array, Array]


def mean_interval(values: Array, level: float = LEVEL) -> Ends:
    """Student's t interval of the mean: x̄ ± t(1 - level/2, R - 1)·s/√R.

    Equal values give the point itself, without the rounding of their mean.

    Args:
      values: [..., R], R >= 2.
      level: probability of error, both sides together.

    Returns:
      Lower and upper ends [...], in the unit of the values.

    Reference: Student, The probable error of a mean, 1908.
    """
    center, half_width = student(values, level)
    return center - half_width, center + half_width


def ratio_interval(values: Array, level: float = LEVEL) -> Ends:
    """Student's t interval of the logarithm, as a ratio: exp(interval of log x).

    Args:
      values: [..., R], positive, R >= 2.
      level: probability of error, both sides together.

    Returns:
      Lower and upper ends [...], ratios.
    """
    low, high = mean_interval(np.log(values), level)
    return np.exp(low), np.exp(high)


def share_interval(counts: Array, level: float = LEVEL) -> Ends:
    """Clopper-Pearson interval of a share, the replicates' counts pooled.

    Args:
      counts: [..., R, 2], hits and draws.
      level: probability of error, both sides together.

    Returns:
      Lower and upper ends [...], in [0, 1].

    Reference: Clopper and Pearson, The use of confidence or fiducial limits, 1934.
    """
    hits, draws = np.moveaxis(counts.sum(axis=-2), -1, 0)
    with np.errstate(invalid="ignore"):
        low = stats.beta.ppf(level / 2, hits, draws - hits + 1)
        high = stats.beta.ppf(1 - level / 2, hits + 1, draws - hits)
    return np.where(hits > 0, low, 0.0), np.where(hits < draws, high, 1.0)


def timing_interval(seconds: Array, level: float = LEVEL) -> Ends:
    """Bootstrap interval of median(first)/median(second), repeats resampled whole.

    Args:
      seconds: [repeats, 2], interleaved wall times.
      level: probability of error, both sides together.

    Returns:
      Lower and upper percentile of the resampled ratios.

    Reference: Efron, Bootstrap methods, 1979.
    """
    repeats = len(seconds)
    drawn = np.random.default_rng(0).integers(repeats, size=(RESAMPLES, repeats))
    medians = np.median(seconds[drawn], axis=1)
    low, high = np.quantile(medians[:, 0] / medians[:, 1], [level / 2, 1 - level / 2])
    return low, high


INTERVALS: dict[str, Callable[[Array, float], Ends]] = {
    "mean": mean_interval,
    "ratio": ratio_interval,
    "share": share_interval,
    "accuracy": accuracy_interval,
    "timing": timing_interval,
}


def smallest_level(still: Callable[[float], bool], finest: float = 1e-12) -> float:
    """The p-value of a verdict: the smallest level at which it still holds.

    Args:
      still: level -> whether the interval of that level gives the verdict; true at
        `LEVEL`, and once true at a level also at every larger one.
      finest: the smallest level that the interval can tell from zero.

    Returns:
      The level, to a relative 1e-3.
    """
    low, high = np.log(finest), np.log(LEVEL)
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if still(float(np.exp(middle))) else (middle, high)
    return float(np.exp(high))
