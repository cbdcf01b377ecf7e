"""What the benchmark writes down, and how it judges it."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import blocks, convolution, measurements, results, runs, table
from benchmarks.layers import LAYERS
from benchmarks.timing import interleaved


def filled(ours: float = 1.0, lax: float = 3.0) -> results.Results:
    """One layer measured in both forms, ours in `ours` seconds at least."""
    found = results.Results()
    for form in ("forward", "gradients"):
        record = found.record({"kind": form, "layer": "LeNet conv1", "batch": 8})
        record["seconds"] = {"ours": [2 * ours, ours], "lax": [lax, 2 * lax]}
    return found


def test_candidates_are_called_in_alternating_order_and_not_timed_first() -> None:
    called = []
    now = iter(np.arange(0.0, 1e3, 1.0))
    seconds = interleaved(
        {name: lambda name=name: called.append(name) for name in "ab"},
        repeats=3,
        budget=1e9,
        clock=lambda: float(next(now)),
    )
    assert "".join(called) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_a_short_budget_still_leaves_two_rounds() -> None:
    now = iter(np.arange(0.0, 1e3, 1.0))
    seconds = interleaved(
        {"a": lambda: None}, budget=0.0, clock=lambda: float(next(now))
    )
    assert len(seconds["a"]) == 2


def test_results_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    found = filled()
    found.ceiling["before"] = 290.0
    found.save(tmp_path / "new" / "out.json")
    assert results.load(tmp_path / "new" / "out.json") == found
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.json"]


def test_what_is_measured_already_is_not_measured_again(tmp_path: Path) -> None:
    found, calls = filled(), []

    def measure() -> dict[str, Any]:
        calls.append(1)
        return {"seconds": {"torch": np.array([0.123456])}}

    labels = {"kind": "forward", "layer": "LeNet conv1", "batch": 8}
    for candidates in (("ours", "lax"), ("torch",), ("torch",)):
        wanted = [measurements.Measurement(labels, candidates, measure)]
        runs.measure(wanted, found, tmp_path / "out.json", table.line)
    assert len(calls) == 1
    kept = results.load(tmp_path / "out.json").record(labels)["seconds"]
    assert kept == {"ours": [2.0, 1.0], "lax": [3.0, 6.0], "torch": [0.1235]}


@pytest.mark.parametrize(("lax", "words"), [(3.0, "ok"), (0.9, "miss")])
def test_a_target_is_judged_by_the_least_times(lax: float, words: str) -> None:
    (row,) = (
        row
        for row in table.targets(filled(lax=lax)).splitlines()
        if row.startswith("| every shape >= 0.95 of lax, forward |")
    )
    assert row.endswith(f"| {lax:.2f} (LeNet conv1, batch 8) | {words} |")


def test_layers_are_chosen_by_parts_of_their_names() -> None:
    chosen = convolution.parse_layers("LeNet, C3D conv1")
    assert [layer.name for layer in chosen] == [
        "LeNet conv1",
        "LeNet conv2",
        "C3D conv1",
    ]
    with pytest.raises(argparse.ArgumentTypeError, match="'nothing' is part of none"):
        convolution.parse_layers("nothing")


def test_every_layer_is_measured_at_every_batch_it_allows() -> None:
    wanted = list(measurements.of_layers(LAYERS, (1, 8, 64), budget=1.0))
    small = [layer for layer in LAYERS if layer.largest_batch == 64]
    assert sum(each.labels["batch"] == 64 for each in wanted) == 2 * len(small)
    assert len({tuple(each.labels.values()) for each in wanted}) == len(wanted)


def test_a_resumed_file_tells_of_the_runs_before() -> None:
    found = results.Results()
    for number in range(3):
        found.begin({"command": f"run {number}"})
        found.ceiling["before"] = float(number)
    assert found.about["command"] == "run 2"
    assert found.about["earlier"] == [
        {"command": "run 0", "ceiling": {"before": 0.0}},
        {"command": "run 1", "ceiling": {"before": 1.0}},
    ]


def test_a_block_and_its_parts_are_the_same_function() -> None:
    layer = blocks.Layer(2, (4, 6), 1, 3, 3)
    given = blocks.draw(layer)
    np.testing.assert_allclose(
        blocks.block(*given), blocks.parts(*given), rtol=1e-5, atol=1e-5
    )
    assert blocks.ratio(layer, "trained") > 0
