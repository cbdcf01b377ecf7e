"""How the learning rates of the gradient experiment are chosen, and printed."""

import inspect
import math
import os
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

from cnn_jax.data import Split
from experiments.gradient_vanishing import (
    clipping,
    clipping_tuning,
    descent,
    process,
    tuning,
)
from experiments.harness.lab import Lab


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


def descent_of(errors: list[float], after: float = 1.0) -> descent.Descent:
    """One seed whose params end at this number."""
    params = [{"kernel": np.ones((1, 2, 2)), "bias": np.full((1, 2), after)}]
    return descent.Descent(params, params, np.asarray([errors]))


def test_a_race_that_is_not_finished_is_told_from_one_that_diverged():
    late, early = [0.9, 0.9, 0.3], [0.9, 0.2, 0.9]
    assert tuning.steps_text(descent_of(early)) == "2"
    assert tuning.steps_text(descent_of(late)) == ">3"
    for gone in (np.nan, np.inf):
        assert tuning.steps_text(descent_of(late, gone)) == "-"
    assert tuning.steps_text(descent_of(early, np.nan)) == "2"


def test_the_error_of_a_diverged_net_is_not_printed():
    errors = [0.9, 0.9, 0.1, 0.2]
    assert tuning.error_text(descent_of(errors)) == "15.00"
    assert tuning.error_text(descent_of(errors, np.nan)) == "-"


RACES = {
    "relu": "107 75 55 39 27 20 17 15 13 13 25 25 109 >1000 - - - >1000",
    "tanh": "112 77 55 40 23 19 13 8 6 5 7 15 188 >1000 >1000 >1000 >1000 >1000",
    "sigmoid": ">1000 >1000 >1000 >1000 >1000 >1000 >1000 692 535 369 228 177 159 141 "
    "152 148 217 601",
}
ERRORS = {
    "sigmoid, sgd": "93.50 92.46 91.41 91.17 91.69 64.66 90.25",
    "relu, sgd": "5.30 4.07 3.23 1.72 - - -",
    "sigmoid, adam": "52.66 13.83 6.42 4.00 4.61",
    "relu, adam": "4.42 3.46 2.44 2.53 11.36",
    "residual": "3.14 2.09 1.39 1.74 6.97",
    "plain": "25.44 9.76 6.62 29.27 34.49",
}


def test_the_command_prints_its_docstring():
    found = {f"race, {name}": texts.split() for name, texts in RACES.items()}
    found |= {name: texts.split() for name, texts in ERRORS.items()}
    printed = tuning.tables(found)
    documented = inspect.getdoc(tuning) or ""
    assert textwrap.indent(printed, "    ") in documented


def test_clipped_runs_that_left_the_finite_numbers_rank_last():
    losses = [[1, 2, np.nan], [np.inf, np.nan, 1], [3, 1, 2.5], [6.34e22, np.nan, 1]]
    wanted = ["2.000", "-", "2.500", "6.3e+22"]
    assert clipping_tuning.medians(np.asarray(losses)) == wanted


def test_the_judged_rates_are_the_lowest_of_the_documented_ones():
    rates = [f"{rate:g}" for rate in clipping.RATES]
    *_, row = (line for line in documented_lines() if line.startswith("median loss"))
    medians = [math.inf if text == "-" else float(text) for text in row.split()[2:]]
    assert len(medians) == len(rates)
    assert clipping.RATES[medians.index(min(medians))] == clipping.LEARNING_RATE


def documented_lines() -> list[str]:
    return [line.strip() for line in (clipping_tuning.__doc__ or "").splitlines()]


def write_what_jax_has_read(path: Path) -> None:
    """What jax took over at its import, and a variable that it reads as it starts."""
    directory = jax.config.jax_compilation_cache_dir
    path.write_text(f"{directory} {os.environ['PJRT_NPROC']}")
    raise SystemExit(3)


@pytest.fixture
def environ():
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


def test_a_tuner_computes_where_jax_was_imported_after_the_environment(
    environ, tmp_path
):
    environ["CNN_JAX_CACHE"] = str(tmp_path)
    environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    told = tmp_path / "told"
    assert process.prepared(write_what_jax_has_read, told) == 3
    assert told.read_text() == f"{environ['JAX_COMPILATION_CACHE_DIR']} 2"
    assert environ["JAX_COMPILATION_CACHE_DIR"].startswith(str(tmp_path))
