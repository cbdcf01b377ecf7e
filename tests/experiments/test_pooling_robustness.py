"""The parts of pooling_robustness as one experiment."""

import pytest

from experiments.pooling_robustness import CLAIMS, KNOWN, Config
from experiments.pooling_robustness.claims import ORDER
from experiments.pooling_robustness.moving_nets import ARMS
from experiments.pooling_robustness.tasks import ALL_TASKS


def test_claims_stand_in_the_order_of_their_rows():
    rows = dict.fromkeys(claim.id.partition("/")[0] for claim in CLAIMS)
    assert tuple(rows) == ORDER
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_the_flags_know_every_arm_and_task():
    assert {"arms": ARMS, "tasks": ALL_TASKS} == KNOWN


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
