"""Convolution as a prior: the ledger, the tasks, what is judged, and its figures."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cnn_jax.data import Dataset, Split
from experiments.harness.figures import draw
from experiments.harness.lab import Lab
from experiments.harness.verdicts import judge
from experiments.strong_prior import CLAIMS, figures, results, tasks
from experiments.strong_prior.figures import plot
from experiments.strong_prior.results import sharing_metrics, task_metrics
from tests.experiments import prior_cases as cases

DATA = ("field", "textures", "mnist")
LEDGER = {
    *(f"prior-helps-when-true/{name}" for name in DATA),
    *(f"prior-hurts-when-false/{name}" for name in (*DATA, "location")),
    "compare-only-with-convolutions",
    "sharing-cuts-overfitting",
}
# Errors in percent, of natural and of permuted pixels.
TRUE_PRIOR = {"conv": [10.0, 70.0], "dense": [50.0, 50.0]}
NO_PRIOR = {"conv": [50.0, 30.0], "dense": [50.0, 50.0]}
SHARED = {"conv": 10.0, "unshared": 20.0, "dense": 30.0}


def all_metrics(
    errors: dict[str, list[float]], sharing: dict[str, float]
) -> dict[str, Any]:
    """As `run` returns them, with MNIST."""
    metrics: dict[str, Any] = cases.laws(1e-15, 0.5)
    for name in DATA:
        metrics |= task_metrics(name, cases.task(), cases.nets(name, **errors))
    still = {arm: each[1:] for arm, each in errors.items()}
    metrics |= task_metrics("location", cases.task(), cases.nets("location", **still))
    stopped = {name: cases.trained([each]) for name, each in sharing.items()}
    return {**metrics, **sharing_metrics(stopped, 0.3)}


def verdicts(metrics: dict[str, Any]) -> dict[str, str]:
    return {each.id: each.verdict for each in judge(CLAIMS, metrics)}


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} == LEDGER
    assert len(CLAIMS) == len(LEDGER)


def test_every_row_is_guarded():
    assert all(claim.controls for claim in CLAIMS)


def test_every_claim_can_be_supported():
    found = verdicts(all_metrics(TRUE_PRIOR, SHARED))
    assert found == dict.fromkeys(LEDGER, "supported")


def test_every_claim_can_be_refuted():
    metrics = all_metrics(NO_PRIOR, dict(zip(SHARED, (30.0, 20.0, 10.0), strict=True)))
    found = verdicts(metrics | cases.laws(1e-2, 0.5))
    assert found == dict.fromkeys(LEDGER, "refuted")


@pytest.mark.parametrize(
    ("name", "values", "row"),
    [
        ("train-accuracy/field-dense-natural", np.full(5, 80.0), "true/field"),
        ("train-accuracy/field-conv-permuted", np.full(5, 80.0), "false/field"),
        ("train-accuracy/location-dense-natural", np.full(5, 80.0), "false/location"),
        ("params-ratio/textures", np.asarray([1.2]), "true/textures"),
        ("changed-values/textures", np.asarray([1]), "false/textures"),
        ("adjacent-share/field", np.asarray([1.0]), "true/field"),
        ("trajectories-end/conv", np.full((2, 2), 1e-3), "convolutions"),
        ("gap/dense", np.zeros(5), "sharing-cuts-overfitting"),
    ],
)
def test_a_failing_control_makes_its_rows_invalid(name, values, row):
    found = verdicts(all_metrics(TRUE_PRIOR, SHARED) | {name: values})
    (invalid,) = (each for each in found if each.endswith(row))
    assert found[invalid] == "invalid"


def test_a_net_that_never_gets_to_the_train_loss_makes_sharing_invalid():
    stopped = {name: cases.trained([error]) for name, error in SHARED.items()}
    reached = (True, True, False, True, True)
    stopped["unshared"] = cases.trained([20.0], reached=reached)
    metrics: Any = sharing_metrics(stopped, 0.3)
    for name in ("conv-less-unshared", "unshared-less-dense"):
        finite = np.isfinite(metrics[name].values).all(1)
        assert finite.tolist() == list(reached)
    assert verdicts(metrics)["sharing-cuts-overfitting"] == "invalid"


def test_what_was_left_out_is_not_measured_and_its_flag_is_named():
    metrics = task_metrics("field", cases.task(), cases.nets("field", **TRUE_PRIOR))
    judged = {each.id: each for each in judge(CLAIMS, metrics)}
    for row, flag in (
        ("prior-helps-when-true/mnist", "--data=mnist"),
        ("prior-hurts-when-false/location", "--tasks=location"),
        ("sharing-cuts-overfitting", "--tasks=sharing"),
    ):
        assert judged[row].verdict == "not measured"
        assert judged[row].note.endswith(f"needs {flag}")
        assert "control" not in judged[row].note
    assert judged["prior-helps-when-true/field"].verdict == "supported"


def test_differences_and_drops_are_points_per_image():
    nets = {
        "conv": cases.trained([0.0, 100.0], seeds=2),
        "dense": cases.trained([0.0, 0.0], seeds=2),
    }
    # Runs are (natural, natural, permuted, permuted); every second has one more error.
    nets["conv"].wrong[:] = [[0] * 200, [1] + [0] * 199, [1] * 200, [1] * 200]
    nets["dense"].wrong[:] = [[0] * 200, [1] * 200, [0] * 200, [1] * 200]
    metrics: Any = task_metrics("field", cases.task(), nets)
    natural, permuted, drop = (
        metrics[f"{name}/field"].values for name in ("natural", "permuted", "drop")
    )
    assert natural.tolist() == [[0] * 200, [0] + [100] * 199]
    assert permuted.tolist() == [[-100] * 200, [0] * 200]
    assert drop.tolist() == [[100] * 200, [0] + [100] * 199]
    right = metrics["right/field-conv-natural"].values
    assert right.mean(1).tolist() == [100, 99.5]
    assert metrics["train-accuracy/field-conv-natural"].tolist() == [99, 99]
    assert metrics["params-ratio/field"].tolist() == [1]
    assert metrics["chance/field"].values.tolist() == [25]


def test_mnist_is_judged_at_a_thousand_images():
    errors = [each for size in (80.0, 60.0, 40.0, 20.0) for each in (size, size + 10)]
    nets = {"conv": cases.trained(errors), "dense": cases.trained(errors)}
    metrics: Any = task_metrics("mnist", cases.task(), nets)
    judged = metrics["right/mnist-conv-permuted"].values.mean()
    assert judged == pytest.approx(50, abs=0.5)
    curve = metrics["curve"].values
    assert curve.shape == (2, 4, 2, cases.SEEDS)
    expected = 100 - np.asarray(errors).reshape(4, 2)
    np.testing.assert_allclose(curve[0].mean(-1), expected, atol=0.5)


def test_a_permutation_that_loses_values_is_seen(monkeypatch):
    nets = cases.nets("field", **TRUE_PRIOR)
    metrics: Any = task_metrics("field", cases.task(), nets)
    assert metrics["changed-values/field"].tolist() == [0]
    monkeypatch.setattr(results, "rearranged", lambda images, _: images[::-1])
    lost: Any = task_metrics("field", cases.task(), nets)
    assert lost["changed-values/field"].item() > 0
    assert verdicts(lost)["prior-helps-when-true/field"] == "invalid"


def test_the_cell_of_a_digit_is_that_of_its_middle():
    places = np.asarray([[0, 0], [3, 4], [4, 3], [11, 12], [16, 16], [12, 0]])
    expected = []
    for top, left in places:
        row, column = int((top + 4.0) // 8), int((left + 4.0) // 8)
        expected.append(3 * row + column)
    assert tasks.cells_of(places, 8, 24).tolist() == expected
    assert expected == [0, 1, 3, 5, 8, 6]


def test_fields_ask_two_things_of_the_same_canvases():
    draw = np.random.default_rng(0)
    images = draw.random((90, 8, 8, 1)).astype(np.float32)
    split = Split(images, np.arange(90, dtype=np.int32) % 10)
    found = tasks.fields(Dataset("digits", split, split, 10, ""))
    field, location = found["field"], found["location"]
    np.testing.assert_array_equal(field.test.images, location.test.images)
    np.testing.assert_array_equal(field.test.labels, split.labels)
    assert (field.train.images != field.test.images).any()  # other places
    assert field.num_classes == location.num_classes == 10
    assert set(location.train.labels) == set(range(9))
    for canvas, label in zip(location.test.images, location.test.labels, strict=True):
        rows, columns = np.nonzero(canvas[..., 0])
        middle = [(each.min() + each.max() + 1) / 2 // 8 for each in (rows, columns)]
        assert 3 * middle[0] + middle[1] == label


def test_patches_of_test_do_not_overlap_and_come_from_the_other_half():
    rows, columns = np.mgrid[:64, :128].astype(np.float32) / 1000
    names = ("grass", "gravel", "brick")  # their order must not matter
    photographs = dict.fromkeys(names, (1000 * rows + columns)[..., None])
    photographs["grass"] = photographs["grass"] + 200
    task = tasks.textures(photographs)
    assert task.train.images.shape == (3 * 3 * 3, 32, 32, 1)
    assert task.test.images.shape == (3 * 2 * 2, 32, 32, 1)
    assert task.num_classes == 3
    np.testing.assert_allclose(task.train.images.mean(), 0, atol=1e-4)
    gray = photographs["brick"][0, 0, 0] - task.train.images[0, 0, 0, 0]
    bricks = task.test.images[task.test.labels == 0] + gray
    seen = np.sort(np.round(1000 * (bricks % 1)).ravel())
    assert seen.min() == 64  # columns of the right half
    assert len(np.unique(np.round(bricks, 3))) == bricks.size
    grasses = task.test.images[task.test.labels == 1] + gray
    assert grasses.min() >= 200
    top, right = bricks[0, ..., 0], bricks[1, ..., 0]
    np.testing.assert_allclose(right - top, 0.032, atol=1e-4)


def test_chance_is_the_share_of_the_most_frequent_class():
    labels = np.asarray([0, 0, 0, 1, 2])
    split = Split(np.zeros((5, 2, 2, 1)), labels)
    assert tasks.Task(split, split, 3).chance == 60


def test_the_permutation_is_one_for_all_images_and_for_good():
    orders = tasks.pixel_orders(576)
    assert orders["natural"].tolist() == list(range(576))
    assert sorted(orders["permuted"]) == list(range(576))
    assert orders["permuted"][:5].tolist() == [414, 96, 480, 318, 540]
    images = np.arange(2 * 4 * 4).reshape(2, 4, 4, 1)
    order = np.random.default_rng(0).permutation(16)
    found = tasks.rearranged(images, order)
    for before, after in zip(images, found, strict=True):
        assert after.ravel().tolist() == before.ravel()[order].tolist()


def test_neighbors_stay_adjacent_only_where_nothing_is_permuted():
    assert tasks.adjacent_share(np.arange(64), 8) == 1
    turned = np.arange(64).reshape(8, 8).T.ravel()
    assert tasks.adjacent_share(turned, 8) == 1
    for width in (24, 28, 32):
        order = tasks.pixel_orders(width**2)["permuted"]
        assert tasks.adjacent_share(order, width) < 0.02
    halves = np.concatenate([np.arange(0, 64, 2), np.arange(1, 64, 2)])
    assert tasks.adjacent_share(halves, 8) == 0


def test_the_bundled_photographs_have_the_patches_that_are_told():
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    task = tasks.textures(lab.whole_photographs())
    assert len(task.train.labels) == 3 * 31 * 15
    assert len(task.test.labels) == 3 * 16 * 8
    assert task.chance == pytest.approx(100 / 3)


def test_every_figure_is_drawn_of_what_was_measured():
    drawn = draw(plot, all_metrics(TRUE_PRIOR, SHARED))
    names = ["answer", "learning-curve", "sharing", "images", "trajectories"]
    assert list(drawn) == names
    few = task_metrics(
        "location", cases.task(), cases.nets("location", conv=[10.0], dense=[30.0])
    )
    assert list(draw(plot, {**few, **cases.laws(0, 0.5)})) == ["answer", "trajectories"]


def test_what_is_blue_is_supported():
    colors = {figures.HOLDS: "supported", figures.FAILS: "refuted"}
    for errors in (TRUE_PRIOR, NO_PRIOR):
        metrics = all_metrics(errors, SHARED)
        found = verdicts(metrics)
        axes = Figure().subplots()
        figures._differences(axes, metrics)
        marks = [line for line in axes.lines if line.get_markersize() == 7]
        said = [colors[str(line.get_color())] for line in marks]
        rows = [row.metric for row in figures.ROWS]
        for name in DATA:
            told = said[rows.index(f"permuted/{name}")]
            assert told == found[f"prior-hurts-when-false/{name}"]
            both = {said[rows.index(f"{each}/{name}")] for each in ("natural", "drop")}
            assert both == {found[f"prior-helps-when-true/{name}"]}
        assert said[rows.index("conv-less-unshared")] == "supported"


def test_a_row_across_the_end_of_its_range_is_gray():
    row = figures.ROWS[0]
    assert row.threshold == 2
    colors = [figures._verdict_color(row, *ends) for ends in ((1, 3), (2.5, 3), (0, 1))]
    assert colors == [figures.OPEN, figures.HOLDS, figures.FAILS]
    left = row._replace(side="left")
    colors = [
        figures._verdict_color(left, *ends) for ends in ((1, 3), (2.5, 3), (0, 1))
    ]
    assert colors == [figures.OPEN, figures.FAILS, figures.HOLDS]


def test_accuracies_stand_where_they_were_measured():
    axes = Figure().subplots()
    figures._accuracies(axes, all_metrics(TRUE_PRIOR, SHARED))
    labels = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert labels[0] == "which digit, anywhere"
    marks = [line for line in axes.lines if line.get_markersize() == 7]
    heights = [np.mean(np.asarray(line.get_ydata())) for line in marks[:4]]
    np.testing.assert_allclose(heights, [90, 50, 30, 50], atol=0.5)
    places = [np.mean(np.asarray(line.get_xdata())) for line in marks[:4]]
    np.testing.assert_allclose(places, [-0.2, -0.2, 0.2, 0.2])
