"""One rule against one metric: what was measured, and what follows from it.

Shape letters: R replicates (seeds, unless the rule names something else), K
evaluations of a law per replicate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from experiments.harness.claims import Part, is_tolerance, number
from experiments.harness.intervals import (
    INTERVALS,
    LEVEL,
    RESAMPLES,
    Array,
    smallest_level,
)
from experiments.harness.metrics import Metric
from experiments.harness.samples import Mask, evaluations, location, replicates

Verdict = Literal["supported", "refuted", "inconclusive", "invalid", "not measured"]

COUNTEREXAMPLE = 100  # times the tolerance: more than rounding explains
LEAST_REPLICATES = 5
LEAST_REPEATS = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule, judged.

    Attributes:
      part: the rule.
      verdict: at the 5 % level.
      strict: at 5 %/m, m the number of parts of the conjunction it belongs to.
      per_seed: each replicate's value, a law's worst one; None where seeds are pooled.
      mean, low, high: estimate and 95 % interval of a conditional claim; the mean of
        a count is its number.
      worst: a law's or a count's value that is furthest from holding.
      p: smallest level at which the interval still gives the verdict.
      detectable: half-width of the interval, the smallest effect that the run could
        have detected; for ratios a factor.
      measured: the number as it is printed.
      note: what a reader has to know beside the verdict.
      few: whether there were too few replicates to decide.
    """

    part: Part
    verdict: Verdict = "inconclusive"
    strict: Verdict = "inconclusive"
    per_seed: tuple[float, ...] | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    worst: float | None = None
    p: float = 1.0
    detectable: float | None = None
    measured: str = "-"
    note: str = ""
    few: bool = False

    def to_json(self) -> dict[str, object]:
        """The rule and what it met; every number finite or null."""
        seeds = self.per_seed
        return {
            "metric": self.part.metric,
            "relation": self.part.relation,
            "threshold": self.part.threshold,
            "center": self.part.center if self.part.relation == "within" else None,
            "unit": self.part.unit,
            "per_seed": seeds if seeds is None else [finite(each) for each in seeds],
            "mean": finite(self.mean),
            "ci_low": finite(self.low),
            "ci_high": finite(self.high),
            "worst": finite(self.worst),
            "detectable": finite(self.detectable),
            "verdict": self.verdict,
            "measured": self.measured,
            "rule": self.part.rule,
            "note": self.note,
        }


def finite(value: float | None) -> float | None:
    """The value, or None where JSON has no number for it."""
    return float(value) if value is not None and np.isfinite(value) else None


def find(
    part: Part, kind: str, metrics: Mapping[str, Metric], parts: int = 1
) -> Finding:
    """Judges one rule.

    Args:
      part: the rule.
      kind: law, conditional or count.
      metrics: what the run returned.
      parts: m, how many rules the conjunction has that this one belongs to.

    Raises:
      ValueError: the metric is not of the shape that the rule needs.
    """
    for name in (part.metric, part.censored):
        if name and name not in metrics:
            return _verdict(
                Finding(part=part, note=f"{name} is absent"), "not measured"
            )
    if kind == "conditional":
        finding = _find_conditional(part, metrics[part.metric], parts)
    else:
        finding = _find_exact(part, kind, metrics[part.metric])
    if part.censored:
        finding = _censored(finding, np.asarray(metrics[part.censored], int))
    return finding


def _find_exact(part: Part, kind: str, metric: Metric) -> Finding:
    """A law or a count: every evaluation has to hold, and one that fails refutes.

    A relative error above a law's tolerance may still be rounding: it refutes from
    100 times the tolerance on.
    """
    values = evaluations(part, metric)
    if not np.isfinite(values).all():
        where = location(metric, ~np.isfinite(values))
        return _verdict(Finding(part=part, note=f"not finite: {where}"), "invalid")
    distance = _distance(part, values)
    per_seed = np.take_along_axis(values, distance.argmax(axis=1)[:, None], axis=1)
    worst = float(values.flat[int(distance.argmax())])
    pooled = kind == "count" or part.statistical
    finding = Finding(
        part=part,
        per_seed=None if pooled else tuple(per_seed[:, 0].tolist()),
        mean=worst if kind == "count" and np.ptp(values) == 0 else None,
        worst=worst,
        measured=_print_exact(worst) + _unit(part),
    )
    holds = _holds(part, values)
    if holds.all():
        return _verdict(finding, "supported")
    failing = ~holds
    if is_tolerance(part, kind):
        failing = values > COUNTEREXAMPLE * _threshold(part)
    if not failing.any():
        note = f"between the tolerance and {COUNTEREXAMPLE} times it"
        return _verdict(replace(finding, note=note), "inconclusive")
    note = "" if values.size == 1 else _counterexample(metric, values, failing)
    return _verdict(replace(finding, note=note), "refuted")


def _counterexample(metric: Metric, values: Array, failing: Mask) -> str:
    column = int(np.argmax(failing.any(axis=0)))
    value = values[int(np.argmax(failing[:, column])), column]
    return f"smallest counterexample {location(metric, failing)}: {_print_exact(value)}"


def _find_conditional(part: Part, metric: Metric, parts: int) -> Finding:
    """The interval decides, given enough replicates and nothing but finite values."""
    values = replicates(part, metric)
    timing = part.estimate == "timing"
    least = max(part.least, LEAST_REPEATS if timing else LEAST_REPLICATES)
    few = len(values) < least
    unit = "repeat" if timing else part.replicate
    notes = [f"{len(values)} of {least} {unit}s"] if few else []
    finding = Finding(part=part, few=few, note="".join(notes))
    if flaw := _flaw(part, values):
        finding = replace(finding, note="; ".join([*notes, flaw]))
        return finding if few else _verdict(finding, "invalid")
    per_seed, mean = _estimates(part, values)
    finding = replace(finding, per_seed=per_seed, mean=mean, measured=f"{mean:.3g}")
    if len(values) < 2:
        return finding
    low, high = map(float, INTERVALS[part.estimate](values, LEVEL))
    multiplies = part.estimate in ("ratio", "timing")
    detectable = (high / low) ** 0.5 if multiplies else (high - low) / 2
    shown = f"a factor of {detectable:.3g}" if multiplies else f"{detectable:.2g}"
    notes.append(f"could have detected {shown}{_unit(part)}")
    finding = replace(
        finding,
        low=low,
        high=high,
        detectable=detectable,
        measured=f"{mean:.3g} [{low:.3g}, {high:.3g}]{_unit(part)}",
        note="; ".join(notes),
    )
    return finding if few else _decided(finding, values, parts)


def _flaw(part: Part, values: Array) -> str:
    """Why no interval can be made of the values; empty where one can."""
    if not np.isfinite(values).all():
        return "not finite"
    if part.estimate in ("ratio", "timing") and not (values > 0).all():
        return "not positive, so without a ratio"
    return ""


def _estimates(part: Part, values: Array) -> tuple[tuple[float, ...] | None, float]:
    """Each replicate's value, and the value that the interval is about."""
    if part.estimate == "timing":
        medians = np.median(values, axis=0)
        return None, float(medians[0] / medians[1])
    if part.estimate == "share":
        hits, draws = values.T
        each = np.divide(hits, draws, out=np.full_like(hits, np.nan), where=draws > 0)
        return tuple(each.tolist()), float(hits.sum() / draws.sum())
    each = values.mean(axis=1) if part.estimate == "accuracy" else values
    ratio = part.estimate == "ratio"
    mean = np.exp(np.log(each).mean()) if ratio else each.mean()
    return tuple(each.tolist()), float(mean)


def _decided(finding: Finding, values: Array, parts: int) -> Finding:
    """The verdict at 5 % and at 5 %/m, and the smallest level that still gives it."""
    part = finding.part

    def at(level: float) -> Verdict:
        return decide(part, *map(float, INTERVALS[part.estimate](values, level)))

    verdict = at(LEVEL)
    strict = verdict if parts == 1 else at(LEVEL / parts)
    finding = replace(finding, verdict=verdict, strict=strict)
    if verdict == "inconclusive":
        return finding
    # A percentile of resamples cannot tell a smaller level from zero.
    finest = 2 / RESAMPLES if part.estimate == "timing" else 1e-12
    p = smallest_level(lambda level: at(level) == verdict, finest)
    return replace(finding, p=p)


def decide(part: Part, low: float, high: float) -> Verdict:
    """What an interval says of a rule: supported, refuted or inconclusive.

    An end that touches the threshold of a strict relation lies on neither side, so
    that a tie without any variance stays inconclusive.
    """
    if _holds(part, np.array([low, high])).all():
        return "supported"
    least, most = _sides(part)
    return "refuted" if high < least or low > most else "inconclusive"


def _threshold(part: Part) -> float:
    return 0.0 if part.threshold is None else part.threshold


def _sides(part: Part) -> tuple[float, float]:
    """The least and the most that the relation allows."""
    threshold = _threshold(part)
    if part.relation == "within":
        return part.center - threshold, part.center + threshold
    return {
        "=": (threshold, threshold),
        "<": (-np.inf, threshold),
        "<=": (-np.inf, threshold),
        ">": (threshold, np.inf),
        ">=": (threshold, np.inf),
    }[part.relation]


def _holds(part: Part, values: Array) -> Mask:
    least, most = _sides(part)
    if part.relation in ("<", ">"):
        return (least < values) & (values < most)
    return (least <= values) & (values <= most)


def _distance(part: Part, values: Array) -> Array:
    """How badly each value fails: the largest is the worst."""
    if part.relation in ("<", "<="):
        return values
    if part.relation in (">", ">="):
        return -values
    center = part.center if part.relation == "within" else _threshold(part)
    return np.abs(values - center)


def _verdict(finding: Finding, verdict: Verdict) -> Finding:
    return replace(finding, verdict=verdict, strict=verdict)


def _censored(finding: Finding, sides: Array) -> Finding:
    """The budget ended before the quantity was seen: one verdict is out of reach."""
    beyond = {"refuted": sides > 0, "supported": sides < 0}
    if finding.verdict not in beyond or not beyond[finding.verdict].any():
        return finding
    note = "; ".join(["censored", *([finding.note] if finding.note else [])])
    return _verdict(replace(finding, note=note, p=1.0), "inconclusive")


def _unit(part: Part) -> str:
    return f" {part.unit}" if part.unit else ""


def _print_exact(value: float) -> str:
    return number(value) if float(value).is_integer() else f"{value:.2g}"
