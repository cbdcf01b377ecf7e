"""Runs with and without clipping of the gradient experiment, small."""

import math
from typing import Any

import jax
import numpy as np

from experiments.gradient_vanishing import clipping, recall
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys, over_seeds

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def test_a_run_diverges_that_ends_high_or_nowhere():
    first = np.array([2.0, 2.0, 2.0, 2.0])
    last = np.array([np.nan, np.inf, 20.5, 19.5])
    assert clipping.diverged(first, last).tolist() == [True, True, True, False]


def test_each_arm_is_judged_at_the_rate_that_it_names(monkeypatch):
    """A run of every rate and arm diverges by its place in the grid alone."""
    rates, arms = len(clipping.RATES), len(clipping.ARMS)
    last = np.full((rates, arms, 2), 1.0)
    own = clipping.RATES.index(clipping.LEARNING_RATES["unclipped"])
    with_clipping = clipping.RATES.index(clipping.LEARNING_RATES["clipped"])
    last[own, 1, 0] = np.nan
    last[with_clipping, 1] = np.inf
    found = np.ones_like(last), last
    monkeypatch.setattr(clipping, "losses", lambda *_: found)
    metrics: Any = clipping.clipping(keys(0, 1), LAB, 2)
    hits = {arm: metrics[f"diverged/{arm}"][:, 0].tolist() for arm in clipping.JUDGED}
    wanted = {"clipped": [0, 0], "unclipped": [1, 1], "unclipped-own-rate": [1, 0]}
    assert hits == wanted


def test_both_arms_of_a_run_start_alike():
    runs = clipping.started(keys(0, 3), (0.1, 1.0))
    assert runs.params.shape[0] == 12
    parts = [np.split(np.asarray(leaf), 4) for leaf in (runs.params, runs.step)]
    for part in parts:
        for each in part[1:]:
            np.testing.assert_array_equal(part[0], each)
    streams = np.split(jax.random.key_data(runs.key), 4)
    for each in streams[1:]:
        np.testing.assert_array_equal(streams[0], each)
    settings = zip(runs.learning_rate[::3], runs.largest_norm[::3], strict=True)
    wanted = [(0.1, 1.0), (0.1, math.inf), (1.0, 1.0), (1.0, math.inf)]
    np.testing.assert_allclose(list(settings), wanted, rtol=1e-6)


def test_clipping_limits_a_step_and_its_absence_does_not(monkeypatch):
    monkeypatch.setattr(clipping, "STEPS", 1)
    runs = clipping.started(keys(1, 6), (0.5,))
    after, _ = over_seeds(clipping.chunk)(runs, None)
    moved = np.linalg.norm(after.params - runs.params, axis=1)
    clipped, unclipped = moved.reshape(2, 6)
    assert (clipped <= 0.5 * recall.LARGEST_NORM * 1.01).all()
    large = unclipped > 0.5 * recall.LARGEST_NORM
    assert large.sum() >= 2
    np.testing.assert_allclose(clipped[large], 0.5, rtol=1e-2)
    np.testing.assert_allclose(clipped[~large], unclipped[~large], rtol=1e-2)
