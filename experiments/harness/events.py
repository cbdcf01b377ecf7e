"""The log of a run, RUN/log.jsonl: a JSON object on each line, one for each event.

A line ends with its newline: what a kill has left without one is no line. Every event
has "event", its name, and "seconds", which the run had taken by then, without the
pauses between the processes that worked on it. `EVENTS` says what else the harness
tells; an experiment may log events of its own under other names, with any fields. Names
are added to, and never change their meaning within a version; a number that is not
finite is null.

A training that goes on from a checkpoint tells the chunks behind that checkpoint again.
They are the same, bit for bit; where they are not, since the run goes on in another
environment, the last one counts.
"""

import json
import re
from collections import ChainMap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.exits import UNUSABLE, CommandError

# Version 0 is that of logs which name none: without "version", "time" and "steps".
VERSION = 1

# The types of the fields: "text", "whole" and "number" are JSON's, "object" is one.


class Event(NamedTuple):
    """What an event means, the type of each of its fields, and what is beside them."""

    meaning: str
    fields: Mapping[str, str] = {}
    others: str = ""


_PROCESS = {
    "version": "whole",
    "time": "text",
    "command": "text",
    "environment": "object",
    "examples": "object",
    "experiment": "text",
}
_TRAINING = {"label": "text", "chunk": "whole"}
_CONFIG = "each entry of config.json"
_EXAMPLES = "; `examples`: the sha256 of each part of --data that it holds in memory"
EVENTS = {
    "start": Event(
        f"a run begins, at this time in UTC; line 1{_EXAMPLES}", _PROCESS, _CONFIG
    ),
    "resume": Event("another process goes on with it", _PROCESS, _CONFIG),
    "choice": Event(
        "an algorithm was chosen by measuring; later processes take it as it is",
        {"choice": "object"},
    ),
    "placed": Event(
        "a program of a training runs on so many devices, its seeds by map or vmap for "
        "this reason, each batch shared by so many of the devices",
        {
            **dict.fromkeys(("label", "by", "reason"), "text"),
            **dict.fromkeys(("seeds", "devices", "batch_shared_by"), "whole"),
        },
    ),
    "chunk": Event(
        "so many chunks and steps of a training are done, of so many chunks",
        {**_TRAINING, "of": "whole", "steps": "whole"},
        "each logged quantity at the last step: a list with an entry for each seed",
    ),
    "checkpoint": Event(
        "the states behind this chunk are kept, which took so many seconds",
        {**_TRAINING, "took": "number"},
    ),
    "restored": Event(
        "a training goes on from the states behind this chunk", _TRAINING
    ),
    "unsound": Event(
        "a checkpoint is not taken, for this reason", {**_TRAINING, "reason": "text"}
    ),
    "profile": Event(
        "what this label names was traced; the file is what Perfetto opens",
        {"label": "text", "trace": "text"},
    ),
    "stopped": Event("the process ends before the run does", {"reason": "text"}),
    "end": Event("the result is there"),
}

_BEGINNINGS = ("start", "resume")  # of a process

# Nothing that a run computes depends on these.
_TOLD_ONLY = set(EVENTS) - {*_BEGINNINGS, "choice"}
_NAMED = re.compile(rb'\{"event": "(\w+)", ')


class Damaged(NamedTuple):
    """A line that cannot be read, and whether what a run computes may depend on it."""

    number: int
    is_needed: bool


def read(path: Path) -> tuple[list[dict[str, Any]], list[Damaged]]:
    """The events of a log, and the lines that are damaged.

    Args:
      path: log.jsonl.

    Raises:
      CommandError: with code 6, if the first line is damaged, which says what the
        others are, or if a line was written by a newer version of this schema.
    """
    *lines, _ = path.read_bytes().split(b"\n")
    events, damaged = [], []
    for number, line in enumerate(lines, 1):
        event = _parsed(line)
        if event is None:
            if number == 1:
                raise CommandError(UNUSABLE, f"{path} is damaged in line 1")
            damaged.append(Damaged(number, not _is_told_only(line)))
            continue
        if event["event"] in _BEGINNINGS:
            _refuse_newer(path, event.get("version", 0))
        events.append(event)
    return events, damaged


def examples(events: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """sha256 by the part of --data, of all that the processes of a run have held.

    None where no process has told: those of before it was told, and damaged lines.
    """
    told = [each.get("examples") for each in events if each["event"] in _BEGINNINGS]
    found = [each for each in told if isinstance(each, dict)]
    return dict(ChainMap(*found)) if found else None


def others(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts of --data, of those known of both, that are other examples now."""
    return [part for part in then if now.get(part, then[part]) != then[part]]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    match event:
        case {"event": str(), "seconds": int() | float()}:
            return event
    return None


def _is_told_only(line: bytes) -> bool:
    """Whether a damaged line still says that it is one event on which nothing depends.

    One that has swallowed its neighbors names two events, or holds what JSON escapes.
    """
    named = _NAMED.match(line)
    is_one = bool(line) and line.count(b'"event"') == 1 and min(line) >= ord(" ")
    return is_one and named is not None and named[1].decode() in _TOLD_ONLY


def _refuse_newer(path: Path, version: Any) -> None:
    if not isinstance(version, int) or version > VERSION:
        raise CommandError(
            UNUSABLE,
            f"{path} is of version {version}; this program reads versions up to "
            f"{VERSION}: take a newer one",
        )


def table() -> str:
    """The schema as a table in Markdown."""
    rows = ["| event | fields | meaning |", "|---|---|---|"]
    for name, event in EVENTS.items():
        fields = [f"`{field}` {kind}" for field, kind in event.fields.items()]
        told = "; ".join(filter(None, [", ".join(fields), event.others]))
        rows.append(f"| `{name}` | {told} | {event.meaning} |")
    return "\n".join(rows)
