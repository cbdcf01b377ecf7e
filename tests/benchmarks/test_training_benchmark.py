"""What the training benchmark compares, and how it judges it."""

import argparse

import numpy as np
import pytest

from benchmarks import results, training, training_table
from benchmarks import training_peers as peers

NET = peers.Net("LeNet-5", batch=4, steps=3, examples=16)


def filled(linen: float = 2.5, torch: float = 0.9) -> results.Results:
    """Two nets, ours in a second at the median, and four seeds."""
    found = results.Results()
    for name, by in (("LeNet-5", linen), ("ResNet-20", 1.4)):
        record = found.record(training._labels(peers.Net(name, 10, 7, 99)))
        record["seconds"] = {"ours": [0.5, 1.0, 9.0], "linen": [by], "torch": [torch]}
        record |= {"error": 1e-6, "torch error": 2e-6}
        record["memory"] = record["compile"] = {"ours": 3.0, "linen": 2.0}
    wanted = training.of_seeds(4, 2, budget=1.0)
    record = found.record(wanted.labels)
    record["seconds"] = dict(zip(wanted.candidates, ([2.0], [1.6]), strict=True))
    record["compile"] = dict(zip(wanted.candidates, (1.0, 0.9), strict=True))
    record["same bits"] = True
    return found


def test_both_libraries_take_the_same_steps_and_a_difference_is_seen():
    start = peers.draw(NET)
    trains = {}
    for name, made in peers.PROGRAMS.items():
        program = made(NET, start)
        compiled = program.jitted.lower(*program.arguments).compile()
        trains[name] = program.train(compiled)
    ours, linen = trains["ours"], trains["linen"]
    assert ours(None).losses.shape == (3,)
    assert training.checked(ours, linen) < 1e-3
    again = ours(None)
    np.testing.assert_array_equal(again.losses, ours(None).losses)

    other = start._replace(order=start.order[::-1])
    program = peers.linen(NET, other)
    turned = program.train(program.jitted)
    with pytest.raises(RuntimeError, match="two trainings differ by"):
        training.checked(ours, turned)


def test_a_difference_is_of_gradients_and_losses():
    one, other = (
        peers.Trained({}, {"a": np.asarray([0.3]), "b": np.asarray([last])}, np.ones(2))
        for last in (0.5, 0.4)
    )
    assert peers.gradients_apart(one, other) == pytest.approx(0.2)
    lossy = other._replace(losses=np.asarray([1.0, 1.5]))
    assert peers.losses_apart(lossy, other) == pytest.approx(0.5)
    with pytest.raises(RuntimeError, match=r"differ by 0\.5"):
        training.checked(lambda steps: lossy, lambda steps: other)
    with pytest.raises(RuntimeError, match=r"differ by 0\.2"):
        training.checked(lambda steps: one, lambda steps: other)


def test_targets_are_judged_by_medians_and_by_the_worst_batch():
    rows = training_table.targets(filled()).splitlines()[2:]
    assert [row.split(" | ")[-1] for row in rows] == [
        "ok |",
        "miss |",
        "miss |",
        "miss |",
        "miss |",
    ]
    assert "| 2.50 (LeNet-5, batch 10) |" in rows[0]
    assert "| 0.90 (LeNet-5, batch 10) |" in rows[1]
    assert "| 1.40 (ResNet-20, batch 10) |" in rows[2]
    assert rows[4].startswith("| 4 seeds <= 1.05 of as many single runs | 1.25 ")
    better = training_table.targets(filled(linen=1.9, torch=1.1)).splitlines()
    assert better[2].endswith("| miss |")
    assert better[3].endswith("| ok |")


def test_the_table_states_examples_per_second_of_the_median():
    text = training_table.tables(filled())
    assert (
        "| LeNet-5 | 10 | 7 | 70 | 28 | 2.50 | 1.0e-06 | 78 | 0.90 | 2.0e-06 |" in text
    )
    assert "| 4 seeds of LeNet on digits, 2 steps | 2 | 1.6 | 1.250 | yes |" in text


def test_seeds_in_one_program_have_the_bits_of_single_runs():
    programs = training.seed_programs(2, 2)
    together, apart = (
        programs[way].train(programs[way].jitted)() for way in training.WAYS
    )
    assert training.same_bits(together, apart)
    assert not training.same_bits(together, apart[::-1])


def test_nets_are_chosen_by_name():
    assert training.parse_nets("ResNet-20, LeNet-5") == ("ResNet-20", "LeNet-5")
    with pytest.raises(argparse.ArgumentTypeError, match="some of LeNet-5, ResNet-20"):
        training.parse_nets("resnet")
