"""What an experiment states before it runs.

A `Claim` is a statement from a text together with the rule that would make it true:
metric, relation and threshold, all fixed before the run. A `Control` is a statement
about the instrument itself; a claim whose control fails is invalid, whatever its own
number says. An experiment takes all it needs to state and to hand back from here;
`Grid`, `Images`, `Timings` and `Shown` are told in `metrics`. How a verdict follows is
told in `verdicts`, how an interval does in `intervals`.

Shape letters: R replicates (seeds, unless the row names something else), N test
images.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from experiments.harness.metrics import Grid, Images, Metric, Metrics, Shown, Timings

__all__ = [
    "Claim",
    "Control",
    "Estimate",
    "Expected",
    "Grid",
    "Images",
    "Kind",
    "Metric",
    "Metrics",
    "Part",
    "Relation",
    "Shown",
    "Timings",
    "is_tolerance",
    "number",
]

Kind = Literal["law", "conditional", "count"]
Expected = Literal["yes", "no", "open"]
Relation = Literal["=", "<", "<=", ">", ">=", "within"]
Estimate = Literal["mean", "ratio", "share", "accuracy", "timing"]

LARGEST_TOLERANCE = 1e-4

_SEGMENT = r"[a-z0-9]+(?:[-.][a-z0-9]+)*"
_ID = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_CONTROL_ID = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*:{_SEGMENT}")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A rule: the number that is looked at, and what must hold of it.

    Attributes:
      metric: name of the metric in what the experiment's `run` returns.
      relation: one of = < <= > >= within. "within" means c - d <= value <= c + d,
        with d = `threshold` and c = `center`.
      threshold: right-hand side of the relation, in `unit`.
      center: c of "within".
      unit: printed behind the numbers, such as "points"; empty for pure numbers.
      estimate: how the interval of a conditional claim is made, and with that the
        metric's shape:
          "mean"      [R]            Student's t over replicates
          "ratio"     [R], positive  Student's t of the logarithm; threshold is a ratio
          "share"     [R, 2]         counts (hits, draws), pooled; Clopper-Pearson
          "accuracy"  Images [R, N]  in points, over one shared test set
          "timing"    Timings        ratio of medians, bootstrap
      replicate: what R counts, where it is not the seed ("photograph", "speaker").
      statistical: for a law whose seeds are pooled into one z or chi-squared per
        evaluation already; its metric has a leading axis of length 1.
      least: the fewest replicates that decide, where it is more than five, or of a
        timing 20 repeats.
      censored: name of a metric [R] or [1]: where the budget ended before the
        quantity was seen and its true value is nearer to the rule, 1 or True, so that
        the rule cannot be refuted; where it is further from the rule, -1, so that it
        cannot be supported.
      counts_nonfinite: the quantity is *how many* values of each replicate are not
        finite (diverged runs); otherwise a non-finite value is invalid.
    """

    metric: str = ""
    relation: Relation | Literal[""] = ""
    threshold: float | None = None
    center: float = 0.0
    unit: str = ""
    estimate: Estimate = "mean"
    replicate: str = "seed"
    least: int = 0
    statistical: bool = False
    censored: str = ""
    counts_nonfinite: bool = False

    def __post_init__(self) -> None:
        _one_of("relation", self.relation, get_args(Relation))
        _one_of("estimate", self.estimate, get_args(Estimate))
        if not self.metric:
            raise ValueError("expected the name of a metric, got an empty string")
        threshold = self.threshold
        if threshold is None or not math.isfinite(threshold):
            raise ValueError(
                f"{self.metric}: expected a finite threshold, got {threshold}"
            )
        if self.relation == "within" and threshold <= 0:
            raise ValueError(
                f"{self.metric}: expected 'within' a distance d > 0, got {threshold}"
            )
        if self.center and self.relation != "within":
            raise ValueError(
                f"{self.metric}: expected a center with 'within' only, "
                f"got center {self.center} with '{self.relation}'"
            )
        if self.estimate in ("ratio", "timing") and threshold + self.center <= 0:
            raise ValueError(
                f"{self.metric}: expected a positive ratio as threshold, "
                f"got {threshold}"
            )

    @property
    def rule(self) -> str:
        """The relation as it is printed, such as "< 1e-05" or "> 0.5 points"."""
        unit = f" {self.unit}" if self.unit else ""
        center = f" of {number(self.center)}" if self.center else ""
        return f"{self.relation} {number(self.threshold or 0)}{unit}{center}"


@dataclass(frozen=True, kw_only=True)
class Control(Part):
    """A claim about the instrument: not supported, it makes its claims invalid.

    Several claims of one row may share one control: the same object in each.

    Attributes:
      id: the row's id, a colon and a name.
      statement: what must hold for the measurement to be trusted.
      source: where the statement comes from; empty: its claim's source.
      kind: empty: its claim's kind.
      expected: the verdict that is expected.
    """

    id: str = ""
    statement: str = ""
    source: str = ""
    kind: Kind | Literal[""] = ""
    expected: Expected = "yes"

    def __post_init__(self) -> None:
        if not _CONTROL_ID.fullmatch(self.id):
            raise ValueError(
                f"expected a control id like 'row-id:name', got {self.id!r}"
            )
        _stated(self.id, self.statement, self.expected)
        _one_of("kind", self.kind, ("", *get_args(Kind)))
        super().__post_init__()
        if self.kind:
            _check_kind(self, self.kind)


@dataclass(frozen=True, kw_only=True)
class Claim(Part):
    """A statement and the rule that makes it true, fixed before the run.

    Attributes:
      id: kebab-case; arms after a slash ("conv-equivariant/zero-roll").
      statement: what the source says, not what we think.
      source: the text and its section.
      kind: "law" (all weights and inputs, up to rounding), "conditional" (depends on
        data, training or set-up) or "count" (arithmetic on exact numbers).
      expected: "yes", "no" or "open".
      parts: for "A AND B" the two or more rules; metric, relation and threshold then
        stay unset.
      controls: what guards the instrument.
      requires: the flag that would measure a metric that is absent, such as
        "--arms=all".
    """

    id: str
    statement: str
    source: str
    kind: Kind
    expected: Expected
    parts: tuple[Part, ...] = ()
    controls: tuple[Control, ...] = ()
    requires: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(
                f"expected a kebab-case id with arms after slashes, got {self.id!r}"
            )
        _stated(self.id, self.statement, self.expected)
        _one_of("kind", self.kind, get_args(Kind))
        if not self.source:
            raise ValueError(f"{self.id}: expected a source, got an empty string")
        self._check_parts()
        for rule in self.rules:
            _check_kind(rule, self.kind)
        for control in self.controls:
            _check_control(self, control)

    def _check_parts(self) -> None:
        if not self.parts:
            super().__post_init__()
        elif self.metric or self.relation or self.threshold is not None:
            raise ValueError(
                f"{self.id}: expected either parts or metric, relation and threshold, "
                f"got both"
            )
        elif len(self.parts) < 2:
            raise ValueError(f"{self.id}: expected at least 2 parts, got 1")

    @property
    def rules(self) -> tuple[Part, ...]:
        """The parts of a conjunction, or the claim itself."""
        return self.parts or (self,)

    @property
    def rule(self) -> str:
        if not self.parts:
            return super().rule
        return " AND ".join(part.rule for part in self.parts)


def accurate(identifier: str, statement: str, metric: str, above: float) -> Control:
    """That a net is right about more than `above` percent of some images."""
    return Control(
        id=identifier,
        statement=statement,
        metric=metric,
        relation=">",
        threshold=above,
        unit="%",
        kind="conditional",
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"expected {name} to be one of {known}, got {value!r}")


def _stated(identifier: str, statement: str, expected: str) -> None:
    if not statement:
        raise ValueError(f"{identifier}: expected a statement, got an empty string")
    _one_of("expected", expected, get_args(Expected))


def _check_kind(rule: Part, kind: str) -> None:
    """Refuses rules that have no meaning for their kind of claim."""
    threshold = rule.threshold
    if kind == "conditional" and (rule.relation == "=" or rule.statistical):
        raise ValueError(
            f"{rule.metric}: expected a law or a count for '=' and for statistical, "
            "got a conditional claim: the interval of a mean never is one point"
        )
    if kind != "conditional" and rule.least:
        raise ValueError(
            f"{rule.metric}: expected least for a conditional claim only, got "
            f"{rule.least} for a {kind}"
        )
    if kind != "conditional" and rule.estimate != "mean":
        raise ValueError(
            f"{rule.metric}: expected an estimate for a conditional claim only, "
            f"got {rule.estimate!r} for a {kind}"
        )
    if is_tolerance(rule, kind) and not 0 < (threshold or 0.0) <= LARGEST_TOLERANCE:
        raise ValueError(
            f"{rule.metric}: expected the tolerance of a law's relative error in "
            f"(0, {LARGEST_TOLERANCE:g}], got < {threshold:g}; write '<=' for a bound "
            "that is no tolerance"
        )


def number(value: float) -> str:
    """Prints whole numbers in full ("1,797"), others to 6 digits ("1e-05")."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def is_tolerance(rule: Part, kind: str) -> bool:
    """Whether the rule has the form `relative error < tolerance` of a law."""
    return kind == "law" and rule.relation == "<" and not rule.statistical


def _check_control(claim: Claim, control: Control) -> None:
    row = control.id.split(":")[0]
    if claim.id != row and not claim.id.startswith(f"{row}/"):
        raise ValueError(
            f"expected the control of {claim.id!r} to be named after its row, "
            f"got {control.id!r}"
        )
    _check_kind(control, control.kind or claim.kind)
