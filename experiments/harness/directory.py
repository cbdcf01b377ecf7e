"""The run directory: OUT/EXPERIMENT/STAMP, with whole files and a log.

A file appears whole or not at all: it is written under another name, flushed to the
disk and then renamed. The log is open and locked for as long as the run lives; the
system lets go of the lock when the process ends, however it ends.
"""

import contextlib
import datetime
import fcntl
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Self

from experiments.harness import events, strict_json
from experiments.harness.exits import EXHAUSTED, UNAVAILABLE, UNUSABLE, CommandError
from experiments.harness.intents import CONFIG as CONFIG
from experiments.harness.intents import SWEEP as SWEEP

LOG = "log.jsonl"
RESULT = "result.json"
METRICS = "metrics.npz"
CHOICES = "choices.json"
REPORT = "report.html"
FIGURES = "figures"
CHECKPOINTS = "checkpoints"

_DURABLE = ("start", "resume", "choice")  # what checkpoints rely on: on the disk first
_UNFINISHED = re.compile(r"\..+\.\d+")  # as `whole` names them
_RESULT_FIELDS = {
    "experiment": str,
    "config": dict,
    "environment": dict,
    "wall_seconds": dict,
    "metrics_digest": str,
    "claims": list,
    "controls": list,
}


class RunDirectory:
    """The directory of one run, in use until it is closed.

    Attributes:
      path: OUT/EXPERIMENT/STAMP.
      events: of the log, as the processes before this one have left it.
      damaged: lines of the log that are left out of the events.
      listener: is told every event behind its line, as a reader of the log gets it.
      elapsed: seconds that the processes before this one had spent on the run.

    Raises:
      CommandError: with code 5 if nothing can be written there, 3 if not locked, 6 if
        there is no log to go on with.
    """

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self.path = path
        self.listener: Callable[[dict[str, Any]], None] | None = None
        self._writing = threading.Lock()
        try:
            if is_new:
                path.mkdir(parents=True)
            elif not (path / LOG).is_file():
                raise CommandError(
                    UNUSABLE, f"{path} is no run directory: it has no {LOG}"
                )
            self._log = open(path / LOG, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            place = path.parents[1] if is_new else path
            raise CommandError(
                EXHAUSTED, f"cannot write to {place}: {error.strerror}"
            ) from None
        try:
            lock(self._log.fileno(), fcntl.LOCK_EX, path)
            self.events, self.damaged = events.read(path / LOG)
            self._end = (path / LOG).read_bytes().rfind(b"\n") + 1
            self._log.truncate(self._end)  # a torn line would spoil the next one
        except BaseException:
            self._log.close()
            raise
        self.elapsed = self.events[-1]["seconds"] if self.events else 0.0
        self._start = time.monotonic() - self.elapsed

    @classmethod
    def new(cls, out: Path, experiment: str) -> Self:
        """A directory that was not there before."""
        return cls(out / experiment / stamp(), is_new=True)

    @classmethod
    def again(cls, path: Path) -> Self:
        """That of a run that has ended, in whatever way."""
        run = cls(path, is_new=False)
        for name in (".", FIGURES):  # what a kill has left half-written
            for unfinished in (path / name).glob(".*"):
                if _UNFINISHED.fullmatch(unfinished.name) and unfinished.is_file():
                    unfinished.unlink()
        return run

    @property
    def beginning(self) -> dict[str, Any] | None:
        """The first event: command, environment and config; None before it."""
        return self.events[0] if self.events else None

    def log(self, event: str, **fields: Any) -> None:
        """Adds one line of JSON, with the seconds since the start."""
        seconds = round(time.monotonic() - self._start, 3)
        told = strict_json.plain({"event": event, "seconds": seconds, **fields})
        line = memoryview(f"{strict_json.dumps(told)}\n".encode())
        with self._writing:
            end = self._end + len(line)
            try:
                while line:
                    line = line[self._log.write(line) :]
            except OSError as error:
                error.filename = str(self.path / LOG)
                with contextlib.suppress(OSError):  # half a line is none
                    self._log.truncate(self._end)
                raise
            self._end = end
            if event in _DURABLE:
                os.fsync(self._log.fileno())
            if self.listener is not None:
                self.listener(told)

    def write(self, name: str, content: bytes | str) -> None:
        write_whole(self.path / name, content)

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk; closed before
            os.fsync(self._log.fileno())
        with contextlib.suppress(OSError):
            self._log.close()

    def discard(self) -> None:
        """Takes back a directory that holds nothing yet."""
        self.close()
        for file in self.path.iterdir():
            file.unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()
            self.path.parent.rmdir()


def stamp() -> str:
    """A name that sorts by time and is taken by nobody else."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def newest(
    places: Iterable[Path], is_wanted: Callable[[dict[str, Any], Path], bool]
) -> Path | None:
    """The directory with the newest stamp, of those whose file says what is wanted.

    Args:
      places: of the files, JSON objects; what cannot be read is none.
      is_wanted: (object, directory) -> whether it is.
    """
    found = []
    for path in places:
        with contextlib.suppress(CommandError, OSError):
            if is_wanted(read_json(path), path.parent):
                second = path.parent.name.rpartition("-")[0]
                found.append((second, path.stat().st_mtime_ns, path.parent))
    return max(found)[-1] if found else None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a run, without lines that are torn or damaged.

    Raises:
      CommandError: with code 6, as `events.read` does.
    """
    return events.read(path / LOG)[0]


def check_writable(out: Path) -> None:
    """Whether a run could be written there, asked before anything slow is begun.

    Raises:
      CommandError: with code 5, if the directory, or the nearest one above it that
        exists, is a file or not writable.
    """
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise CommandError(EXHAUSTED, f"cannot write to {out}: Not a directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CommandError(EXHAUSTED, f"cannot write to {out}: Permission denied")


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file that is either there completely or not there."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def whole(path: Path) -> Generator[Path]:
    """Yields a path to write to, which becomes `path` when all is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a failed write itself knows no name
        raise
    with contextlib.suppress(OSError):  # not every file system can flush a directory
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, kind: int, path: Path) -> None:
    """Holds an open file until it is closed.

    Args:
      descriptor: of the file.
      kind: fcntl.LOCK_EX or LOCK_SH.
      path: what is in use then, for the error.

    Raises:
      CommandError: with code 3, if another process holds it.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(UNAVAILABLE, f"{path} is in use by a run") from None
    except OSError as error:
        message = f"{path} cannot be locked: {error.strerror}"
        raise CommandError(UNAVAILABLE, message) from None


@contextlib.contextmanager
def finished(path: Path) -> Generator[dict[str, Any]]:
    """Holds a finished run for reading; yields what its result.json holds.

    Raises:
      CommandError: with code 3 if the run is still going on, 6 if it is none, or
        unfinished or damaged.
    """
    log = path / LOG
    if not log.is_file():
        raise CommandError(UNUSABLE, f"{path} is no run directory: it has no {LOG}")
    with open(log, encoding="utf-8") as file:
        lock(file.fileno(), fcntl.LOCK_SH, path)
        yield read_result(path)


def read_result(path: Path) -> dict[str, Any]:
    """What result.json of a run holds.

    Raises:
      CommandError: with code 6 if it is absent or damaged.
    """
    result = read_json(path / RESULT)
    for name, kind in _RESULT_FIELDS.items():
        if not isinstance(result.get(name), kind):
            raise CommandError(UNUSABLE, f"{path / RESULT} is damaged: no {name}")
    return result


def read_json(path: Path) -> dict[str, Any]:
    """Reads an object of a run directory.

    Raises:
      CommandError: with code 6, if the file is absent or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandError(UNUSABLE, f"{path} is absent") from None
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise CommandError(UNUSABLE, f"{path} is damaged")
    return value
