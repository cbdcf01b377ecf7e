"""Pooling in tasks: the ledger, what is judged, and the figures."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cnn_jax.data import Dataset, Split
from experiments.harness.claims import Shown
from experiments.harness.figures import draw
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.training import Trained
from experiments.harness.verdicts import judge
from experiments.pooling_robustness import figures_of_tasks as figures
from experiments.pooling_robustness import tasks, tasks_results
from experiments.pooling_robustness.claims_of_tasks import CLAIMS_OF_TASKS
from experiments.pooling_robustness.tasks_images import (
    SCALES,
    VIEWS,
    Outlines,
    field_tasks,
)
from experiments.pooling_robustness.tasks_nets import LOCAL

LEDGER = {
    "presence-not-location",
    *(f"downsampling-keeps-object/{arm}" for arm in ("kept", "retrained")),
    *(f"local-patterns-suffice/{field}" for field in (5, 9, 17)),
    *(f"pooling-statistical-efficiency/{arm}" for arm in ("true-prior", "underfits")),
}
Errors = dict[str, tuple[float, ...]]
SIZES = (75, 150, 300, 600, 1200)
SEEDS, IMAGES = 5, 200
# Errors in percent: of the field by size, of the location, of outlines by view, of the
# nets of capped field.
GOOD: Errors = {
    "pooled": (80, 60, 40, 20, 10),
    "strided": (90, 80, 70, 65, 60),
    "location": (30, 5),
    "train": (20, 1),
    "shrunk": (5, 5.5, 70),
    "local": (5, 5, 5, 5),
}
BAD: Errors = {
    "pooled": (90, 85, 80, 75, 65),
    "strided": (90, 80, 70, 65, 60),
    "location": (5, 5),
    "train": (1, 1),
    "shrunk": (5, 20, 70),
    "local": (50, 40, 30, 5),
}


def trained(
    errors: tuple[float, ...], train_error: float = 1.0, views: int = 1, params: int = 7
) -> Trained:
    """Nets that are wrong on about so many percent of the images.

    One run for each error and seed; or, with views, one for each seed, whose errors are
    those of the views.
    """
    rates = np.repeat(np.reshape(errors, (-1, views)), SEEDS, axis=0)
    wrong = np.zeros((len(rates), views, IMAGES), bool)
    for run, view in np.ndindex(*rates.shape):
        count = round(rates[run, view] * IMAGES / 100) + run % 2
        order = np.random.default_rng(run).permutation(IMAGES)
        wrong[run, view, order[:count]] = True
    history = np.full((len(rates), 2, 3), np.nan)
    history[:, :] = (0.1, train_error, 100 * wrong.mean())
    arrays = np.zeros(len(rates), bool), wrong.reshape(len(rates), -1), history
    return Trained({"layer": np.zeros((len(rates), params))}, *arrays)


def shown_errors(shrunk: tuple[float, ...]) -> tuple[float, ...]:
    """Errors of every view: of the shrunk ones as given, of all others 80 %."""
    return (*shrunk, *((80.0,) * (len(VIEWS) - len(shrunk))))


def found(errors: Errors) -> dict[str, Any]:
    """As the measurements return it."""
    draw = np.random.default_rng(0)
    views = draw.random((len(VIEWS) * 3, 6, 6, 1)).astype(np.float32)
    split = Split(views, np.zeros(len(views), np.int32))
    chance = Shown(np.asarray([10.0, 22.0]), "chance")
    each: dict[str, Any] = {"net, sizes": SIZES, "chance": chance}
    for place, net in enumerate(("pooled", "strided")):
        each[f"net, field, {net}"] = trained(errors[net])
        location = errors["location"][place : place + 1]
        each[f"net, location, {net}"] = trained(location, errors["train"][place])
    for scale in SCALES:
        seen = shown_errors(errors["shrunk"])
        each[f"net, outlines, {scale}"] = trained(seen, views=len(VIEWS))
    for field, error in zip(LOCAL, errors["local"], strict=True):
        each[f"net, patterns, {field}"] = trained((error,))
    return {**each, **tasks_results.pictures(Outlines({}, split))}


def metrics_of(errors: Errors) -> dict[str, Any]:
    each = found(errors)
    named = {name: values for name, values in each.items() if ", " not in name}
    return {**named, **tasks.task_metrics(each)}


def verdicts(metrics: dict[str, Any]) -> dict[str, str]:
    return {each.id: each.verdict for each in judge(CLAIMS_OF_TASKS, metrics)}


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_guarded():
    assert {claim.id for claim in CLAIMS_OF_TASKS} == LEDGER
    assert len(CLAIMS_OF_TASKS) == len(LEDGER)
    assert all(claim.controls for claim in CLAIMS_OF_TASKS)


def test_every_claim_can_be_supported():
    assert verdicts(metrics_of(GOOD)) == dict.fromkeys(LEDGER, "supported")


def test_every_claim_can_be_refuted():
    assert verdicts(metrics_of(BAD)) == dict.fromkeys(LEDGER, "refuted")


@pytest.mark.parametrize(
    ("name", "values", "row"),
    [
        ("learned/field-pooled", np.full(5, 80.0), "presence-not-location"),
        ("learned/location-strided", np.full(5, 80.0), "presence-not-location"),
        ("twins-ratio", np.asarray([1.1]), "presence-not-location"),
        ("learned/field-strided", np.full(5, 80.0), "efficiency/true-prior"),
        ("accuracy/field-strided", np.full(5, 15.0), "efficiency/true-prior"),
        ("learned/location-strided", np.full(5, 80.0), "efficiency/underfits"),
        ("accuracy/outlines", np.full(5, 80.0), "keeps-object/kept"),
        ("accuracy/quarter", np.full(5, 80.0), "keeps-object/retrained"),
        ("half-differs", np.asarray([0.01]), "keeps-object/kept"),
        ("local-accuracy/full", np.full(5, 80.0), "local-patterns-suffice/9"),
        ("seen/full", np.asarray([33]), "local-patterns-suffice/17"),
        ("seen/9", np.asarray([13]), "local-patterns-suffice/9"),
        ("gained/patterns-full", np.full(5, 3.0), "local-patterns-suffice/17"),
        ("gained/location-pooled", np.full(5, 3.0), "efficiency/underfits"),
        ("local-ratio/5", np.asarray([0.5]), "local-patterns-suffice/5"),
    ],
)
def test_a_claim_whose_control_fails_is_invalid(name, values, row):
    metrics = metrics_of(GOOD)
    assert name in metrics
    judged = verdicts(metrics | {name: values})
    assert [each for key, each in judged.items() if key.endswith(row)] == ["invalid"]


def test_a_task_that_was_left_out_is_not_measured_and_says_what_would():
    judged = judge(CLAIMS_OF_TASKS, {})
    assert {each.verdict for each in judged} == {"not measured"}
    flags = {claim.requires for claim in CLAIMS_OF_TASKS}
    assert flags == {f"--tasks={name}" for name in tasks.ALL_TASKS}


def test_the_learning_curve_is_interpolated_in_the_logarithm():
    curve = np.asarray([[10.0, 20.0, 40.0], [30.0, 30.0, 40.0], [50.0, 40.0, 45.0]])
    wanted = np.asarray([40.0, 60.0, 35.0])
    reached, outside = tasks_results.reaching((100, 400, 1600), curve, wanted)
    np.testing.assert_allclose(reached, [800, 1600, 100])
    assert outside.tolist() == [0, -1, 1]


def test_a_curve_that_falls_again_counts_where_it_first_is_there():
    curve = np.asarray([[10.0], [50.0], [20.0], [60.0]])
    reached, _ = tasks_results.reaching((1, 10, 100, 1000), curve, np.asarray([30.0]))
    np.testing.assert_allclose(reached, [10**0.5])


def test_points_are_those_of_the_arms_that_the_rows_name():
    metrics = metrics_of(GOOD | {"pooled": (80, 60, 40, 20, 10), "location": (30, 5)})
    np.testing.assert_allclose(metrics["presence"].values.mean(), 50)
    np.testing.assert_allclose(metrics["location"].values.mean(), -25)
    np.testing.assert_allclose(metrics["underfits"], np.full(5, -19.0))
    np.testing.assert_allclose(metrics["half/kept"].values.mean(), -0.5)
    local = metrics_of(BAD)
    for field, points in (("5", -45), ("9", -35), ("17", -25)):
        np.testing.assert_allclose(local[f"capped/{field}"].values.mean(), points)
    # 40 % right between 150 and 300 images of the net that has 40, then 60 % right.
    ratio = metrics["samples-ratio"]
    assert ratio.shape == (5,)
    np.testing.assert_allclose(ratio, 8, rtol=0.05)


def test_a_net_that_still_learns_has_not_arrived():
    each = found(GOOD)
    each["net, patterns, 5"].history[:, 0, 1] += 7.0
    metrics: Any = tasks.task_metrics(each)
    assert metrics["not-arrived/5"].tolist() == [1] * 5
    assert metrics["not-arrived/9"].tolist() == [0] * 5


def test_a_capped_net_that_has_not_arrived_is_not_refuted():
    metrics = metrics_of(BAD)
    row = "local-patterns-suffice/5"
    assert verdicts(metrics)[row] == "refuted"
    late = metrics | {"not-arrived/5": np.ones(5, int)}
    assert verdicts(late)[row] == "inconclusive"


def test_retrained_is_the_net_of_small_pictures_on_small_pictures():
    each = found(GOOD)
    each["net, outlines, 2"] = trained(shown_errors((50, 15, 30)), views=len(VIEWS))
    metrics = tasks.task_metrics(each)
    retrained: Any = metrics["half/retrained"]
    np.testing.assert_allclose(retrained.values.mean(), -10)
    curve: Any = metrics["outline-curve"]
    np.testing.assert_allclose(curve.values[0].mean(-1), [94.8, 94.3, 29.8])
    np.testing.assert_allclose(curve.values[1].mean(-1), [94.8, 84.8, 29.8])


@pytest.mark.parametrize("seeds", [1, 5])
def test_every_figure_is_drawn_also_of_one_seed(seeds, monkeypatch):
    monkeypatch.setitem(globals(), "SEEDS", seeds)
    metrics = metrics_of(GOOD)
    drawn = draw(figures.plot, metrics)
    assert list(drawn) == ["field", "outlines", "local-patterns"]
    assert draw(figures.plot, {}) == {}


def test_the_crosses_are_where_the_pooled_net_has_the_accuracy_of_its_twin():
    metrics = metrics_of(GOOD)
    axes = Figure().subplots()
    curves = figures.shown(metrics, "field-curve")
    figures._learning_curves(axes, metrics, curves)
    crosses: Any
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    drawn = np.asarray(crosses.get_xydata())
    np.testing.assert_allclose(drawn[:, 0], 1200 / metrics["samples-ratio"])
    np.testing.assert_allclose(drawn[:, 1], curves[1, -1])


def test_a_pattern_is_never_measured_without_the_net_that_sees_all():
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    config = SimpleNamespace(
        field_steps=1,
        canvas_steps=1,
        local_steps=1,
        num_train=40,
        num_test=10,
        tasks="patterns-9",
    )
    planned = tasks.measurements(keys(0, 1), lab, config)
    assert list(planned) == ["patterns, 9", "patterns, full"]
    config.tasks = "outlines,field"
    planned = tasks.measurements(keys(0, 1), lab, config)
    assert list(planned) == ["field, pooled", "field, strided", "outlines"]


def test_no_cell_of_a_field_holds_most_digits():
    draw = np.random.default_rng(0)
    pictures = (draw.integers(0, 256, (600, 28, 28, 1)) / 255).astype(np.float32)
    split = Split(pictures, draw.integers(0, 10, 600).astype(np.int32))
    known = field_tasks(Dataset("mnist", split, split, 10, "few"), 600, 600)
    assert known["field"].train.images.shape == (600, 40, 40, 1)
    assert known["location"].chance < 30
    # One level up the pyramid, a picture keeps its mean but for what its edge loses.
    ink = known["field"].train.images.sum((1, 2, 3)) / pictures.sum((1, 2, 3))
    np.testing.assert_allclose(ink, 0.25 * 27**2 / 28**2, rtol=0.05)
