"""How far a measured accuracy, or a difference of two, can be trusted.

Two questions at once: would other seeds say the same (t), and would other test images
(b)? The half-width is √(t² + b²). All arms share one test set, so what is judged is
each image's contribution: `lost_by_moving`, `agreement`, `logit_change`, or the
difference of two such, image by image.

Where a few images are persistently hard for one arm, the images are a skewed sample:
with b from percentiles or from the standard error of a paired bootstrap, one side errs
far too often. The studentized bootstrap does not; b is its further end, in the closed
form of Hall's transformation: no resampling noise, every level, and finite where only a
handful of images tell the arms apart (resamples would too often hold none).

Shape letters: R replicates (seeds: nets trained anew), N test images.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def accuracy_interval(
    contributions: npt.ArrayLike, level: float = 0.05
) -> tuple[Array, Array]:
    """Interval of an accuracy over a shared test set: x̄ ± √(t² + b²).

    t is Student's half-width over the replicates' means, b the half-width over test
    images of the replicates' mean (see `image_half_width`).

    Args:
        contributions: [..., R, N], per image, R at least 2.
        level: probability of error, both sides together.

    Returns:
        Lower and upper ends [...], in the unit of the contributions.

    Raises:
        ValueError: fewer than two replicates, whose spread cannot be told;
            `image_half_width` speaks of one net.
    """
    values = np.asarray(contributions, np.float64)
    if values.ndim < 2 or values.shape[-2] < 2:
        raise ValueError(
            f"expected contributions [..., R, N] of R >= 2 replicates, got shape "
            f"{values.shape}"
        )
    center, t = student(values.mean(axis=-1), level)
    half_width = np.hypot(t, image_half_width(values.mean(axis=-2), level))
    return center - half_width, center + half_width


def image_half_width(contributions: npt.ArrayLike, level: float = 0.05) -> Array:
    """Further end of the studentized bootstrap over images, in closed form.

    With the skewness γ of the contributions, g = γ/√N and the normal quantile z,
    the studentized mean has the quantile (3/g)·(∛(1 + g·(z - g/6)) - 1); b is the
    larger of the two ends times s/√N.

    Args:
        contributions: [..., N], each image's mean over the replicates.
        level: probability of error, both sides together.

    Returns:
        b [...], in the unit of the contributions; 0 where all are equal.

    Reference: Hall, On the removal of skewness by transformation, 1992.
    """
    from scipy import stats  # a second of import, spared to all who need no interval

    values = np.asarray(contributions, np.float64)
    deviations = values - values.mean(axis=-1, keepdims=True)
    varies = np.ptp(values, axis=-1) > 0
    spread = np.where(varies, np.sqrt((deviations**2).mean(axis=-1)), 1.0)
    root = np.sqrt(values.shape[-1])
    g = np.abs((deviations**3).mean(axis=-1)) / spread**3 / root
    # Below 1e-6 the quotient is all rounding, and its limit is the normal quantile.
    g = np.maximum(g, 1e-6)
    z = stats.norm.ppf(1 - level / 2)
    further = 3 / g * (1 - np.cbrt(1 - g * (z + g / 6)))
    return np.where(varies, further * spread / root, 0.0)


def student(values: npt.ArrayLike, level: float = 0.05) -> tuple[Array, Array]:
    """Mean and Student's half-width t(1 - level/2, R - 1)·s/√R.

    Equal values give the point itself, without the rounding of their mean.

    Args:
        values: [..., R], R at least 2.
        level: probability of error, both sides together.

    Returns:
        Mean and half-width [...], in the unit of the values.

    Reference: Student, The probable error of a mean, 1908.
    """
    from scipy import stats

    values = np.asarray(values, np.float64)
    replicates = values.shape[-1]
    quantile = stats.t.ppf(1 - level / 2, replicates - 1)
    varies = np.ptp(values, axis=-1) > 0
    error = values.std(axis=-1, ddof=1) / np.sqrt(replicates)
    center = np.where(varies, values.mean(axis=-1), values[..., 0])
    return center, np.where(varies, quantile * error, 0.0)
