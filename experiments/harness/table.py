"""What a run says at its end: a line per claim, then the counts and where to look."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import directory

VERDICTS = ("supported", "refuted", "inconclusive", "invalid", "not measured")
_LARGE = 10_000
_ALWAYS_COUNTED = 3  # of the verdicts; the others only where there are some
_QUALIFIER = re.compile(r"\s+\((?:[^()]|\([^()]*\))*\)(?=\.?$)")
_EXPECTED = {"yes": "supported", "no": "refuted"}

Record = Mapping[str, Any]
Shown = Callable[[Record, Path], str]


def render(result: Record, run: Path) -> str:
    """The table of a result, its summary, the report's path and how to repeat it."""
    rows = [("claim", "measured", "rule", "verdict")]
    rows += [
        (claim["id"], claim["measured"], claim["rule"], _verdict(claim))
        for claim in result["claims"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows
    ]
    seconds = result["wall_seconds"]
    parts = ", ".join(f"{name} {each:.0f}" for name, each in seconds.items())
    summary = f"{counts(result)}; {controls_hold(guards(result))}"
    return "\n".join(
        [
            *lines,
            "",
            f"{summary}; {sum(seconds.values()):.0f} s ({parts})",
            f"report  {run / directory.REPORT}",
            f"replay  python launch.py --replay={run}",
        ]
    )


def counts(result: Record) -> str:
    """How many claims there are, and how many got which verdict."""
    claims = result["claims"]
    found = Counter(claim["verdict"] for claim in claims)
    shown = [
        f"{found[verdict]} {verdict}"
        for place, verdict in enumerate(VERDICTS)
        if place < _ALWAYS_COUNTED or found[verdict]
    ]
    return f"{count(len(claims), 'claim')}: {', '.join(shown)}"


def guards(result: Record) -> list[Record]:
    """The controls, but those that an unmeasured arm alone would have needed."""
    needed = {
        control
        for claim in result["claims"]
        if claim["verdict"] != "not measured"
        for control in claim["controls"]
    }
    return [
        control
        for control in result["controls"]
        if control["verdict"] != "not measured" or control["id"] in needed
    ]


def controls_hold(controls: Sequence[Record]) -> str:
    """How many of the controls are supported."""
    if not controls:
        return "no controls"
    holding = sum(control["verdict"] == "supported" for control in controls)
    verb = "holds" if len(controls) == 1 else "hold"
    return f"{holding} of {count(len(controls), 'control')} {verb}"


def is_surprise(claim: Record) -> bool:
    """Whether a claim was decided, and against what was expected."""
    expected = _EXPECTED.get(claim["expected"])
    decided = claim["verdict"] in _EXPECTED.values()
    return decided and expected is not None and claim["verdict"] != expected


def statements(claims: Sequence[Record]) -> list[str]:
    """What the claims of a row state, once, without the arms' qualifications."""
    said = (_QUALIFIER.sub("", claim["statement"]) for claim in claims)
    return list(dict.fromkeys(said))


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(value: float | None) -> str:
    """A number in four digits, a large one to the unit; a dash where there is none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or abs(value) >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _verdict(claim: Record) -> str:
    if claim["note"] and claim["verdict"] != "supported":
        return f"{claim['verdict']}: {claim['note']}"
    return f"{claim['verdict']} (law)" if claim["kind"] == "law" else claim["verdict"]
