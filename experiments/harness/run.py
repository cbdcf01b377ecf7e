"""One run of one experiment: data, measurement, verdicts, figures, report.

Imported after `environment.prepare`, because it imports jax.
"""

import contextlib
import dataclasses
import shlex
import sys
import time
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
    report,
    seeds,
    strict_json,
    table,
)
from experiments.harness.exits import CommandError
from experiments.harness.flags import Request
from experiments.harness.lab import Lab, NotFinite
from experiments.harness.progress import Progress
from experiments.harness.verdicts import Judgement, judge, judge_controls

FEW_SEEDS = 5
# Lowering and compiling; tracing is left out, since nested functions report it twice.
_COMPILING = (
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class Clock:
    """Splits the seconds since `began` into imports, compile, run and report.

    Seconds in which two threads compile at once count once.
    """

    def __init__(self, began: float) -> None:
        self.seconds = dict.fromkeys(("imports", "compile", "run", "report"), 0.0)
        self._last = began
        self._compiling = 0.0
        self._compiled_until = began
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def stop(self, stage: str) -> None:
        """Ends a stage; what was spent compiling in it counts as that."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last - self._compiling
        self.seconds["compile"] += self._compiling
        self._last, self._compiling = now, 0.0

    def _hear(self, event: str, duration_secs: float, **_: Any) -> None:
        if event in _COMPILING:
            now = time.perf_counter()
            start = max(now - duration_secs, self._compiled_until)
            self._compiling += max(0.0, now - start)
            self._compiled_until = now


@dataclasses.dataclass(frozen=True)
class Bench:
    """An experiment ready to run: imported, its device there, its data checked."""

    request: Request
    module: ModuleType
    environment: dict[str, Any]
    description: str
    clock: Clock


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run measured, and what follows from it."""

    metrics: Mapping[str, metrics.Metric]
    digest: str
    claims: tuple[Judgement, ...]
    controls: tuple[Judgement, ...]
    choices: tuple[Choice, ...]


def execute(request: Request, words: Sequence[str], began: float) -> None:
    """Runs an experiment and leaves its run directory behind.

    Args:
      request: what to run.
      words: the command line, for the log.
      began: `time.perf_counter()` when the command began.

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
    with _recorded(bench, words) as run, clear_failures():
        progress = Progress(sys.stderr)
        try:
            outcome = measure(bench, run.log, progress, run.path)
        finally:
            progress.close()
        result = _keep(bench, outcome, run)
    print(table.render(result, run.path))


def prepare(request: Request, began: float) -> Bench:
    """Imports the experiment and checks device and data; writes nothing."""
    clock = Clock(began)
    module = modules.load(request.experiment)
    environment.check_device(request.device)
    recorded = environment.record(request.num_threads)
    clock.stop("imports")
    description = "no data set"
    if request.data:
        description = _lab(request, ignore, ignore, None).data().description
    return Bench(request, module, recorded, description, clock)


def measure(
    bench: Bench,
    log: Callable[..., None],
    progress: Callable[[int, int, str], None],
    path: Path,
    known: Iterable[Choice] = (),
) -> Outcome:
    """Runs the experiment and judges its claims.

    Args:
      bench: the experiment.
      log: as in `Lab`.
      progress: as in `Lab`.
      path: the run directory.
      known: choices of algorithms that are made again, not measured.
    """
    request, module = bench.request, bench.module
    keys = seeds.keys(request.seed, request.num_seeds)
    config = module.Config(**request.config)
    lab = _lab(request, log, progress, path)
    with recording_choices(known) as choices:
        if choices:  # of programs compiled before, which would keep them unrecorded
            jax.clear_caches()
            choices.clear()
        measured = module.run(keys, config, lab)
    claims = judge(module.CLAIMS, measured)
    controls = judge_controls(module.CLAIMS, measured)
    bench.clock.stop("run")
    digest = metrics.digest(measured)
    return Outcome(measured, digest, claims, controls, tuple(choices))


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


@contextlib.contextmanager
def _recorded(bench: Bench, words: Sequence[str]) -> Generator[directory.RunDirectory]:
    """A run directory with config and log; the log ends with how the run ended."""
    run = _start(bench, words)
    try:
        yield run
        run.log("end")
    except BaseException as error:
        with contextlib.suppress(OSError):
            run.log("stopped", reason=str(exits.explain(error) or repr(error)))
        raise
    finally:
        run.close()


def _start(bench: Bench, words: Sequence[str]) -> directory.RunDirectory:
    """Writes what is known before the run, or leaves nothing behind."""
    request = bench.request
    run = directory.RunDirectory(Path(request.out), request.experiment.name)
    config = {"experiment": request.experiment.name, **request.record}
    try:
        run.write(directory.CONFIG, strict_json.dumps(config, indent=1))
        command = shlex.join(["python", "launch.py", *words])
        run.log("start", command=command, environment=bench.environment, **config)
    except BaseException:
        run.discard()
        raise
    return run


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


def _lab(
    request: Request,
    log: Callable[..., None],
    progress: Callable[[int, int, str], None],
    path: Path | None,
) -> Lab:
    return Lab(request.data or "", request.data_dir, log, progress, path)


def ignore(*_: Any, **__: Any) -> None:
    """A log or a progress that nobody reads."""
