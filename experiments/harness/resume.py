"""Goes on with a run that was ended, to the bits it would have had otherwise.

Neither this nor finding a run imports jax, so what cannot be meant is told at once.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.harness import (
    directory,
    environment,
    event_files,
    events,
    intents,
    peers,
    replay,
    table,
)
from experiments.harness.exits import UNUSABLE, USAGE, CommandError


def resume(
    command: intents.Resume, argv: Sequence[str], folder: Path, began: float
) -> None:
    """Goes on with the run of `--resume=RUN_DIR`.

    Args:
      command: the run, and what was asked of its config.
      argv: the words, for the log.
      folder: where the experiments are.
      began: `time.perf_counter()` when the command began.

    Raises:
      CommandError: with code 2 if another config is asked for, 3 if the run is still
        going on, 5 if its directory cannot be written, 6 if it is damaged.
    """
    run = command.run
    if not (run / directory.LOG).is_file():
        raise CommandError(
            UNUSABLE, f"{run} is no run directory: it has no {directory.LOG}"
        )
    config = directory.read_json(run / directory.CONFIG)
    changed = [
        f"{name} was {json.dumps(config.get(name))}, not {json.dumps(value)}"
        for name, value in command.asked.items()
        if config.get(name) != value
    ]
    if changed:
        raise CommandError(USAGE, f"{run} has another config: {', '.join(changed)}")
    request = dataclasses.replace(
        replay.request_of(run, config, folder), **command.anew
    )
    event_files.check(request)
    environment.prepare(request.device, request.num_threads)
    with peers.joined(command.peers):
        if peers.is_first():
            go_on(run, request, argv, began)
            peers.say("end", True)
        else:
            from experiments.harness import run as running  # imports jax

            running.follow(request, began)


def latest(request: intents.Request) -> Path | None:
    """The newest run under OUT of this experiment and config, or None.

    One whose data lay elsewhere is none, unless it began with the same examples.
    `environment.prepare` comes before, as these may have to be read.
    """
    runs = Path(request.out) / request.experiment.name
    wanted = json.loads(json.dumps(request.named))

    @functools.cache
    def read() -> dict[str, str]:
        from experiments.harness import run as running  # imports jax

        with running.clear_failures():
            return running.read_data(request)[1]

    def is_wanted(config: dict[str, Any], run: Path) -> bool:
        if config == wanted:
            return True
        if intents.study(config) != intents.study(wanted):
            return False
        told = events.examples(directory.read_log(run))
        return told is not None and not events.others(told, read())

    return directory.newest(runs.glob(f"*/{directory.CONFIG}"), is_wanted)


def go_on(
    run: Path,
    request: intents.Request,
    argv: Sequence[str],
    began: float,
    shown: table.Shown = table.render,
) -> None:
    """Completes a run, or prints its table again if it is complete.

    Args:
      run: the run directory.
      request: what its config stands for.
      argv: the words, for the log.
      began: `time.perf_counter()` when the command began.
      shown: (result, run directory) -> what is printed at the end.

    Raises:
      CommandError: as of `resume`.
    """
    if not (run / directory.RESULT).exists():
        with contextlib.closing(directory.RunDirectory.again(run)) as begun:
            # Another process may have completed it before this one had the lock.
            if not (run / directory.RESULT).exists():
                _check_beginning(begun, request)
                from experiments.harness import run as running  # imports jax

                running.execute(request, argv, began, begun, shown)
                return
    with directory.finished(run) as result:
        if request.tensorboard:
            event_files.complete(run, result)
        print(shown(result, run))


def _check_beginning(run: directory.RunDirectory, request: intents.Request) -> None:
    """Log and config.json tell of one run, or one of them is damaged."""
    config = json.loads(json.dumps(request.study))
    told = run.beginning
    if told is None:
        return
    environment = told.get("environment")
    if (
        not isinstance(environment, dict)
        or not isinstance(environment.get("variables"), dict)
        or any(told.get(name) != value for name, value in config.items())
    ):
        raise CommandError(
            UNUSABLE,
            f"{run.path} is damaged: {directory.LOG} and {directory.CONFIG} differ",
        )
