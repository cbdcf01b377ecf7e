"""The records of a run: how its log begins and ends, and what it keeps between."""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import shlex
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from cnn_jax import Choice
from cnn_jax.data import Split
from experiments.harness import (
    directory,
    environment,
    events,
    exits,
    metrics,
    profiling,
    strict_json,
)
from experiments.harness.event_files import EventFiles
from experiments.harness.intents import PLACE, Request
from experiments.harness.kept import Checkpoints
from experiments.harness.lab import Trace, untraced
from experiments.harness.profiling import Profiler
from experiments.harness.progress import Progress


@dataclasses.dataclass(frozen=True)
class Start:
    """What the log begins with: the request, where it runs, on what, the command line.

    Attributes:
      examples: as of `run.read_data`.
    """

    request: Request
    environment: dict[str, Any]
    examples: dict[str, str]
    words: Sequence[str]


@contextlib.contextmanager
def directory_of(
    start: Start, begun: directory.RunDirectory | None
) -> Generator[directory.RunDirectory]:
    """A run directory with config and log; the log ends with how the run ended."""
    run = _begin(start) if begun is None else _go_on(start, begun)
    try:
        yield run
        run.log("end")
    except BaseException as error:
        with contextlib.suppress(OSError):
            run.log("stopped", reason=str(exits.explain(error) or repr(error)))
        if isinstance(error, KeyboardInterrupt):
            print(f"resume  python launch.py --resume={run.path}", flush=True)
        raise
    finally:
        run.close()


def _begin(start: Start) -> directory.RunDirectory:
    """Writes what is known before the run, or leaves nothing behind."""
    request = start.request
    run = directory.RunDirectory.new(Path(request.out), request.experiment.name)
    try:
        run.write(directory.CONFIG, strict_json.dumps(request.named, indent=1))
        _log("start", start, run)
    except BaseException:
        run.discard()
        raise
    return run


def _go_on(start: Start, run: directory.RunDirectory) -> directory.RunDirectory:
    """Says what is not as it was when the run began, which may change bits."""
    if run.beginning is None:  # ended before its first line
        _log("start", start, run)
        return run
    check_examples(start.request, run.path, run.events, start.examples)
    then, now = run.beginning["environment"], start.environment
    for line in environment.differences(then, now):
        print(f"environment: {line}", flush=True)
    place = {PLACE: run.beginning.get(PLACE)}
    for line in environment.changes(place, {PLACE: start.request.data_dir}):
        print(line, flush=True)
    _warn_of_damage(run)
    _log("resume", start, run)
    return run


def digest(split: Split) -> str:
    """sha256 of images and labels."""
    total = hashlib.sha256()
    for array in split:
        metrics.update(total, array)
    return total.hexdigest()


def check_examples(
    request: Request,
    run: Path,
    told: Iterable[Mapping[str, Any]],
    found: Mapping[str, str],
) -> None:
    """Compares examples with those that a run began with.

    Args:
      request: that they were read for.
      run: the run directory.
      told: the events of its log.
      found: as of `run.read_data`.

    Raises:
      CommandError: with code 6, if they are others.
    """
    if parts := events.others(events.examples(told) or {}, found):
        place = request.data_dir or "the cache"
        raise exits.CommandError(
            exits.UNUSABLE,
            f"{request.data}: the {' and '.join(parts)} examples of {place} are not "
            f"those that {run} began with",
        )


def _warn_of_damage(run: directory.RunDirectory) -> None:
    for line in run.damaged:
        more = "; trainings begin anew, as it may have told of a choice"
        print(
            f"{run.path / directory.LOG} is damaged in line {line.number}, which is "
            f"left out{more if line.is_needed else ''}",
            file=sys.stderr,
            flush=True,
        )


def _log(event: str, start: Start, run: directory.RunDirectory) -> None:
    command = shlex.join(["python", "launch.py", *start.words])
    now = datetime.datetime.now(datetime.UTC)
    run.log(
        event,
        version=events.VERSION,
        time=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        command=command,
        environment=start.environment,
        examples=start.examples,
        **start.request.named,
    )


def _deciding(request: Request, run: directory.RunDirectory) -> dict[str, Any]:
    """What else decides bits: the environment and the source.

    Of the devices the number as well, but where a seed runs as if it were alone.
    Algorithms that were chosen decide as well. Where the log has lost a line that may
    have told of one, checkpoints from before are of another training.
    """
    lost = [line.number for line in run.damaged if line.is_needed]
    decides, source = _bits(request)
    if request.seeds_by in (("auto", "map") if request.device == "cpu" else ("map",)):
        for name in ("num_devices", "num_processes"):
            decides.pop(name, None)
    return {
        "environment": decides,
        "source": source,
        **({"lost": lost} if lost else {}),
    }


def _bits(request: Request) -> tuple[dict[str, Any], str]:
    """What decides bits beside the config: the environment, and the source's digest."""
    recorded = environment.record(request.num_threads)
    source = environment.source_digest(request.experiment.path)
    return environment.deciding(recorded), source


def identity(request: Request, examples: Mapping[str, str]) -> dict[str, Any]:
    """What has to be the same in all processes of a run."""
    decides, source = _bits(request)
    found = {**environment.flat(decides), **request.study, "source": source}
    return json.loads(json.dumps({**found, "examples": examples}))


@contextlib.contextmanager
def kept(
    request: Request, run: directory.RunDirectory, progress: Progress
) -> Generator[Checkpoints]:
    """The checkpoints of a run, all of them written when the block ends."""

    def warn(text: str) -> None:
        progress.close()
        print(text, file=sys.stderr, flush=True)

    checkpoints = Checkpoints(
        run.path / directory.CHECKPOINTS,
        {**request.study, **_deciding(request, run)},
        jax.random.key(request.seed),
        request.checkpoint_seconds,
        run.log,
        warn,
    )
    try:
        yield checkpoints
        checkpoints.wait()
    finally:
        checkpoints.close()


@contextlib.contextmanager
def event_files_of(
    request: Request, run: directory.RunDirectory
) -> Generator[EventFiles | None]:
    """The event files of --tensorboard, which follow the log; None without."""
    if not request.tensorboard:
        yield None
        return
    files = EventFiles(run.path, run.events)
    run.listener = files.add
    try:
        yield files
    finally:
        run.listener = None
        files.close()


@contextlib.contextmanager
def traced(request: Request, run: directory.RunDirectory) -> Generator[Trace]:
    """What is around each step of a run, which --profile traces some of."""
    if not request.profile:
        yield untraced
        return
    profiler = Profiler(run.path / profiling.FOLDER, run.log)
    try:
        yield profiler.step
    finally:
        profiler.close()
    traces = profiler.traces()
    print(f"profile {traces[-1]}" if traces else profiling.NOTHING, flush=True)


def chosen(run: directory.RunDirectory) -> list[Choice]:
    """The algorithms that the processes before this one have chosen by measuring."""
    told = [event for event in run.events if event["event"] == "choice"]
    try:
        return [Choice(**event["choice"]) for event in told]
    except (KeyError, TypeError):
        message = f"{run.path / directory.LOG} is damaged"
        raise exits.CommandError(exits.UNUSABLE, message) from None
