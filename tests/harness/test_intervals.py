"""Intervals against published quantiles, exact binomial sums and brute resampling."""

import math

import numpy as np
import pytest

from experiments.harness.intervals import (
    accuracy_interval,
    image_half_width,
    mean_interval,
    ratio_interval,
    share_interval,
    smallest_level,
    timing_interval,
)


@pytest.mark.parametrize(
    ("seeds", "half_width"), [(2, 8.985), (3, 2.484), (5, 1.2417), (10, 0.7154)]
)
def test_the_half_width_in_seed_sd_is_that_of_the_t_table(seeds, half_width):
    values = np.random.default_rng(0).normal(size=seeds)
    low, high = mean_interval(values)
    spread = math.sqrt(sum((values - values.mean()) ** 2) / (seeds - 1))
    assert (high - low) / 2 / spread == pytest.approx(half_width, rel=1e-3)
    assert (high + low) / 2 == pytest.approx(values.mean())


def test_equal_values_are_the_point_itself():
    low, high = mean_interval(np.full(10, 0.1))
    assert low == high == 0.1


def test_several_samples_are_treated_one_by_one():
    samples = np.random.default_rng(1).normal(size=(3, 5))
    low, high = mean_interval(samples)
    for sample, *ends in zip(samples, low, high, strict=True):
        assert ends == pytest.approx(mean_interval(sample))


def test_a_ratio_and_its_inverse_have_inverse_intervals():
    ratios = np.array([1.1, 1.5, 0.9, 2.0, 1.3])
    low, high = ratio_interval(ratios)
    assert (1 / high, 1 / low) == pytest.approx(ratio_interval(1 / ratios))


def test_a_shares_ends_leave_the_level_in_the_binomial_tails():
    low, high = share_interval(np.array([[3, 10], [4, 10]]), 0.1)

    def at_least(share, hits):
        return sum(
            math.comb(20, k) * share**k * (1 - share) ** (20 - k)
            for k in range(hits, 21)
        )

    assert at_least(low, 7) == pytest.approx(0.05)
    assert 1 - at_least(high, 8) == pytest.approx(0.05)


def test_a_share_of_none_or_all_keeps_its_boundary():
    low, high = share_interval(np.array([[0, 10], [0, 10]]))
    assert (low, high) == (0, pytest.approx(1 - 0.025 ** (1 / 20)))
    low, high = share_interval(np.array([[10, 10], [10, 10]]))
    assert (low, high) == (pytest.approx(0.025 ** (1 / 20)), 1)


def test_the_image_half_width_of_a_symmetric_sample_is_the_normal_one():
    contributions = np.tile([-100.0, 100.0], 50)
    assert image_half_width(contributions) == pytest.approx(19.6, rel=1e-3)


def test_the_image_half_width_is_the_further_end_of_the_studentized_bootstrap():
    contributions = np.repeat([0.0, -100.0], [340, 20])
    generator = np.random.default_rng(0)
    drawn = contributions[generator.integers(360, size=(20_000, 360))]
    errors = drawn.std(axis=1) / math.sqrt(360)
    studentized = (drawn.mean(axis=1) - contributions.mean()) / errors
    ends = np.quantile(studentized, [0.025, 0.975]) * contributions.std() / 360**0.5
    assert image_half_width(contributions) == pytest.approx(max(abs(ends)), rel=0.05)
    assert image_half_width(-contributions) == image_half_width(contributions)


def test_one_deciding_image_still_has_a_finite_half_width():
    contributions = np.repeat([0.0, 100.0], [359, 1])
    # One event seen is compatible with 5.57 (Poisson), that is 1.27 points more.
    assert 1.2 < image_half_width(contributions) < 2.0


def test_an_accuracys_half_width_is_the_root_of_both_squares():
    values = 100 * np.random.default_rng(2).integers(-1, 2, size=(5, 360)).astype(float)
    low, high = accuracy_interval(values, 0.1)
    t_low, t_high = mean_interval(values.mean(axis=1), 0.1)
    t, b = (t_high - t_low) / 2, image_half_width(values.mean(axis=0), 0.1)
    assert (high - low) / 2 == pytest.approx(math.sqrt(t**2 + b**2))
    assert (high + low) / 2 == pytest.approx(values.mean())


def test_seeds_that_agree_leave_the_images_doubt():
    values = np.tile(np.repeat([0.0, 100.0], [350, 10]), (5, 1))
    low, high = accuracy_interval(values)
    assert (high - low) / 2 == pytest.approx(image_half_width(values[0]))


def test_identical_arms_leave_no_doubt_at_all():
    low, high = accuracy_interval(np.zeros((5, 360)))
    assert low == high == 0


def test_timings_are_compared_by_their_medians():
    seconds = np.random.default_rng(3).lognormal(0, 0.01, size=(21, 2)) * [2.0, 1.0]
    seconds[:3] = [100.0, 1.0]  # an interruption does not move a median
    low, high = timing_interval(seconds)
    assert 1.95 < low < 2 < high < 2.05


def test_a_timings_interval_repeats_itself():
    seconds = np.random.default_rng(4).lognormal(size=(20, 2))
    assert timing_interval(seconds) == timing_interval(seconds)


def test_the_smallest_level_is_students_p_value():
    values = np.array([3.0, 4.0, 5.0])
    p = smallest_level(lambda level: bool(mean_interval(values, level)[0] > 0))
    # With 2 degrees of freedom P(|T| > t) = 1 - t/√(2 + t²), and here t = 4·√3.
    assert p == pytest.approx(1 - math.sqrt(48 / 50), rel=2e-3)


def test_a_verdict_beyond_doubt_has_the_finest_level():
    assert smallest_level(lambda level: True, 2e-4) == pytest.approx(2e-4, rel=2e-3)
