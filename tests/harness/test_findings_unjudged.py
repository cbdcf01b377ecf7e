"""The verdict of a rule whose metric is not finite, censored, scarce or absent."""

import math

import numpy as np
import pytest

from tests.harness.stating import SURE, conditional, judged, law, verdict


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_invalid(bad):
    values = np.array([1, 1, bad, 1, 1.0])
    found = judged(law("<", 1e-5), values)
    assert (found.verdict, found.note) == ("invalid", "not finite: seed 2")
    assert verdict(conditional(">", 0.5), values) == "invalid"
    assert verdict(law("=", 1, kind="count"), values) == "invalid"


def test_too_few_seeds_come_before_what_is_not_finite():
    found = judged(conditional(">", 0.5), np.array([math.nan]))
    assert (found.verdict, found.note) == ("inconclusive", "1 of 5 seeds; not finite")


def test_a_row_may_count_what_is_not_finite():
    losses = np.array([[math.nan, 1.0, 2.0, 3.0], [math.inf, 2.0, 3.0, 4.0]] * 10)
    share = conditional("<", 0.5, estimate="share", counts_nonfinite=True)
    assert judged(share, losses).measured.startswith("0.25 [")
    assert verdict(share, losses) == "supported"
    assert verdict(conditional(">", 0.5, counts_nonfinite=True), losses) == "supported"
    assert verdict(law("=", 1, counts_nonfinite=True), losses) == "supported"


def test_a_censored_arm_cannot_be_refuted():
    claim = conditional("<", 0.5, censored="unfinished")
    ended, unfinished = np.zeros(5, bool), np.array([False] * 4 + [True])
    assert verdict(claim, SURE, unfinished=ended) == "refuted"
    found = judged(claim, SURE, unfinished=unfinished)
    assert found.verdict == "inconclusive"
    assert found.note.startswith("censored")
    other = conditional(">", 0.5, censored="unfinished")
    assert verdict(other, SURE, unfinished=unfinished) == "supported"


def test_an_arm_whose_truth_is_further_off_cannot_be_supported():
    further = np.array([0, 0, 0, 0, -1])
    for relation, expected in ((">", "inconclusive"), ("<", "refuted")):
        claim = conditional(relation, 0.5, censored="unfinished")
        assert verdict(claim, SURE, unfinished=further) == expected


def test_a_row_may_ask_for_more_replicates_than_five():
    claim = conditional("<", 0.5, estimate="share", replicate="draw", least=100)
    draws = np.stack([np.zeros(100), np.ones(100)], axis=1)
    assert verdict(claim, draws) == "supported"
    found = judged(claim, draws[:99])
    assert found.verdict == "inconclusive"
    assert found.note.startswith("99 of 100 draws")


def test_a_row_cannot_ask_for_fewer_replicates_than_five():
    claim = conditional(">", 0.5, least=2)
    assert verdict(claim, SURE[:4]) == "inconclusive"
    assert verdict(claim, SURE) == "supported"
    with pytest.raises(ValueError, match="least for a conditional claim only, got 9"):
        law("<", 1e-5, least=9)


def test_an_absent_metric_is_not_measured():
    found = judged(law("<", 1e-5, requires="--arms=all"))
    assert found.verdict == "not measured"
    assert found.note == "m is absent; needs --arms=all"


def test_a_metric_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"m: expected one number per seed .*\(5, 2\)"):
        judged(conditional(">", 0.5), np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"m: expected Images .* got ndarray"):
        judged(conditional(">", 0.5, estimate="accuracy"), np.zeros(5))
    with pytest.raises(ValueError, match="m: expected 0 <= hits <= draws"):
        judged(conditional(">", 0.5, estimate="share"), np.array([[3, 2]] * 5))
    with pytest.raises(ValueError, match="m: expected at least one evaluation"):
        judged(law("<", 1e-5), np.zeros((5, 0)))
