"""The digest, the file and the differences of a run's metrics."""

import numpy as np
import pytest

from experiments.harness.metrics import (
    Grid,
    Images,
    Metric,
    Shown,
    Timings,
    differences,
    digest,
    load,
    save,
)


def metrics() -> dict[str, Metric]:
    shifts = ((0, 1), (1, 0), (1, 1))
    return {
        "errors": Grid(
            np.arange(12, dtype=np.float32).reshape(2, 2, 3),
            {"kernels": ("random", "max"), "shift": shifts},
            np.array([[True, True, False], [True, False, True]]),
        ),
        "lost": Images(np.ones((2, 4))),
        "count": np.array(61706),
        "slopes": np.array([1.0, np.nan]),
        "seconds": Timings(np.ones((20, 2))),
        "map": Shown(np.zeros((3, 3), np.uint8), "a feature map", "px"),
        "rate": Shown(np.array(3.5), "steps per second", timed=True),
    }


def test_a_saved_run_is_read_back_bit_for_bit(tmp_path):
    save(tmp_path / "metrics.npz", metrics())
    again = load(tmp_path / "metrics.npz")
    assert digest(again) == digest(metrics())
    assert differences(metrics(), again) == []
    assert list(again) == list(metrics())
    grid, shown = again["errors"], again["map"]
    assert isinstance(grid, Grid)
    assert grid.axes == {
        "kernels": ("random", "max"),
        "shift": ((0, 1), (1, 0), (1, 1)),
    }
    assert isinstance(shown, Shown)
    assert (shown.label, shown.unit, shown.timed) == ("a feature map", "px", False)


def test_the_digest_ignores_the_order_of_the_names():
    assert digest(dict(reversed(metrics().items()))) == digest(metrics())


def test_the_digest_knows_names_and_dtypes():
    digests = {
        digest({"m": np.zeros(2)}),
        digest({"n": np.zeros(2)}),
        digest({"m": np.zeros(2, np.int64)}),
        digest({"m": np.zeros((2, 1))}),
    }
    assert len(digests) == 4


def test_measured_times_are_no_part_of_digest_and_differences():
    changed = metrics() | {
        "seconds": Timings(np.full((30, 2), 2.0)),
        "rate": Shown(np.array(4.5), "steps per second", timed=True),
    }
    assert digest(changed) == digest(metrics())
    assert differences(metrics(), changed) == []
    del changed["seconds"]
    assert differences(metrics(), changed) == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "lost",
            Images(np.array([[1, 1, 1, 1], [1, 1.5, 0, 1]])),
            "lost: 2 of 8 values differ, first at [1, 1]: 1.0 became 1.5; by at most 1",
        ),
        ("count", np.array(61706.0), "count: ('int64', ()) became ('float64', ())"),
        ("slopes", np.ones(3), "slopes: ('float64', (2,)) became ('float64', (3,))"),
        ("lost", np.ones((2, 4)), "lost: class Images became array"),
        (
            "slopes",
            np.array([1.0, -0.0]),
            "slopes: 1 of 2 values differ, first at [1]: nan became -0.0; by at most 0",
        ),
    ],
)
def test_a_difference_names_metric_place_and_size(name, value, line):
    changed = metrics() | {name: value}
    assert differences(metrics(), changed) == [line]
    assert digest(changed) != digest(metrics())


def test_a_changed_axis_is_a_difference():
    changed = metrics()
    grid = changed["errors"]
    assert isinstance(grid, Grid)
    axes = dict(grid.axes) | {"kernels": ("random", "blur")}
    changed["errors"] = Grid(grid.values, axes, grid.valid)
    (line,) = differences(metrics(), changed)
    assert line.startswith("errors: axes [['kernels', ['random', 'max']]")
    assert digest(changed) != digest(metrics())


def test_a_changed_mask_is_a_difference():
    changed = metrics()
    grid = changed["errors"]
    assert isinstance(grid, Grid)
    changed["errors"] = Grid(grid.values, grid.axes)
    assert differences(metrics(), changed) == [
        "errors: the mask of entries that apply is in one run only"
    ]
    assert digest(changed) != digest(metrics())


def test_a_zero_that_changes_its_sign_is_a_difference():
    old, new = {"m": np.array([0.0])}, {"m": np.array([-0.0])}
    assert differences(old, new) == [
        "m: 1 of 1 values differ, first at [0]: 0.0 became -0.0; by at most 0"
    ]
    assert digest(old) != digest(new)


def test_a_metric_that_is_in_one_run_only_is_a_difference():
    changed = metrics()
    del changed["count"]
    assert differences(metrics(), changed) == ["count: only in the old run"]
    assert differences(changed, metrics()) == ["count: only in the new run"]


def test_arrays_of_objects_are_refused():
    with pytest.raises(ValueError, match="numbers or strings, got dtype object"):
        digest({"m": np.array([None])})


def test_labels_that_no_file_can_hold_are_refused(tmp_path):
    grid = Grid(np.zeros((1, 1)), {"pool": (max,)})
    with pytest.raises(ValueError, match="labels of numbers, strings or tuples"):
        save(tmp_path / "metrics.npz", {"m": grid})
