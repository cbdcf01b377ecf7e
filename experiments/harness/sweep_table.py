"""The one table of a sweep: what every claim came to in every cell.

Printed it has a row for each claim and cell; table.json holds the same and more, and
report.html has a column for each cell.
"""

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import (
    directory,
    environment,
    grid,
    intents,
    modules,
    options,
    resume,
    strict_json,
)
from experiments.harness import table as tables
from experiments.harness.exits import CommandError

TABLE = "table.json"
VERSION = 1
FINISHED, UNFINISHED, NOT_RUN = "finished", "unfinished", "not run"
_HEADER = ("measured", "verdict")
_STATED = ("id", "verdict", "measured", "rule", "note")
_NUMBERS = ("mean", "ci_low", "ci_high", "worst", "per_seed")

Record = Mapping[str, Any]


def build(sweep: intents.Sweep) -> dict[str, Any]:
    """What table.json holds: the grid, the config beside it, and every cell.

    Args:
      sweep: whose cells lie in the directory of the sweep.
    """
    fields = grid.cells(sweep.grid)
    cells = list(map(cell, fields, sweep.cells))
    return {"version": VERSION, **sweep.named, "cells": cells}


def cell(values: Record, request: intents.Request) -> dict[str, Any]:
    """What table.json holds of one cell, as its run in the directory request.out is."""
    run = resume.latest(request)
    found: dict[str, Any] = {"values": dict(values), "status": NOT_RUN, "reason": ""}
    if run is None:
        return found | {"run": None, "claims": []}
    found["run"] = str(run.relative_to(request.out))
    try:
        result = directory.read_result(run)
    except CommandError:
        return found | {"status": UNFINISHED, "reason": _reason(run), "claims": []}
    return found | {
        "status": FINISHED,
        "counts": Counter(claim["verdict"] for claim in result["claims"]),
        "controls": tables.controls_hold(tables.guards(result)),
        "environment": result["environment"],
        "wall_seconds": result["wall_seconds"],
        "metrics_digest": result["metrics_digest"],
        "claims": [
            {name: claim.get(name) for name in _STATED + _NUMBERS}
            for claim in result["claims"]
        ],
    }


def write(study: Path, found: Record, experiment: modules.Experiment) -> None:
    """Writes table.json and, where a cell is finished, report.html."""
    directory.write_whole(study / TABLE, strict_json.dumps(found, indent=1))
    if finished := [cell for cell in found["cells"] if cell["status"] == FINISHED]:
        page = _page(study, found, finished, experiment)
        directory.write_whole(study / directory.REPORT, page)


def line(result: Record, run: Path) -> str:
    """How a cell ended."""
    seconds = sum(result["wall_seconds"].values())
    held = tables.controls_hold(tables.guards(result))
    return f"{tables.counts(result)}; {held}; {seconds:.0f} s  {run}"


def text(found: Record, study: Path) -> str:
    """The table as it is printed, what differs between cells, and where to look."""
    rows: list[Sequence[str]] = [("claim", "rule", *found["grid"], *_HEADER)]
    for name in _claims(found):
        for each in found["cells"]:
            if claim := _claim_of(each, name):
                values = [
                    options.as_word(value) or "''" for value in each["values"].values()
                ]
                measured = claim["measured"], claim["verdict"]
                rows.append((name, claim["rule"], *values, *measured))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    unfinished = [cell for cell in found["cells"] if cell["status"] != FINISHED]
    lines += ["", f"{summary(found)}"]
    lines += [
        f"{cell['status']}  {grid.label(cell['values'])}: {cell['reason']}"
        for cell in unfinished
    ]
    if len(unfinished) < len(found["cells"]):
        lines.append(f"report  {study / directory.REPORT}")
    lines.append(f"table   {study / TABLE}")
    if unfinished:
        lines.append(f"resume  python launch.py --resume={study}")
    return "\n".join(lines)


def summary(found: Record) -> str:
    """How many cells are finished, and how many verdicts depend on the cell."""
    cells, claims = found["cells"], _claims(found)
    finished = sum(cell["status"] == FINISHED for cell in cells)
    differ = sum(differs(found, name) for name in claims)
    return (
        f"{finished} of {tables.count(len(cells), 'cell')} finished; "
        f"{differ} of {tables.count(len(claims), 'verdict')} "
        f"depend{'s' if differ == 1 else ''} on the cell"
    )


def differs(found: Record, name: str) -> bool:
    """Whether the finished cells disagree on a claim."""
    claims = [_claim_of(cell, name) for cell in found["cells"]]
    return len({claim["verdict"] for claim in claims if claim}) > 1


def _reason(run: Path) -> str:
    """Why a run ended before its result, as its log tells."""
    try:
        told = directory.read_log(run)
    except (CommandError, OSError) as error:
        return str(error)
    last = told[-1] if told else {}
    return str(last["reason"]) if last.get("event") == "stopped" else "was ended"


def _claims(found: Record) -> list[str]:
    """Every claim that a finished cell has, in their order."""
    names = (claim["id"] for cell in found["cells"] for claim in cell["claims"])
    return list(dict.fromkeys(names))


def _claim_of(cell: Record, name: str) -> Record | None:
    return next((each for each in cell["claims"] if each["id"] == name), None)


def _page(
    study: Path,
    found: Record,
    finished: Sequence[Record],
    experiment: modules.Experiment,
) -> str:
    """report.html: the cells, then every claim with a column for each cell."""
    from experiments.harness import report

    title, *_ = report.prose(experiment.doc)
    claims = {each["id"]: each for cell in finished for each in cell["claims"]}
    rows = [
        {
            "id": name,
            "rule": claim["rule"],
            "differs": differs(found, name),
            "cells": [_claim_of(cell, name) for cell in found["cells"]],
        }
        for name, claim in claims.items()
    ]
    config = {name: each for name, each in found["config"].items() if each is not None}
    return report.page(
        "sweep.html.jinja",
        name=experiment.name,
        title=title["text"],
        summary=summary(found),
        found=found,
        labels=[
            list(map(options.as_word, cell["values"].values()))
            for cell in found["cells"]
        ],
        verdicts=tables.VERDICTS,
        heads=_heads(found["grid"]),
        rows=rows,
        environment=environment.flat(finished[0]["environment"]),
        config=config,
        commands=[
            ("Run it again", f"python launch.py {_words(found, experiment)}"),
            ("Go on with it", f"python launch.py --resume={study}"),
            (
                "Repeat a cell",
                f"python launch.py --replay={study / finished[0]['run']}",
            ),
        ],
    )


def _words(found: Record, experiment: modules.Experiment) -> str:
    """The command line of a new sweep like it."""
    defaults = {field.name: field.default for field in experiment.fields}
    words = [f"--exp={experiment.name}"]
    for name, value in found["config"].items():
        if name != "experiment" and value is not None and defaults.get(name) != value:
            words.append(f"--{name}={shlex.quote(options.as_word(value))}")
    swept = grid.text(found["grid"])
    is_plain = not set('"$`\\!') & set(swept)  # to a shell, within double quotes
    quoted = f'"{swept}"' if is_plain else shlex.quote(swept)
    return " ".join([*words, f"--sweep={quoted}"])


def _heads(swept: grid.Grid) -> list[dict[str, Any]]:
    """A row of heads for each field: its name, its values in turn, columns of each."""
    heads, before = [], 1
    columns = math.prod(map(len, swept.values()))
    for name, values in swept.items():
        span = columns // (before * len(values))
        labels = [options.as_word(value) for value in values] * before
        heads.append({"name": name, "labels": labels, "span": span})
        before *= len(values)
    return heads
