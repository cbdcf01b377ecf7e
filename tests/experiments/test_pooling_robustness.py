"""The parts of pooling_robustness as one experiment."""

import numpy as np
import pytest

from experiments.pooling_robustness import (
    ALL_ARMS,
    ALL_TASKS,
    CLAIMS,
    Config,
    moving_nets,
    moving_tuning,
    tasks,
    tasks_nets,
    tasks_tuning,
)
from experiments.pooling_robustness.claims import ORDER
from experiments.pooling_robustness.moving_nets import ARMS


def test_claims_stand_in_the_order_of_their_rows():
    rows = dict.fromkeys(claim.id.partition("/")[0] for claim in CLAIMS)
    assert tuple(rows) == ORDER
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_the_flags_know_every_arm_and_task():
    assert ALL_ARMS == ARMS
    assert ALL_TASKS == tasks.ALL_TASKS


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("arms", "min", "expected arms as all or from max, .* each once, got 'min'"),
        ("tasks", "field,field", "expected tasks as all .* got 'field,field'"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})


@pytest.mark.parametrize(
    ("rates", "tuning", "tried"),
    [
        (moving_nets.RATES, moving_tuning, moving_tuning.TRIED),
        (tasks_nets.RATES, tasks_tuning, tasks_tuning.RATES),
    ],
)
def test_every_net_has_the_best_of_the_documented_rates(rates, tuning, tried):
    table = tuning.__doc__[tuning.__doc__.index("\n    net ") :]
    rows = {
        words[0]: np.asarray(words[1:], float)
        for words in map(str.split, table.splitlines())
        if words
    }
    assert rows.pop("net").tolist() == list(tried)
    judged = [rate for rate in tried if rate < 0.02]
    # Of equals the largest.
    best = {
        net: max(
            rate
            for rate, error in zip(judged, errors, strict=False)
            if error == errors[: len(judged)].min()
        )
        for net, errors in rows.items()
    }
    assert best == rates
