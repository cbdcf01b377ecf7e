"""How often a verdict is wrong where neither supported nor refuted is right."""

import math

import pytest

from experiments.harness import intervals
from tests.harness.error_rates import (
    ACCURACIES,
    MEAN,
    NORMAL,
    OTHERS,
    error_rates,
    exponential,
    normal,
)

RUNS = 20_000


def noise(runs: int) -> float:
    """Three standard errors of a rate of 2.5 % seen in so many runs."""
    return 3 * math.sqrt(0.025 * 0.975 / runs)


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("name", [*NORMAL, *ACCURACIES])
def test_no_side_errs_in_more_than_one_run_in_forty(name, seeds):
    part, draw = (NORMAL | ACCURACIES)[name]
    runs = RUNS if name in NORMAL else RUNS // 2
    supported, refuted = error_rates(part, draw, seeds, runs)
    assert supported <= 0.025 + noise(runs)
    assert refuted <= 0.025 + noise(runs)


@pytest.mark.parametrize("seeds", [5, 10])
def test_normal_metrics_use_the_whole_level(seeds):
    for rate in error_rates(MEAN, normal, seeds, RUNS):
        assert rate >= 0.025 - noise(RUNS)


def test_skewed_metrics_err_as_often_as_the_documentation_says():
    supported, refuted = error_rates(MEAN, exponential, 5, RUNS)
    assert "| exponential | 0.4 / 11.8 |" in intervals.__doc__
    assert 100 * supported == pytest.approx(0.4, abs=0.2)
    assert 100 * refuted == pytest.approx(11.8, abs=0.7)


def test_the_documentation_has_a_row_for_every_simulated_metric():
    for name in NORMAL | ACCURACIES | OTHERS:
        assert f"| {name} |" in intervals.__doc__
