"""A sweep: the runs of one experiment at every cell of a grid, and one table of them.

The directory of a sweep, OUT/EXPERIMENT/sweep-STAMP, is the --out of its runs, which
are runs as any other. Beside them lie sweep.json, which says what is swept, and, anew
behind every cell, table.json and report.html. What a cell has found is looked up in its
run alone, so a sweep goes on wherever it was ended.
"""

import contextlib
import dataclasses
import fcntl
import json
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from experiments.harness import (
    directory,
    environment,
    event_files,
    exits,
    flags,
    grid,
    intents,
    options,
    resume,
    strict_json,
    sweep_table,
)
from experiments.harness.exits import UNUSABLE, CommandError

PREFIX = "sweep-"
VERSION = 1  # of sweep.json


def run(
    sweep: intents.Sweep,
    argv: Sequence[str],
    began: float,
    tell: Callable[[BaseException], int],
) -> int:
    """Runs every cell of a new sweep, or of the newest one like it.

    Args:
      sweep: the grid and its cells.
      argv: the words, for the logs.
      began: `time.perf_counter()` when the command began.
      tell: says on stderr why a cell has failed, and returns the exit code.

    Returns:
      0, or the code of the first cell that failed.

    Raises:
      CommandError: with code 3 if the sweep is still going on, 5 if it cannot be
        written.
    """
    event_files.check(sweep.cells[0])
    study = _latest(sweep) if sweep.is_latest else None
    if study is None:
        study = _new(sweep)
    return _go_on(study, sweep, argv, began, tell)


def resumed(
    command: intents.Resume,
    argv: Sequence[str],
    folder: Path,
    began: float,
    tell: Callable[[BaseException], int],
) -> int:
    """Goes on with the sweep of `--resume=STUDY`; see `run`.

    Raises:
      CommandError: as of `run`, and with code 6 if sweep.json is damaged.
    """
    path = command.run / directory.SWEEP
    named = directory.read_json(path)
    if named.get("version") != VERSION:
        told = f"is of version {named.get('version')}, not {VERSION}"
        raise CommandError(UNUSABLE, f"{path} {told}")
    try:
        config = {**named["config"]}
        swept = grid.text(named["grid"])
        words = [f"--exp={config.pop('experiment')}", f"--sweep={swept}"]
        words += [
            f"--{name}={options.as_word(value)}"
            for name, value in config.items()
            if value is not None
        ]
        sweep = flags.parse(words, folder)
    except CommandError as error:
        raise CommandError(UNUSABLE, f"{path} is damaged: {error}") from None
    except (LookupError, TypeError, AttributeError):
        raise CommandError(UNUSABLE, f"{path} is damaged") from None
    if not isinstance(sweep, intents.Sweep):
        raise CommandError(UNUSABLE, f"{path} is damaged")
    cells = tuple(dataclasses.replace(cell, **command.anew) for cell in sweep.cells)
    event_files.check(cells[0])
    sweep = dataclasses.replace(sweep, cells=cells)
    return _go_on(command.run, sweep, argv, began, tell)


def _new(sweep: intents.Sweep) -> Path:
    request = sweep.cells[0]
    directory.check_writable(Path(request.out))
    name = f"{PREFIX}{directory.stamp()}"
    study = Path(request.out) / request.experiment.name / name
    named = {"version": VERSION, **sweep.named}
    directory.write_whole(study / directory.SWEEP, strict_json.dumps(named, indent=1))
    return study


def _latest(sweep: intents.Sweep) -> Path | None:
    """The newest sweep under OUT of this experiment, config and grid, or None."""
    request = sweep.cells[0]
    sweeps = Path(request.out) / request.experiment.name
    wanted = json.loads(strict_json.dumps({"version": VERSION, **sweep.named}))
    places = sweeps.glob(f"{PREFIX}*/{directory.SWEEP}")
    return directory.newest(places, lambda found, _: found == wanted)


@contextlib.contextmanager
def _held(study: Path) -> Generator[None]:
    with open(study / directory.SWEEP, "rb") as file:
        directory.lock(file.fileno(), fcntl.LOCK_EX, study)
        yield


def _go_on(
    study: Path,
    sweep: intents.Sweep,
    argv: Sequence[str],
    began: float,
    tell: Callable[[BaseException], int],
) -> int:
    """Runs the cells that are not finished, and prints the table of all.

    A cell that fails does not keep the others from running, but a full disk does.
    """
    cells = [dataclasses.replace(each, out=str(study)) for each in sweep.cells]
    sweep = dataclasses.replace(sweep, cells=tuple(cells))
    environment.prepare(cells[0].device, cells[0].num_threads)
    code = 0
    with _held(study):
        found = sweep_table.build(sweep)
        for number, fields in enumerate(grid.cells(sweep.grid)):
            print(f"cell {number + 1}/{len(cells)}: {grid.label(fields)}", flush=True)
            try:
                cell = cells[number]
                resume.go_on(resume.latest(cell), cell, argv, began, sweep_table.line)
            except KeyboardInterrupt:
                print(f"resume  python launch.py --resume={study}", flush=True)
                raise
            except Exception as error:
                failed = tell(error)
                code = code or failed
                if failed == exits.EXHAUSTED:
                    return code
            found["cells"][number] = sweep_table.cell(fields, cells[number])
            sweep_table.write(study, found, sweep.cells[0].experiment)
            began = time.perf_counter()
    print(sweep_table.text(found, study))
    return code
