"""The verdict of one rule: laws and counts, and intervals."""

import math

import numpy as np
import pytest

from experiments.harness.claims import Grid, Images, Timings
from experiments.harness.findings import decide
from tests.harness.stating import SURE, conditional, judged, law, verdict

# Laws and counts


@pytest.mark.parametrize(
    ("worst", "expected"),
    [
        (0.99e-5, "supported"),
        (1e-5, "inconclusive"),
        (0.99e-3, "inconclusive"),
        (1.01e-3, "refuted"),
    ],
)
def test_a_relative_error_is_refuted_from_a_hundred_tolerances_on(worst, expected):
    errors = np.array([[1e-9, worst], [1e-8, 0]])
    assert verdict(law("<", 1e-5), errors) == expected


@pytest.mark.parametrize(
    ("relation", "values", "expected"),
    [
        ("=", [0, 0, 0], "supported"),
        ("=", [0, 0, 1], "refuted"),
        (">", [0.2, 0.11], "supported"),
        (">", [0.2, 0.1], "refuted"),
        (">=", [0.2, 0.1], "supported"),
        (">=", [0.2, 0.09], "refuted"),
        ("<=", [0.1, 0.0], "supported"),
        ("<=", [0.1, 0.11], "refuted"),
        ("within", [-0.1, 0.1], "supported"),
        ("within", [-0.11, 0.1], "refuted"),
    ],
)
def test_another_relation_of_a_law_needs_every_evaluation(relation, values, expected):
    threshold = 0.0 if relation == "=" else 0.1
    assert verdict(law(relation, threshold), np.array(values)) == expected


def test_one_seed_is_enough_for_a_law():
    assert verdict(law("<", 1e-5), np.array([1e-7])) == "supported"


def test_the_smallest_counterexample_is_the_first_in_the_order_of_the_axes():
    errors = np.zeros((2, 2, 3))
    errors[1, 0, 2] = 0.25
    errors[:, 1, 0] = 0.75
    grid = Grid(errors, {"depth": (1, 15), "shift": ((0, 1), (1, 0), (1, 1))})
    found = judged(law("<", 1e-5), grid)
    assert found.verdict == "refuted"
    assert found.measured == "0.75"
    assert found.note == "smallest counterexample depth 1, shift (1, 1), seed 1: 0.25"


def test_masked_evaluations_take_no_part():
    errors = np.array([[0.0, 5.0, math.nan, 0.5]])
    valid = np.array([True, False, False, True])
    found = judged(law("<", 1e-5), Grid(errors, {"shift": (0, 1, 2, 3)}, valid))
    assert found.note == "smallest counterexample shift 3: 0.5"
    assert found.measured == "0.5"


@pytest.mark.parametrize(
    ("relation", "threshold", "worst"),
    [("<", 1e-5, [3, 2]), (">", 0.1, [1, -2]), ("within", 1.0, [3, -2])],
)
def test_the_number_of_a_seed_is_its_worst_evaluation(relation, threshold, worst):
    record = judged(law(relation, threshold), np.array([[1, 3.0], [-2, 2.0]])).to_json()
    assert record["per_seed"] == worst
    assert record["mean"] is record["ci_low"] is record["ci_high"] is None


def test_a_statistical_law_is_decided_over_its_pooled_evaluations():
    claim = law("within", 5, statistical=True)
    assert verdict(claim, np.array([[1.0, -4.9]])) == "supported"
    assert verdict(claim, np.array([[1.0, -5.1]])) == "refuted"
    small = law("<", 1e-6, statistical=True)
    assert verdict(small, np.array([1e-5])) == "refuted"
    with pytest.raises(ValueError, match="seeds pooled into a leading axis"):
        judged(claim, np.zeros((5, 2)))


def test_a_count_is_compared_once_and_exactly():
    claim = law("=", 138357544, kind="count")
    found = judged(claim, np.array(138357544))
    assert (found.verdict, found.measured) == ("supported", "138,357,544")
    assert found.to_json()["mean"] == 138357544
    assert found.to_json()["per_seed"] is None
    assert verdict(claim, np.array(138357545)) == "refuted"


def test_a_small_count_has_no_tolerance():
    assert verdict(law("<", 1, kind="count"), np.array(2)) == "refuted"


# Conditional claims


@pytest.mark.parametrize(
    ("relation", "threshold", "expected"),
    [
        (">", 0.5, "supported"),
        (">", 1.0, "inconclusive"),
        (">", 1.5, "refuted"),
        (">=", 0.5, "supported"),
        (">=", 1.5, "refuted"),
        ("<", 1.5, "supported"),
        ("<", 1.0, "inconclusive"),
        ("<", 0.5, "refuted"),
        ("<=", 1.5, "supported"),
        ("<=", 0.5, "refuted"),
        ("within", 2.0, "supported"),
        ("within", 1.0, "inconclusive"),
        ("within", 0.5, "refuted"),
    ],
)
def test_the_interval_decides_a_conditional_claim(relation, threshold, expected):
    assert verdict(conditional(relation, threshold), SURE) == expected


def test_within_is_measured_from_its_center():
    assert verdict(conditional("within", 0.2, center=1.0), SURE) == "supported"
    assert verdict(conditional("within", 0.2, center=0.5), SURE) == "refuted"
    assert verdict(conditional("within", 0.02, center=1.0), SURE) == "inconclusive"


def test_a_wide_interval_around_the_band_is_inconclusive():
    assert decide(conditional("within", 0.1), -1.0, 1.0) == "inconclusive"


def test_the_mean_and_its_interval_are_students():
    record = judged(conditional(">", 0.5), SURE).to_json()
    assert record["mean"] == pytest.approx(1)
    half_width = 1.2417 * math.sqrt(0.02 / 4)
    assert record["ci_low"] == pytest.approx(1 - half_width, rel=1e-4)
    assert record["ci_high"] == pytest.approx(1 + half_width, rel=1e-4)
    assert record["per_seed"] == list(SURE)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_fewer_than_five_seeds_are_inconclusive(seeds):
    found = judged(conditional(">", 0.5), SURE[:seeds])
    assert found.verdict == "inconclusive"
    assert found.note.startswith(f"{seeds} of 5 seeds")


def test_one_seed_has_a_mean_and_no_interval():
    record = judged(conditional(">", 0.5), np.array([2.0])).to_json()
    assert (record["mean"], record["ci_low"], record["ci_high"]) == (2.0, None, None)


def test_the_replicate_is_what_the_row_names():
    found = judged(conditional(">", 0.5, replicate="photograph"), SURE[:4])
    assert found.note.startswith("4 of 5 photographs")


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (">", "inconclusive"),
        ("<", "inconclusive"),
        (">=", "supported"),
        ("<=", "supported"),
    ],
)
def test_a_tie_on_the_threshold_is_not_strictly_inside(relation, expected):
    assert verdict(conditional(relation, 0.5), np.full(5, 0.5)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5001, "supported"), (0.4999, "refuted")]
)
def test_without_variance_the_interval_is_the_point(value, expected):
    found = judged(conditional(">", 0.5), np.full(10, value))
    assert found.verdict == expected
    assert found.findings[0].low == found.findings[0].high == value


def test_identical_arms_are_a_tie():
    tie = Images(np.zeros((5, 360)))
    assert verdict(conditional(">", 0, estimate="accuracy"), tie) == "inconclusive"
    assert verdict(conditional(">", 0.5, estimate="accuracy"), tie) == "refuted"


def test_the_detectable_effect_is_in_the_claims_own_units():
    found = judged(conditional(">", 0.5, unit="points"), SURE)
    assert found.measured == "1 [0.912, 1.09] points"
    assert found.note == "could have detected 0.088 points"
    factor = judged(conditional(">", 0.5, estimate="ratio"), SURE)
    assert factor.note == "could have detected a factor of 1.09"


def test_a_ratio_is_judged_on_the_log_scale():
    values = np.array([0.01, 1.0, 100.0, 1.0, 1.0])
    finding = judged(conditional("<", 1, estimate="ratio"), values).findings[0]
    assert finding.mean == pytest.approx(1)
    assert finding.verdict == "inconclusive"
    assert finding.low is not None
    assert finding.high == pytest.approx(1 / finding.low)


def test_a_ratio_of_zero_is_invalid():
    found = judged(conditional("<", 1, estimate="ratio"), np.array([1, 1, 1, 1, 0.0]))
    assert (found.verdict, found.note) == (
        "invalid",
        "not positive, so without a ratio",
    )


def test_a_share_pools_its_counts():
    counts = np.array([[18, 20]] * 5)
    record = judged(conditional(">", 0.8, estimate="share"), counts).to_json()
    assert record["per_seed"] == [0.9] * 5
    assert (record["mean"], record["verdict"]) == (0.9, "supported")
    assert verdict(conditional(">", 0.85, estimate="share"), counts) == "inconclusive"


def test_images_that_are_hard_for_one_arm_widen_an_accuracy():
    hard = Images(np.tile(np.repeat([0.0, 100.0], [350, 10]), (5, 1)))
    assert verdict(conditional(">", 2, estimate="accuracy"), hard) == "inconclusive"
    seed_means = hard.values.mean(axis=1)
    assert verdict(conditional(">", 2), seed_means) == "supported"


def test_timings_need_twenty_repeats_and_no_seeds():
    seconds = np.random.default_rng(0).lognormal(0, 0.1, size=(20, 2)) * [2, 1]
    claim = conditional(">", 1.2, estimate="timing")
    assert verdict(claim, Timings(seconds)) == "supported"
    few = judged(claim, Timings(seconds[:19]))
    assert few.verdict == "inconclusive"
    assert few.note.startswith("19 of 20 repeats")
