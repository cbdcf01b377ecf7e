"""Short ways to state a claim and to judge it on one metric."""

from typing import Any

import numpy as np

from experiments.harness.claims import Claim
from experiments.harness.verdicts import Judgement, judge

STATED: dict[str, Any] = {"statement": "s", "source": "S0", "expected": "open"}
LAW: dict[str, Any] = STATED | {"id": "law", "kind": "law", "metric": "m"}
MEAN: dict[str, Any] = STATED | {"id": "mean", "kind": "conditional", "metric": "m"}
SURE = np.array([0.9, 1.0, 1.1, 1.0, 1.0])


def verdict(claim: Claim, *values: Any, **others: Any) -> str:
    return judged(claim, *values, **others).verdict


def judged(claim: Claim, *values: Any, **others: Any) -> Judgement:
    """The claim's judgement; the first value, if any, is its metric "m"."""
    metrics = dict(zip("m", values, strict=False)) | others
    (judgement,) = judge((claim,), metrics)
    return judgement


def conditional(relation: str, threshold: float, **changes: Any) -> Claim:
    return Claim(**MEAN | {"relation": relation, "threshold": threshold} | changes)


def law(relation: str, threshold: float, **changes: Any) -> Claim:
    return Claim(**LAW | {"relation": relation, "threshold": threshold} | changes)
