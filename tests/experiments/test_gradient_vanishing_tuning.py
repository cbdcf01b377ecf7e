"""How the learning rates of the gradient experiment are chosen, and printed."""

import inspect
import math
import textwrap
from collections.abc import Sequence
from types import ModuleType

import jax
import numpy as np
import pytest

from cnn_jax.data import Split
from experiments.gradient_vanishing import (
    clipping,
    clipping_tuning,
    descent,
    learning,
    recall,
    recall_tuning,
    residual,
    tuning,
)
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys


def split(number: int = 130, seed: int = 0) -> Split:
    draw = np.random.default_rng(seed)
    images = draw.random((number, 8, 8, 1)).astype(np.float32)
    return Split(images, (np.arange(number) % 10).astype(np.int32))


LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def test_a_tenth_and_more_is_held_out_and_nothing_is_lost():
    train, held_out = tuning.halves(split(100))
    assert len(held_out.labels) == 20
    both = np.concatenate([train.images, held_out.images]).sum((1, 2, 3))
    np.testing.assert_array_equal(
        np.sort(both), np.sort(split(100).images.sum((1, 2, 3)))
    )


def descent_of(*errors: list[float], after: Sequence[float]) -> descent.Descent:
    """Seeds whose params end at these numbers."""
    kernels = np.ones((len(after), 2, 2))
    bias = np.tile(np.asarray(after)[:, None], 2)
    params = [{"kernel": kernels, "bias": bias}]
    return descent.Descent(params, params, np.asarray(errors))


def test_a_race_that_a_seed_does_not_finish_is_told_from_one_that_diverged():
    late, early, first = [0.9, 0.9, 0.3], [0.9, 0.2, 0.9], [0.2, 0.9, 0.9]
    assert tuning.steps_text(descent_of(early, first, after=(1, 1))) == "1.5"
    assert tuning.steps_text(descent_of(early, late, after=(1, 1))) == ">2.5"
    for gone in (np.nan, np.inf):
        assert tuning.steps_text(descent_of(early, late, after=(1, gone))) == "-"
    assert tuning.steps_text(descent_of(early, late, after=(np.nan, 1))) == ">2.5"


def test_the_error_of_a_rate_is_the_mean_of_the_last_if_no_seed_diverged():
    errors = [0.9, 0.9, 0.1, 0.2], [0.9, 0.9, 0.9, 0.4]
    assert tuning.error_text(descent_of(*errors, after=(1, 1))) == "30.00"
    assert tuning.error_text(descent_of(*errors, after=(1, np.nan))) == "-"


def test_the_residual_networks_get_every_rate_on_every_seed(monkeypatch):
    """An error of the rate, and in the hundredths the seed's place."""

    def train(name, seeds, lab, digits, watched, size, rates, **options):
        data = jax.random.key_data(seeds)
        known = jax.random.key_data(keys(tuning.SEED, tuning.NUM_SEEDS))
        places = [known.tolist().index(each) for each in data.tolist()]
        return 10 * np.asarray(rates) + np.asarray(places) / 100

    monkeypatch.setattr(tuning.residual, "train", train)
    found = tuning._resnet(LAB, split(), split(), "plain")
    wanted = [f"{1000 * rate + 1:.2f}" for rate in tuning.RESNET_RATES]
    assert found == wanted


def lowest(texts: list[str], rates: Sequence[float]) -> float:
    """The rate of the lowest number, of two the lower; others are words."""
    values = [float(text) if text[0].isdigit() else math.inf for text in texts]
    assert len(values) == len(rates)
    return rates[values.index(min(values))]


def documented(module: ModuleType, label: str) -> list[str]:
    """The entries of a table's last line that begins so, in a docstring."""
    *_, line = (
        line
        for line in (inspect.getdoc(module) or "").splitlines()
        if line.startswith(f"    {label} ")
    )
    return line.removeprefix(f"    {label}").split()


def tuned() -> dict[str, tuple[list[str], Sequence[float], float]]:
    """Label of a measurement -> what the docstring says, at which rates; the chosen."""
    rows = [documented(tuning, f"rate {rate:g}") for rate in tuning.RACE_RATES]
    races = dict(zip(learning.RACERS, map(list, zip(*rows, strict=True)), strict=True))
    found: dict = {
        f"race, {name}": (races[name], tuning.RACE_RATES, arm.rate)
        for name, arm in learning.RACERS.items()
    }
    for rule, arms in learning.LEARNERS.items():
        for name, arm in arms.items():
            texts = documented(tuning, f"{name}, {rule}")
            found[f"{name}, {rule}"] = texts, tuning.OPTIMIZERS[rule], arm.rate
    for name, rate in residual.RATES.items():
        found[name] = documented(tuning, name), tuning.RESNET_RATES, rate
    return found


def test_the_command_prints_its_docstring():
    printed = tuning.tables({label: texts for label, (texts, *_) in tuned().items()})
    assert textwrap.indent(printed, "    ") in (inspect.getdoc(tuning) or "")


def test_the_judged_rates_of_depth_are_the_lowest_of_the_documented_ones():
    for label, (texts, rates, chosen) in tuned().items():
        assert lowest(texts, rates) == pytest.approx(chosen), label


def test_clipped_runs_that_left_the_finite_numbers_rank_last():
    losses = [[1, 2, np.nan], [np.inf, np.nan, 1], [3, 1, 2.5], [6.34e22, np.nan, 1]]
    wanted = ["2.000", "-", "2.500", "6.3e+22"]
    assert clipping_tuning.medians(np.asarray(losses)) == wanted


@pytest.mark.parametrize("arm", clipping.ARMS)
def test_the_judged_rates_of_clipping_are_the_lowest_of_the_documented_ones(arm):
    found = lowest(documented(clipping_tuning, arm), clipping.RATES)
    assert found == clipping.LEARNING_RATES[arm]
    assert found not in (min(clipping.RATES), max(clipping.RATES))


def test_the_command_of_clipping_prints_its_docstring():
    """Losses that have the documented medians; "-" is none."""
    texts = [documented(clipping_tuning, arm) for arm in clipping.ARMS]
    losses = [
        [math.inf if text == "-" else float(text) for text in row] for row in texts
    ]
    last = np.asarray(losses).T[:, :, None]
    printed = clipping_tuning.medians_table(np.tile(last, 3))
    documentation = inspect.getdoc(clipping_tuning) or ""
    assert textwrap.indent(printed, "    ") in documentation


def test_the_judged_rates_of_recall_are_the_lowest_of_the_documented_ones():
    for net, chosen in recall.LEARNING_RATES.items():
        found = documented(recall_tuning, net)
        assert lowest(found, recall_tuning.RATES) == chosen, net


def test_the_command_of_recall_prints_its_docstring():
    rates = [f"{rate:g}" for rate in recall_tuning.RATES]
    lines = {"net": rates} | {
        net: documented(recall_tuning, net) for net in recall_tuning.TRIED
    }
    assert {len(texts) for texts in lines.values()} == {len(rates)}
    printed = "\n".join(recall_tuning.line(*each) for each in lines.items())
    documentation = inspect.getdoc(recall_tuning) or ""
    assert textwrap.indent(printed, "    ") in documentation
