"""What the recurrent benchmark compares, and how it judges it."""

import argparse

import jax
import pytest

from benchmarks import recurrent, recurrent_table, results
from benchmarks import recurrent_peers as peers
from benchmarks.measurements import difference


def filled(linen: float = 2.0, torch: float = 0.6) -> results.Results:
    """Two nets with gradients, ours in a second."""
    found = results.Results()
    for cell in ("LSTM", "GRU"):
        net = peers.Net(cell, 4, 5, 2, 3)
        record = found.record(recurrent._labels(net, "gradients"))
        record["seconds"] = {"ours": [1.0, 3.0], "linen": [linen], "torch": [torch]}
        record["memory"] = {"ours": 90, "linen": 100 if cell == "LSTM" else 80}
    return found


@pytest.mark.parametrize("kind", peers.KINDS)
def test_the_same_net_is_timed_by_both_libraries(kind):
    net = peers.Net("GRU", 3, 4, 2, 5, kind)
    arrays = peers.draw(net)
    ours, linen = (
        jax.jit(peers.program(net, name, "gradients"))(*arrays)
        for name in peers.LIBRARIES
    )
    width = 10 if kind == "both directions" else 5
    assert arrays.cotangent.shape == (3, 4, width)
    assert len(jax.tree.leaves(ours)) == 2 + len(jax.tree.leaves(arrays.variables))
    assert difference(ours, linen) < 1e-5


def test_targets_are_judged_by_means_and_by_the_worst_net():
    rows = recurrent_table.targets(filled()).splitlines()
    assert [row.split(" | ")[-1] for row in rows[2:]] == [
        "ok |",
        "miss |",
        "ok |",
        "miss |",
        "miss |",
    ]
    assert rows[3].startswith("| LSTM: geometric mean >= 0.75 of torch")
    assert "| 1.12 (GRU (4, 5, 2, 3)) |" in rows[-1]
    slow = recurrent_table.targets(filled(linen=1.5, torch=0.4)).splitlines()
    assert slow[2].endswith("| 1.50 (2 nets) | miss |")
    assert slow[4].endswith("| 0.40 (LSTM (4, 5, 2, 3)) | miss |")


def test_cells_are_chosen_by_name():
    assert recurrent.parse_cells("RNN, GRU") == ("RNN", "GRU")
    with pytest.raises(argparse.ArgumentTypeError, match="some of LSTM, GRU, RNN"):
        recurrent.parse_cells("rnn")


def test_every_cell_is_measured_at_every_shape_and_the_first_in_every_kind():
    wanted = list(recurrent.of_nets(peers.NETS, budget=1.0))
    assert len(wanted) == 2 * 3 * (5 + 2)
    assert len({tuple(each.labels.values()) for each in wanted}) == len(wanted)
