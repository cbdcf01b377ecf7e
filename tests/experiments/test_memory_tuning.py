"""How learning rates of the long-range memory experiment are chosen and printed."""

import re

import numpy as np
import pytest

from experiments.harness.lab import Lab
from experiments.long_range_memory import SHORTEST, Config, tuning
from experiments.long_range_memory.nets import build
from experiments.long_range_memory.tasks import adding, made_sets
from experiments.long_range_memory.training import LEARNING_RATES, LOOKS

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
RATES = (1e-3, 1e-2, 1e-1)


@pytest.mark.parametrize(
    ("means", "rate"),
    [
        ((0.5, 0.2, 0.3), 1e-2),
        ((0.985, 0.985, 1.2), 1e-3),  # of equal ones the smallest
        ((0.985, 0.986, 1.2), 1e-3),  # better than the blind guess: the lowest
        ((1.0, 1.005, 1.02), 1e-2),  # nothing learned: the largest that does no harm
        ((1.1, 1.0, np.inf), 1e-2),
        ((1.02, 1.0, 1.009), 1e-1),
    ],
)
def test_the_lowest_mean_is_chosen_or_the_largest_rate_that_does_no_harm(means, rate):
    assert tuning.choice(RATES, np.asarray(means)) == rate


def test_one_bad_seed_of_three_does_not_forbid_a_rate():
    ratios = np.asarray([[0.6, 0.6, 0.6], [0.01, 0.01, 0.9], [0.7, 0.8, 0.9]])
    text = tuning.lines("gru", RATES, ratios)
    row, worst = text.splitlines()
    assert row.split() == ["gru", "0.600", "0.045*", "0.796"]
    assert worst.split() == ["worst", "0.900"]
    assert worst.index("0.900") == row.index("0.045")


def test_the_worst_is_not_printed_beside_a_mean_that_tells_the_same():
    ratios = np.asarray([[1.0, 1.0, 1.5], [np.inf] * 3, [2000.0, 2000.0, 2000.0]])
    text = tuning.lines("orthogonal", RATES, ratios)
    assert text.split() == ["orthogonal", "1.145*", "inf", "2.00e+03"]


def test_a_table_of_every_rate_fits_the_docstring():
    ratios = np.full((len(tuning.RATES), 3), 12345.0)
    assert len("    " + tuning.lines("orthogonal", tuning.RATES, ratios)) <= 88


def starred(text):
    """(task, net) -> the rate with the star, of the printed tables."""
    found, task, rates = {}, "", []
    for words in map(str.split, text.splitlines()):
        if words and words[0] in LEARNING_RATES:
            task, rates = words[0], [float(each) for each in words[1:]]
        elif words and any(re.fullmatch(r"[\d.einf+]+\*", each) for each in words):
            place = [each.endswith("*") for each in words[1:]].index(True)
            found[task, words[0]] = rates[place]
    return found


def test_the_rates_are_those_with_a_star_in_the_docstring():
    stars = starred(tuning.__doc__)
    judged = [(task, net) for task in LEARNING_RATES for net in LEARNING_RATES[task]]
    assert set(stars) == set(judged)
    for (task, net), rate in stars.items():
        assert LEARNING_RATES[task][net] == rate


def test_the_tuning_prints_a_ratio_per_net_and_rate(capsys):
    config = Config(
        length=SHORTEST, num_held_out=50, steps=20, nets="shallow", tasks="adding"
    )
    tuning.tune(config, (1e-3, 1e-2), LAB)
    out = capsys.readouterr().out
    header, row, *_ = out.splitlines()
    assert header.split() == ["adding", "0.001", "0.01"]
    name, *ratios = row.split()
    assert name == "shallow"
    assert all(0.5 < float(ratio.strip("*")) < 20 for ratio in ratios)
    assert set(starred(out)) == {("adding", "shallow")}


def test_a_rate_at_which_a_net_diverges_is_infinite():
    task = adding(SHORTEST)
    sets = made_sets(task, 50)
    ratios = tuning._ratios(LAB, build("shallow", task), task, sets, LOOKS, 1e30)
    assert ratios.tolist() == [np.inf] * tuning.NUM_SEEDS
