"""What a claim may say, and the message when it may not."""

from typing import Any

import numpy as np
import pytest

from experiments.harness.claims import (
    Claim,
    Control,
    Grid,
    Images,
    Part,
    Timings,
    number,
)

STATED: dict[str, Any] = {
    "id": "conv-equivariant/zero-roll",
    "statement": "a convolution commutes with any translation",
    "source": "S0 4.3",
    "kind": "law",
    "expected": "no",
    "metric": "error",
    "relation": "<",
    "threshold": 1e-5,
}
BARE = {name: STATED[name] for name in ("statement", "source", "kind", "expected")}
CONTROL: dict[str, Any] = {
    "id": "conv-equivariant:unshared",
    "statement": "independent kernels do not commute",
    "metric": "unshared",
    "relation": ">",
    "threshold": 0.1,
}


def test_a_law_prints_its_rule():
    assert Claim(**STATED).rule == "< 1e-05"


def test_a_conjunction_prints_all_its_rules():
    parts = (
        Part(metric="presence", relation=">", threshold=2, unit="points"),
        Part(metric="ratio", relation="within", threshold=0.02, center=1.0),
    )
    claim = Claim(
        id="a",
        statement="s",
        source="S",
        kind="conditional",
        expected="open",
        parts=parts,
    )
    assert claim.rule == "> 2 points AND within 0.02 of 1"
    assert claim.rules == parts


def test_whole_numbers_are_printed_in_full():
    assert number(138357544) == "138,357,544"
    assert number(0.5) == "0.5"


def test_a_control_is_shared_by_the_arms_of_its_row():
    control = Control(**CONTROL)
    arms = [
        Claim(**STATED | {"id": name}, controls=(control,))
        for name in ("conv-equivariant", "conv-equivariant/circular")
    ]
    assert arms[0].controls[0] is arms[1].controls[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Conv Equivariant"}, "kebab-case id .* got 'Conv Equivariant'"),
        ({"id": "row/"}, "kebab-case id .* got 'row/'"),
        ({"id": "row:control"}, "kebab-case id .* got 'row:control'"),
        ({"statement": ""}, "expected a statement"),
        ({"source": ""}, "expected a source"),
        ({"kind": "theorem"}, "kind to be one of .* got 'theorem'"),
        ({"expected": "maybe"}, "expected to be one of .* got 'maybe'"),
        ({"relation": "!="}, "relation to be one of .* got '!='"),
        ({"relation": ""}, "relation to be one of .* got ''"),
        ({"metric": ""}, "expected the name of a metric"),
        ({"threshold": None}, "finite threshold, got None"),
        ({"threshold": float("nan")}, "finite threshold, got nan"),
        ({"threshold": 1e-3}, r"tolerance .* in \(0, 0.0001\], got < 0.001"),
        ({"threshold": 0.0}, "tolerance .* got < 0"),
        ({"relation": "within", "threshold": 0.0}, "'within' a distance d > 0, got 0"),
        ({"center": 1.0}, "center with 'within' only, got center 1.0 with '<'"),
        ({"estimate": "ratio"}, "estimate for a conditional claim only, got 'ratio'"),
        ({"estimate": "median"}, "estimate to be one of .* got 'median'"),
        ({"kind": "conditional", "relation": "="}, "expected a law or a count for '='"),
        ({"kind": "conditional", "statistical": True}, "expected a law or a count"),
        (
            {"kind": "conditional", "estimate": "ratio", "threshold": -0.5},
            "positive ratio as threshold, got -0.5",
        ),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Claim(**STATED | changes)


def test_a_bound_that_is_no_tolerance_is_written_with_another_relation():
    assert Claim(**STATED | {"relation": "<=", "threshold": 1.0}).rule == "<= 1"
    assert Claim(**STATED | {"threshold": 5.0, "statistical": True}).rule == "< 5"


def test_parts_replace_the_claims_own_rule():
    part = Part(metric="a", relation="<", threshold=1e-5)
    with pytest.raises(ValueError, match="either parts or metric"):
        Claim(**STATED, parts=(part, part))
    with pytest.raises(ValueError, match="at least 2 parts, got 1"):
        Claim(id="a", **BARE, parts=(part,))


def test_the_parts_are_held_to_the_claims_kind():
    parts = (
        Part(metric="a", relation="<", threshold=1e-5),
        Part(metric="b", relation="<", threshold=1.0),
    )
    with pytest.raises(ValueError, match="b: expected the tolerance"):
        Claim(id="a", **BARE, parts=parts)


@pytest.mark.parametrize("name", ["unshared", "row:", "row:UPPER", "row:a/b"])
def test_a_control_is_named_by_row_and_colon(name):
    with pytest.raises(ValueError, match="control id like 'row-id:name'"):
        Control(**CONTROL | {"id": name})


def test_a_control_of_another_row_is_refused():
    control = Control(**CONTROL | {"id": "conv:unshared"})
    with pytest.raises(ValueError, match="named after its row, got 'conv:unshared'"):
        Claim(**STATED, controls=(control,))


def test_a_control_takes_the_kind_of_its_row():
    control = Control(**CONTROL | {"relation": "<"})
    with pytest.raises(ValueError, match="unshared: expected the tolerance"):
        Claim(**STATED, controls=(control,))
    Claim(**STATED, controls=(Control(**CONTROL | {"relation": "<", "kind": "count"}),))


def test_a_grid_names_every_axis():
    with pytest.raises(ValueError, match=r"axes depth, shift, got shape \(5, 2\)"):
        Grid(np.zeros((5, 2)), {"depth": (1, 2), "shift": (0, 1)})


def test_a_grids_mask_covers_its_axes():
    with pytest.raises(ValueError, match=r"boolean mask of shape \(2,\)"):
        Grid(np.zeros((5, 2)), {"depth": (1, 2)}, np.zeros(2, bool))


def test_images_and_timings_are_matrices():
    with pytest.raises(ValueError, match=r"two axes, neither empty, got shape \(5,\)"):
        Images(np.zeros(5))
    with pytest.raises(ValueError, match=r"Timings \[repeats, 2\], got .*20, 3"):
        Timings(np.zeros((20, 3)))
