"""From claims and metrics to verdicts.

A verdict is one of five words. *Supported*: the statement's rule held; *refuted*: it
was seen to fail; *inconclusive*: the run could not tell; *invalid*: the instrument
failed (a control, or a number that is not finite); *not measured*: the run left the
metric out. How one rule is judged is told in `findings`; here follow conjunctions,
controls and the correction for the number of claims.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.harness.claims import Claim, Control
from experiments.harness.findings import Finding, Verdict, find, finite
from experiments.harness.intervals import LEVEL
from experiments.harness.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim or a control with its verdict.

    Attributes:
      id, statement, source, kind, expected: as stated.
      rule: the rule as it is printed.
      measured: the number as it is printed.
      verdict: one of the five words.
      note: what a reader has to know beside the verdict.
      findings: one per rule; a conjunction has several.
      p: smallest level at which the intervals still give the verdict; None where it
        has no meaning.
      survives_holm: whether a decided conditional claim stays decided when the run's
        conditional claims are corrected for their number (Holm); None for others.
      controls: ids of the claim's controls.
    """

    id: str
    statement: str
    source: str
    kind: str
    expected: str
    rule: str
    measured: str
    verdict: Verdict
    note: str
    findings: tuple[Finding, ...]
    p: float | None = None
    survives_holm: bool | None = None
    controls: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The object that result.json holds: strict JSON, null where meaningless."""
        single = self.findings[0].to_json()
        record = {name: getattr(self, name) for name in _STATED}
        if len(self.findings) > 1:
            record |= dict.fromkeys(single)
            record["parts"] = [finding.to_json() for finding in self.findings]
        else:
            record |= single
        own = {name: getattr(self, name) for name in _JUDGED}
        return record | own | {"p": finite(self.p), "controls": list(self.controls)}


_STATED = ("id", "statement", "source", "kind", "expected")
_JUDGED = ("verdict", "measured", "rule", "note", "survives_holm")


def judge(claims: Sequence[Claim], metrics: Metrics) -> tuple[Judgement, ...]:
    """Judges the claims, in their order.

    Args:
      claims: an experiment's claims.
      metrics: what its run returned; a metric that is absent was not measured.

    Returns:
      One judgement per claim.

    Raises:
      ValueError: two claims or two different controls share an id, or a metric's
        shape is not what its rule needs.
    """
    ids = [claim.id for claim in claims]
    if repeated := {identifier for identifier in ids if ids.count(identifier) > 1}:
        raise ValueError(f"expected every claim's id once, got {sorted(repeated)} more")
    controls = {control.id: control for control in judge_controls(claims, metrics)}
    return _corrected([_judge_claim(claim, metrics, controls) for claim in claims])


def judge_controls(claims: Sequence[Claim], metrics: Metrics) -> tuple[Judgement, ...]:
    """Judges each control of the claims once, in the order of first use."""
    owners: dict[str, tuple[Control, Claim]] = {}
    for claim in claims:
        for control in claim.controls:
            known, first = owners.setdefault(control.id, (control, claim))
            if known != control or (not control.kind and first.kind != claim.kind):
                raise ValueError(
                    f"expected one control of one kind per id, "
                    f"got two different {control.id!r}"
                )
    return tuple(
        _judge_control(control, claim, metrics) for control, claim in owners.values()
    )


def _judge_control(control: Control, claim: Claim, metrics: Metrics) -> Judgement:
    kind = control.kind or claim.kind
    finding = find(control, kind, metrics)
    return Judgement(
        id=control.id,
        statement=control.statement,
        source=control.source or claim.source,
        kind=kind,
        expected=control.expected,
        rule=control.rule,
        measured=finding.measured,
        verdict=finding.verdict,
        note=finding.note,
        findings=(finding,),
    )


def _judge_claim(
    claim: Claim, metrics: Metrics, controls: Mapping[str, Judgement]
) -> Judgement:
    rules = claim.rules
    findings = tuple(find(rule, claim.kind, metrics, len(rules)) for rule in rules)
    verdict = _combine(findings)
    own = [controls[control.id] for control in claim.controls]
    verdict, reasons = _guarded(verdict, findings, own)
    if verdict == "not measured" and claim.requires:
        reasons.append(f"needs {claim.requires}")
    decided = claim.kind == "conditional" and verdict in ("supported", "refuted")
    return Judgement(
        id=claim.id,
        statement=claim.statement,
        source=claim.source,
        kind=claim.kind,
        expected=claim.expected,
        rule=claim.rule,
        measured=" AND ".join(finding.measured for finding in findings),
        verdict=verdict,
        note="; ".join(reasons),
        findings=findings,
        p=_p_value(verdict, findings) if decided else None,
        controls=tuple(control.id for control in claim.controls),
    )


def _combine(findings: Sequence[Finding]) -> Verdict:
    """A AND B: supported if all are, refuted if one is at 5 %/m, invalid if one is.

    Too few replicates leave it inconclusive before a part can be invalid.
    """
    verdicts = [finding.verdict for finding in findings]
    if "not measured" in verdicts:
        return "not measured"
    if any(finding.few for finding in findings):
        return "inconclusive"
    if "invalid" in verdicts:
        return "invalid"
    if any(finding.strict == "refuted" for finding in findings):
        return "refuted"
    return "supported" if set(verdicts) == {"supported"} else "inconclusive"


def _guarded(
    verdict: Verdict, findings: Sequence[Finding], controls: Sequence[Judgement]
) -> tuple[Verdict, list[str]]:
    """A control that is not supported makes invalid, few replicates come before it."""
    fine = ("supported", "not measured" if verdict == "not measured" else "")
    failed = [control for control in controls if control.verdict not in fine]
    few = any(finding.few for finding in findings)
    reasons = [
        f"control {control.id.rpartition(':')[2]} {control.verdict}"
        for control in failed
        if not (few and control.verdict == "inconclusive")  # for the same reason
    ]
    for finding in findings:
        name = f"{finding.part.metric}: " if len(findings) > 1 else ""
        reasons += [f"{name}{finding.note}"] if finding.note else []
    if verdict == "not measured" or few:
        return verdict, reasons
    return ("invalid" if failed else verdict), reasons


def _p_value(verdict: Verdict, findings: Sequence[Finding]) -> float:
    """All parts have to be supported; one refuted of m suffices, at level 5 %/m."""
    if verdict == "supported":
        return max(finding.p for finding in findings)
    refuted = [finding.p for finding in findings if finding.strict == "refuted"]
    return min(1.0, len(findings) * min(refuted))


def _corrected(judgements: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """Holm: the i-th smallest of m p-values has to stay below 5 %/(m - i + 1)."""
    family = [
        judgement
        for judgement in judgements
        if judgement.kind == "conditional"
        and judgement.verdict in ("supported", "refuted", "inconclusive")
    ]
    ordered = sorted(family, key=lambda judgement: _or_one(judgement.p))
    survivors = set()
    for rank, judgement in enumerate(ordered):
        if _or_one(judgement.p) > LEVEL / (len(ordered) - rank):
            break
        survivors.add(judgement.id)
    return tuple(
        judgement
        if judgement.p is None
        else replace(judgement, survives_holm=judgement.id in survivors)
        for judgement in judgements
    )


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
