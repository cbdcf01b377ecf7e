"""Verdicts of claims: conjunctions, controls, Holm's correction and the record."""

import json
import math
from typing import Any

import numpy as np
import pytest

from experiments.harness.claims import Claim, Control, Kind, Part
from experiments.harness.verdicts import judge, judge_controls
from tests.harness.stating import STATED, SURE, conditional, judged, law, verdict

# Conjunctions


def both() -> Claim:
    parts = (
        Part(metric="a", relation=">", threshold=0.0),
        Part(metric="b", relation=">", threshold=0.0),
    )
    return Claim(id="both", kind="conditional", parts=parts, **STATED)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (SURE, SURE, "supported"),
        (SURE, SURE - 1, "inconclusive"),
        (SURE, -SURE, "refuted"),
        (SURE - 1, -SURE, "refuted"),
        (SURE, np.full(5, math.nan), "invalid"),
        (-SURE, np.full(5, math.nan), "invalid"),
        (SURE, None, "not measured"),
        (SURE[:3], -SURE, "inconclusive"),
    ],
)
def test_a_conjunction_needs_all_of_its_parts(a, b, expected):
    metrics = {"a": a} | ({} if b is None else {"b": b})
    assert judge((both(),), metrics)[0].verdict == expected


def test_a_conjunction_is_refuted_at_its_parts_share_of_the_level():
    # p of b is .0307: refuted at 5 %, but not at 5 %/2.
    b = -np.array([0.1, 0.4, 0.9, 1.0, 1.2]) + 0.05
    (found,) = judge((both(),), {"a": SURE, "b": b})
    assert 0.025 < found.findings[1].p < 0.05
    assert found.findings[1].verdict == "refuted"
    assert found.verdict == "inconclusive"


def test_a_conjunction_holds_its_parts_and_null_in_its_own_fields():
    record: dict[str, Any] = judge((both(),), {"a": SURE, "b": -SURE})[0].to_json()
    for field in ("metric", "relation", "threshold", "per_seed", "mean", "ci_low"):
        assert record[field] is None
    assert [part["verdict"] for part in record["parts"]] == ["supported", "refuted"]
    assert [part["metric"] for part in record["parts"]] == ["a", "b"]
    assert record["rule"] == "> 0 AND > 0"
    assert record["verdict"] == "refuted"


# Controls


def guarded(row_kind: Kind, **changes: Any) -> Claim:
    control = Control(
        id="row:guard",
        statement="g",
        metric="g",
        relation=">",
        threshold=0.5,
        **changes,
    )
    rule: dict[str, Any] = {"metric": "m", "relation": ">", "threshold": 0.5}
    return Claim(id="row/arm", kind=row_kind, controls=(control,), **rule, **STATED)


@pytest.mark.parametrize("kind", ["law", "conditional"])
def test_a_control_that_is_not_supported_makes_its_row_invalid(kind):
    claim = guarded(kind)
    assert verdict(claim, SURE, g=SURE) == "supported"
    for bad in (-SURE, np.full(5, math.nan)):
        assert verdict(claim, SURE, g=bad) == "invalid"
        assert verdict(claim, -SURE, g=bad) == "invalid"
    assert verdict(claim, SURE) == "invalid"


def test_a_control_in_doubt_makes_its_row_invalid():
    found = judged(guarded("conditional"), SURE, g=SURE - 0.5)
    assert found.verdict == "invalid"
    assert found.note.startswith("control guard inconclusive")


def test_few_seeds_are_inconclusive_before_a_control_makes_them_invalid():
    claim = guarded("conditional")
    assert verdict(claim, SURE[:2], g=-SURE[:2]) == "inconclusive"
    assert verdict(guarded("law"), SURE[:1], g=-SURE[:1]) == "invalid"


def test_a_row_that_is_not_measured_does_not_blame_its_controls():
    found = judged(guarded("conditional"))
    assert found.verdict == "not measured"
    assert found.note == "m is absent"
    absent = judged(guarded("conditional"), SURE)
    assert absent.verdict == "invalid"
    assert absent.note.startswith("control guard not measured")
    failed = judged(guarded("conditional"), g=-SURE)
    assert failed.note == "control guard refuted; m is absent"


def test_a_control_may_have_a_kind_of_its_own():
    claim = guarded("conditional", kind="law")
    assert verdict(claim, SURE, g=SURE[:1]) == "supported"
    (control,) = judge_controls((claim,), {"m": SURE, "g": SURE[:1]})
    assert (control.id, control.kind, control.source) == ("row:guard", "law", "S0")


def test_a_conditional_control_needs_five_seeds_as_well():
    for few in (SURE[:4], np.array([1.0, math.nan])):
        (control,) = judge_controls((guarded("conditional"),), {"g": few})
        assert control.verdict == "inconclusive"


def test_a_shared_control_is_judged_once():
    claim = guarded("law")
    twin = Claim(**law(">", 0.5).__dict__ | {"id": "row/b", "controls": claim.controls})
    assert len(judge_controls((claim, twin), {"m": SURE, "g": SURE})) == 1


def test_one_id_stands_for_one_claim_and_one_control():
    claim = guarded("law")
    with pytest.raises(ValueError, match=r"every claim's id once, got \['row/arm'\]"):
        judge((claim, claim), {})
    other = guarded("law", expected="no")
    twin = Claim(**law(">", 0.5).__dict__ | {"id": "row/b", "controls": other.controls})
    with pytest.raises(ValueError, match="two different 'row:guard'"):
        judge((claim, twin), {})


# Holm


def test_holm_compares_each_p_value_with_its_own_share_of_the_level():
    # Of three, the second smallest has to stay below 2.5 %, not below 5 %.
    sure, likely, unsure = SURE, np.array([0.0, 0.9, 0.5, 1.3, 1.2]), SURE - 1
    claims = tuple(
        conditional(">", 0, id=name, metric=name)
        for name in ("sure", "likely", "unsure")
    )
    metrics = {"sure": sure, "likely": likely, "unsure": unsure}
    found = judge(claims, metrics)
    assert [each.verdict for each in found] == [
        "supported",
        "supported",
        "inconclusive",
    ]
    assert found[1].p is not None
    assert 0.025 < found[1].p < 0.05
    assert [each.survives_holm for each in found] == [True, False, None]
    alone = judge(claims[:2], metrics)
    assert [each.survives_holm for each in alone] == [True, True]


def test_holm_stops_at_the_first_p_value_that_is_too_large():
    # All three lie between 5 %/3 and 5 %: the last one alone would pass at 5 %.
    likely = np.array([0.0, 0.9, 0.5, 1.3, 1.2])
    metrics = dict.fromkeys(("first", "second", "third"), likely)
    claims = tuple(conditional(">", 0, id=name, metric=name) for name in metrics)
    found = judge(claims, metrics)
    assert {each.verdict for each in found} == {"supported"}
    assert [each.survives_holm for each in found] == [False] * 3


def test_laws_and_controls_take_no_part_in_holms_correction():
    claims = (guarded("conditional"), law("=", 1, metric="exact"))
    found = judge(claims, {"m": SURE, "g": SURE, "exact": np.ones(5)})
    assert [each.survives_holm for each in found] == [True, None]


def test_a_supported_conjunction_has_its_weakest_parts_p_value():
    (found,) = judge((both(),), {"a": SURE, "b": SURE + 10})
    assert found.p == max(each.p for each in found.findings)
    (found,) = judge((both(),), {"a": SURE, "b": -SURE})
    assert found.p == 2 * found.findings[1].p


# result.json


def test_the_record_is_strict_json_even_when_nothing_is_finite():
    claims = (conditional(">", 0.5), law("<", 1e-5, metric="law"))
    metrics = {"m": np.full(5, math.nan), "law": np.array([math.inf])}
    for each in judge(claims, metrics):
        text = json.dumps(each.to_json(), allow_nan=False)
        assert json.loads(text)["verdict"] == "invalid"


def test_the_record_has_every_field_of_a_result():
    record = judged(conditional("within", 2.0, center=1.0), SURE).to_json()
    fields = (
        "id statement source kind expected metric relation threshold center per_seed "
        "mean ci_low ci_high verdict measured rule note survives_holm controls"
    )
    assert set(fields.split()) <= set(record)
    assert (record["relation"], record["threshold"], record["center"]) == (
        "within",
        2.0,
        1.0,
    )
