"""One run of one experiment: data, measurement, verdicts, figures, report.

Imported after `environment.prepare`, because it imports jax.
"""

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from cnn_jax import Choice, recording_choices
from cnn_jax.data import DataError
from experiments.harness import (
    directory,
    environment,
    exits,
    figures,
    metrics,
    modules,
    peers,
    recording,
    report,
    seeds,
    strict_json,
    table,
)
from experiments.harness.clock import Clock
from experiments.harness.exits import CommandError
from experiments.harness.intents import Request
from experiments.harness.kept import Checkpoints
from experiments.harness.lab import Lab, NotFinite, Trace, untraced
from experiments.harness.progress import Progress
from experiments.harness.verdicts import Judgement, judge, judge_controls

FEW_SEEDS = 5


@dataclasses.dataclass(frozen=True)
class Bench:
    """An experiment ready to run: imported, its device there, its data checked."""

    request: Request
    module: ModuleType
    environment: dict[str, Any]
    description: str
    examples: dict[str, str]
    clock: Clock


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run measured, and what follows from it."""

    metrics: Mapping[str, metrics.Metric]
    digest: str
    claims: tuple[Judgement, ...]
    controls: tuple[Judgement, ...]
    choices: tuple[Choice, ...]


def execute(
    request: Request,
    words: Sequence[str],
    began: float,
    begun: directory.RunDirectory | None = None,
    shown: table.Shown = table.render,
) -> None:
    """Runs an experiment and leaves its run directory behind.

    Args:
      request: what to run.
      words: the command line, for the log.
      began: `time.perf_counter()` when the command began.
      begun: the run that is gone on with, or None for a new one.
      shown: (result, run directory) -> what is printed at the end.

    Raises:
      CommandError: for everything that a user can do something about.
    """
    with clear_failures():
        bench = prepare(request, began)
    print(first_line(bench), flush=True)
    if request.num_seeds < FEW_SEEDS:
        print(
            f"fewer than {FEW_SEEDS} seeds: conditional claims will stay inconclusive",
            flush=True,
        )
    start = recording.Start(request, bench.environment, bench.examples, words)
    with (
        recording.directory_of(start, begun) as run,
        recording.event_files_of(request, run) as files,
        recording.traced(request, run) as trace,
        clear_failures(),
    ):
        peers.say("begin", recording.identity(request, bench.examples))
        progress = Progress(sys.stderr)
        try:
            with recording.kept(request, run, progress) as kept:
                known = recording.chosen(run)
                outcome = measure(
                    bench, run.log, progress, run.path, known, kept, trace
                )
        finally:
            progress.close()
        peers.check_same(outcome.digest)
        bench.clock.seconds["run"] += run.elapsed
        result = _keep(bench, outcome, run)
        if files is not None:
            files.finish(result)
    print(shown(result, run.path))


def follow(request: Request, began: float) -> None:
    """What every process but the first does: it measures the same and writes nothing.

    Args:
      request: what to run.
      began: as of `execute`.

    Raises:
      CommandError: as of `execute`, and what the first process has ended with.
    """
    with clear_failures():
        bench = prepare(request, began)
        key, theirs = peers.hear("begin", "end")
        if key == "begin":
            _check_request(theirs, recording.identity(request, bench.examples))
            with tempfile.TemporaryDirectory() as temporary:
                outcome = measure(bench, ignore, ignore, Path(temporary))
            peers.check_same(outcome.digest)
    peers.hear("end")
    peers.next_experiment()


def _check_request(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    if different := [*environment.changes(theirs, ours)]:
        text = f"unlike process 0, this one differs: {'; '.join(different)}"
        raise CommandError(exits.USAGE, text)


def prepare(request: Request, began: float) -> Bench:
    """Imports the experiment and checks device and data; writes nothing."""
    clock = Clock(began)
    module = modules.load(request.experiment)
    environment.check_device(request.device)
    recorded = environment.record(request.num_threads)
    clock.stop("imports")
    described, examples = read_data(request)
    return Bench(request, module, recorded, described, examples, clock)


def read_data(request: Request) -> tuple[str, dict[str, str]]:
    """--data in a phrase, and the sha256 of each part of it.

    "train" is left out where it is streamed, that is not read before it is needed.

    Raises:
      cnn_jax.data.DataError: the data set is absent or damaged.
    """
    if not request.data:
        return "no data set", {}
    stream = request.stream
    lab = Lab(request.data, request.data_dir, ignore, ignore, stream=stream)
    data = lab.data()
    parts = {"test": data.test} | ({} if lab.is_streaming else {"train": data.train})
    return data.description, {
        name: recording.digest(each) for name, each in parts.items()
    }


def measure(
    bench: Bench,
    log: Callable[..., None],
    progress: Callable[[int, int, str], None],
    path: Path,
    known: Iterable[Choice] = (),
    kept: Checkpoints | None = None,
    trace: Trace = untraced,
) -> Outcome:
    """Runs the experiment and judges its claims.

    Args:
      bench: the experiment.
      log: as in `Lab`.
      progress: as in `Lab`.
      path: the run directory.
      known: choices of algorithms that are made again, not measured.
      kept: the checkpoints of the run's trainings, or None where none are kept.
      trace: as in `Lab`.
    """

    def tell(choice: Choice) -> None:
        log("choice", choice=dataclasses.asdict(choice))
        if peers.is_first():
            peers.say(peers.key_of(choice.problem), dataclasses.asdict(choice))

    def ask(problem: str) -> Choice | None:
        if peers.is_first():
            return None
        return Choice(**peers.hear(peers.key_of(problem))[1])

    request, module, known = bench.request, bench.module, list(known)
    keys = seeds.keys(request.seed, request.num_seeds)
    config = module.Config(**request.config)
    data = request.data or "", request.data_dir
    more = kept, trace, request.stream, request.seeds_by
    lab = Lab(*data, log, progress, path, *more)
    with recording_choices(known, tell, ask) as choices:
        if choices:  # of programs compiled before, which would keep them unrecorded
            jax.clear_caches()
            choices.clear()
        measured = module.run(keys, config, lab)
    claims = judge(module.CLAIMS, measured)
    controls = judge_controls(module.CLAIMS, measured)
    bench.clock.stop("run")
    digest = metrics.digest(measured)
    # A training that had ended before compiles nothing, and chose all the same.
    made = {choice.problem: choice for choice in (*known, *choices)}
    return Outcome(measured, digest, claims, controls, tuple(made.values()))


def first_line(bench: Bench) -> str:
    """What is about to be measured, on what."""
    request, recorded = bench.request, bench.environment
    device = "cpu" if request.device == "cpu" else recorded["device"]
    return (
        f"{request.experiment.name}: {bench.description}, "
        f"{table.count(request.num_seeds, 'seed')}, {device}, "
        f"{table.count(request.num_threads, 'thread')}, "
        f"python {recorded['python']}, jax {recorded['jax']}"
    )


@contextlib.contextmanager
def clear_failures() -> Generator[None]:
    """Turns the failures that an experiment announces into exit codes."""
    try:
        yield
    except NotFinite as error:
        raise CommandError(exits.NOT_FINITE, str(error)) from None
    except DataError as error:
        raise CommandError(exits.UNUSABLE, str(error)) from None


def _keep(
    bench: Bench, outcome: Outcome, run: directory.RunDirectory
) -> dict[str, Any]:
    """Writes metrics, figures, report and, when all of these are there, the result."""
    with directory.whole(run.path / directory.METRICS) as path:
        metrics.save(path, outcome.metrics)
    if outcome.choices:
        listed = {"choices": [dataclasses.asdict(each) for each in outcome.choices]}
        run.write(directory.CHOICES, strict_json.dumps(listed, indent=1))
    drawings = figures.draw(bench.module.plot, outcome.metrics)
    for number, (name, drawing) in enumerate(drawings.items(), 1):
        run.write(f"{directory.FIGURES}/{number:02}-{name}.svg", drawing.svg)
    bench.clock.stop("report")
    result = summarize(bench, outcome)
    shown = {
        name: each
        for name, each in outcome.metrics.items()
        if isinstance(each, metrics.Shown)
    }
    experiment = bench.request.experiment
    page = report.render(
        experiment, bench.description, result, drawings, shown, run.path
    )
    run.write(directory.REPORT, page)
    run.write(directory.RESULT, strict_json.dumps(result, indent=1))
    return result


def summarize(bench: Bench, outcome: Outcome) -> dict[str, Any]:
    """What result.json holds."""
    return {
        "experiment": bench.request.experiment.name,
        "config": bench.request.record,
        "environment": bench.environment,
        "wall_seconds": {
            name: round(seconds, 3) for name, seconds in bench.clock.seconds.items()
        },
        "metrics_digest": outcome.digest,
        "claims": [claim.to_json() for claim in outcome.claims],
        "controls": [control.to_json() for control in outcome.controls],
    }


def ignore(*_: Any, **__: Any) -> None:
    """A log or a progress that nobody reads."""
