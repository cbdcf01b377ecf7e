"""RUN/tensorboard: what a run logs and finds, as TensorBoard's event files.

They follow from the log, which alone is the record: every process writes them anew from
the lines that the log has when it begins, so that no point is twice or missing however
the run was ended, and then goes on line by line. `seed-0/`, `seed-1/` and so on hold
the curves "LABEL/QUANTITY" over training steps. What lies in the folder itself follows
at the end: what each claim measured, beside the config in the dashboard HPARAMS, so
that runs can be compared there, and the table of verdicts as text.

tensorboardX knows the format, without TensorFlow. Its own writer starts a thread for
every folder and keeps its file open, so files are written here.
"""

import datetime
import importlib
import importlib.util
import itertools
import json
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness import directory, table
from experiments.harness.exits import UNAVAILABLE, CommandError
from experiments.harness.intents import Request

FOLDER = "tensorboard"
_NAME = "events.out.tfevents"  # by which TensorBoard knows an event file
_ENVELOPE = {"event", "seconds", "label", "chunk", "of", "steps"}

Record = Mapping[str, Any]


class Point(NamedTuple):
    """What is shown at one step of a run of TensorBoard, by tag."""

    run: str
    step: int
    seconds: float
    values: dict[str, float]


def check(request: Request) -> None:
    """Whether event files could be written, asked before anything slow is begun.

    Raises:
      CommandError: with code 3, if they are asked for and tensorboardX is not there.
    """
    if request.tensorboard and importlib.util.find_spec("tensorboardX") is None:
        message = "no tensorboardX: install the extra tensorboard for --tensorboard"
        raise CommandError(UNAVAILABLE, message)


class EventFiles:
    """The event files of one run, for as long as a process works on it.

    Args:
      run: the run directory.
      events: of its log so far.
    """

    def __init__(self, run: Path, events: Sequence[Record]) -> None:
        self._folder = run / FOLDER
        self._began = _began(events)
        self._chunks: dict[tuple[str, int], Record] = {}
        self._result: Record | None = None
        self._is_stale = False
        self._writing = threading.Lock()
        for event in events:
            self._keep(event)
        self._rewrite()

    def add(self, event: Record) -> None:
        """Goes on with what the log tells; a chunk that it tells again is known."""
        with self._writing:
            if self._keep(event):
                self._write(_points(event))

    def finish(self, result: Record) -> None:
        """Adds what the run has found: the content of its result.json."""
        self._result = result
        self._write([_measured(result)])
        event_of = _library("proto.event_pb2").Event
        about = [event_of(wall_time=self._began, summary=e) for e in _about(result)]
        self._append("", about)

    def close(self) -> None:
        """Has chunks that were told again with other values shown as the last ones."""
        if self._is_stale:
            self._rewrite()

    def _keep(self, event: Record) -> bool:
        """Whether an event is a chunk of which nothing was known."""
        if event["event"] != "chunk":
            return False
        place = event["label"], event["chunk"]
        before = self._chunks.get(place)
        self._chunks[place] = event
        self._is_stale |= before is not None and _values(before) != _values(event)
        return before is None

    def _rewrite(self) -> None:
        """Writes all that is known into new files, and takes the old ones away."""
        old = list(self._folder.rglob(f"{_NAME}.{'[0-9]' * 6}"))
        number = 1 + max((int(path.suffix[1:]) for path in old), default=0)
        self._name = f"{_NAME}.{number:06}"
        self._write(itertools.chain.from_iterable(map(_points, self._chunks.values())))
        if self._result is not None:
            self.finish(self._result)
        for path in old:
            path.unlink()
        self._is_stale = False

    def _write(self, points: Iterable[Point]) -> None:
        event_of = _library("proto.event_pb2").Event
        summary = _library("proto.summary_pb2").Summary
        files: dict[str, list[Any]] = {}
        for point in points:
            values = [
                summary.Value(tag=tag, simple_value=value)
                for tag, value in point.values.items()
            ]
            event = event_of(
                wall_time=self._began + point.seconds,
                step=point.step,
                summary=summary(value=values),
            )
            files.setdefault(point.run, []).append(event)
        for run, events in files.items():
            self._append(run, events)

    def _append(self, run: str, events: Sequence[Any]) -> None:
        path = self._folder / run / self._name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Whoever has read an older file forgets it.
            proto = _library("proto.event_pb2")
            first = proto.Event(wall_time=self._began, file_version="brain.Event:2")
            begun = proto.SessionLog(status=proto.SessionLog.START)
            second = proto.Event(wall_time=self._began, session_log=begun)
            events = [first, second, *events]
        with open(path, "ab") as file:
            file.write(b"".join(_record(each.SerializeToString()) for each in events))


def _library(module: str) -> Any:
    """A module of tensorboardX, which is not installed everywhere."""
    return importlib.import_module(f"tensorboardX.{module}")


def complete(run: Path, result: Record) -> None:
    """Writes the event files of a finished run."""
    files = EventFiles(run, directory.read_log(run))
    files.finish(result)


def _began(events: Sequence[Record]) -> float:
    """When the run began, in seconds since 1970; version 0 of the log does not tell."""
    told = events[0].get("time") if events else None
    return datetime.datetime.fromisoformat(told).timestamp() if told else time.time()


def _values(event: Record) -> dict[str, Any]:
    return {name: each for name, each in event.items() if name not in _ENVELOPE}


def _points(event: Record) -> Iterator[Point]:
    """A point for each seed; an array for each seed has a tag for each element."""
    step = event.get("steps", event["chunk"])  # version 0 names no steps
    by_seed: dict[int, dict[str, float]] = {}
    for name, values in _values(event).items():
        for seed, value in enumerate(values):
            by_seed.setdefault(seed, {}).update(
                _flat(f"{event['label']}/{name}", value)
            )
    for seed, found in by_seed.items():
        yield Point(f"seed-{seed}", step, event["seconds"], found)


def _flat(tag: str, value: Any) -> dict[str, float]:
    if isinstance(value, list):
        found: dict[str, float] = {}
        for place, each in enumerate(value):
            found |= _flat(f"{tag}/{place}", each)
        return found
    return {tag: math.nan if value is None else float(value)}


def _measured(result: Record) -> Point:
    """The mean of every claim, of a law the worst value; of parts that of each."""
    found = {}
    for claim in result["claims"]:
        for rule in claim.get("parts", [claim]):
            measured = rule["worst"] if rule["mean"] is None else rule["mean"]
            if measured is not None:
                arm = f"/{rule['metric']}" if "parts" in claim else ""
                found[f"claims/{claim['id']}{arm}"] = float(measured)
    return Point("", 0, sum(result["wall_seconds"].values()), found)


def _about(result: Record) -> list[Any]:
    """Config and claims for the dashboard HPARAMS, and the table of verdicts."""
    summary = _library("summary")
    config = {"experiment": result["experiment"], **result["config"]}
    given = {name: each for name, each in config.items() if each is not None}
    rows = ["| claim | measured | rule | verdict |", "|---|---|---|---|"]
    rows += [
        f"| {claim['id']} | {claim['measured']} | `{claim['rule']}` | "
        f"{claim['verdict']} |"
        for claim in result["claims"]
    ]
    rows += ["", f"{table.counts(result)}; {table.controls_hold(table.guards(result))}"]
    setting = json.dumps(config, indent=1, ensure_ascii=False)
    return [
        *summary.hparams(given, _measured(result).values),
        summary.text("verdicts", "\n".join(rows)),
        summary.text("config", f"```\n{setting}\n```"),
    ]


def _record(message: bytes) -> bytes:
    """One record of an event file: length and message, each with its checksum."""
    masked_crc32c = _library("record_writer").masked_crc32c
    length = len(message).to_bytes(8, "little")
    sums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, message))
    return b"".join([length, next(sums), message, next(sums)])
