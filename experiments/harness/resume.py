"""Begins a run, or goes on with one that was ended, to the bits that it would have had.

No jax is imported where a run is looked for, unless its data lay elsewhere, so what
cannot be meant is told at once.
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
    event_files,
    events,
    intents,
    replay,
    table,
)
from experiments.harness.exits import UNUSABLE, USAGE, CommandError


def requested(command: intents.Resume, folder: Path) -> intents.Request:
    """What the config of `--resume=RUN_DIR` stands for.

    Args:
      command: the run, and what was asked of its config.
      folder: where the experiments are.

    Raises:
      CommandError: with code 2 if another config is asked for, 6 if the run is damaged.
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
    return dataclasses.replace(replay.request_of(run, config, folder), **command.anew)


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
    run: Path | None,
    request: intents.Request,
    argv: Sequence[str],
    began: float,
    shown: table.Shown = table.render,
) -> None:
    """Completes a run, or prints its table again if it is complete.

    Args:
      run: the run directory; None begins a new run.
      request: what its config stands for.
      argv: the words, for the log.
      began: `time.perf_counter()` when the command began.
      shown: (result, run directory) -> what is printed at the end.

    Raises:
      CommandError: as of `run.execute`, and with code 3 if the run is still going on,
        5 if its directory cannot be written, 6 if it is damaged.
    """
    if run is None:
        _execute(request, argv, began, None, shown)
        return
    if not (run / directory.RESULT).exists():
        with contextlib.closing(directory.RunDirectory.again(run)) as begun:
            # Another process may have completed it before this one had the lock.
            if not (run / directory.RESULT).exists():
                _check_beginning(begun, request)
                _execute(request, argv, began, begun, shown)
                return
    with directory.finished(run) as result:
        if request.tensorboard:
            event_files.complete(run, result)
        print(shown(result, run))


def _execute(*arguments: Any) -> None:
    from experiments.harness import run as running  # imports jax

    running.execute(*arguments)


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
