"""The report of a run: one HTML file that needs nothing else, not even a script.

It is read from the top down: the answer first, then one figure, the table of verdicts,
and only then how each number was measured, what else was seen, and how to repeat it.
"""

import datetime
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from experiments.harness import environment, strips, table
from experiments.harness.figures import Drawing, inline
from experiments.harness.metrics import Shown
from experiments.harness.modules import Experiment

_TEMPLATES = Path(__file__).parent / "templates"
_MARKS = {
    "supported": "✓",
    "refuted": "✗",
    "inconclusive": "?",
    "invalid": "!",
    "not measured": "-",
}
_MOST_CELLS, _MOST_COLUMNS = 100, 16


def render(
    experiment: Experiment,
    description: str,
    result: Mapping[str, Any],
    drawings: Mapping[str, Drawing],
    shown: Mapping[str, Shown],
    run: Path,
) -> str:
    """The page.

    Args:
      experiment: as its source describes it.
      description: the data set in words.
      result: what result.json holds.
      drawings: the figures; the first is the answer at a glance.
      shown: what is printed beside the claims, by name.
      run: the run directory, for the command that repeats it.
    """
    figures = [
        {"caption": each.caption, "svg": inline(name, each.svg)}
        for name, each in drawings.items()
    ]
    title, *paragraphs = prose(experiment.doc)
    return page(
        "report.html.jinja",
        result=result,
        title=title["text"],
        paragraphs=paragraphs,
        answer=answer(result),
        groups=_groups(result),
        figures=figures,
        shown=[_shown(name, each) for name, each in shown.items()],
        facts=_facts(description, result),
        config=result["config"],
        environment=environment.flat(result["environment"]),
        commands=_commands(experiment, result, run),
    )


def page(template: str, **values: Any) -> str:
    """A template of the harness, filled in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=table.short, mark=_MARKS.__getitem__)
    return environment.get_template(template).render(**values)


def answer(result: Mapping[str, Any]) -> dict[str, Any]:
    """The sentence on top: how many verdicts of each kind, and what surprises."""
    claims, controls = result["claims"], table.guards(result)
    found = [
        (verdict, sum(claim["verdict"] == verdict for claim in claims))
        for verdict in table.VERDICTS
    ]
    return {
        "claims": table.count(len(claims), "claim"),
        "counts": [(verdict, number) for verdict, number in found if number],
        "controls": table.controls_hold(controls),
        "failed": [
            control
            for control in controls
            if control["verdict"] not in ("supported", "inconclusive")
        ],
        "undecided": [
            control for control in controls if control["verdict"] == "inconclusive"
        ],
        "surprises": [claim for claim in claims if table.is_surprise(claim)],
    }


def prose(doc: str) -> list[dict[str, Any]]:
    """The paragraphs of a docstring; indented ones are formulas or code."""
    return [
        {"text": textwrap.dedent(block), "is_code": block.startswith("    ")}
        for block in re.split(r"\n\s*\n", doc.strip())
    ]


def _groups(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The claims by row, each with its controls and a strip of its numbers."""
    controls = {control["id"]: control for control in result["controls"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    for claim in result["claims"]:
        row, _, arm = claim["id"].partition("/")
        groups.setdefault(row, []).append(
            {
                **claim,
                "row": row,
                "arm": arm,
                "rules": [_with_strip(rule) for rule in claim.get("parts", [claim])],
                "guards": [controls[each] for each in claim["controls"]],
                "is_surprise": table.is_surprise(claim),
            }
        )
    return [
        {"row": row, "claims": claims, "statements": table.statements(claims)}
        for row, claims in groups.items()
    ]


def _with_strip(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {**rule, "strip": strips.draw(rule)}


def _facts(description: str, result: Mapping[str, Any]) -> str:
    config, environment = result["config"], result["environment"]
    today = datetime.datetime.now(datetime.UTC)
    return (
        f"{description} · {table.count(config['num_seeds'], 'seed')} · "
        f"{environment['device']}, {table.count(config['num_threads'], 'thread')} · "
        f"jax {environment['jax']}, python {environment['python']} · "
        f"{sum(result['wall_seconds'].values()):.0f} s · {today:%B} {today.day}, "
        f"{today.year}"
    )


def _commands(
    experiment: Experiment, result: Mapping[str, Any], run: Path
) -> list[tuple[str, str]]:
    """How to repeat the run, here and in a fresh clone."""
    defaults = {field.name: field.default for field in experiment.fields}
    words = []
    for name, value in result["config"].items():
        if value is None or (name in defaults and value == defaults[name]):
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no{name}")
        else:
            words.append(f"--{name}={value}")
    again = " ".join([f"python launch.py --exp={experiment.name}", *words])
    return [
        ("Run it again", again),
        ("Repeat and compare", f"python launch.py --replay={run}"),
    ]


def _shown(name: str, each: Shown) -> dict[str, Any]:
    """A number, a row or a table of all leading axes; of larger arrays the range."""
    values = np.asarray(each.values)
    rows: Sequence[Sequence[Any]] = []
    text = ""
    columns = values.shape[-1] if values.ndim else 1
    if 0 < values.size <= _MOST_CELLS and columns <= _MOST_COLUMNS:
        rows = values.reshape(-1, columns).tolist()
    elif values.size and np.issubdtype(values.dtype, np.number):
        shape = " × ".join(map(str, values.shape))
        low, high = table.short(float(values.min())), table.short(float(values.max()))
        text = f"{shape} values from {low} to {high}"
    return {"name": name, "label": each.label, "unit": each.unit, "rows": rows} | {
        "text": text
    }
