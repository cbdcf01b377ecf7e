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
import secrets
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from experiments.harness import strict_json
from experiments.harness.exits import EXHAUSTED, UNAVAILABLE, UNUSABLE, CommandError

LOG = "log.jsonl"
CONFIG = "config.json"
RESULT = "result.json"
METRICS = "metrics.npz"
CHOICES = "choices.json"
REPORT = "report.html"
FIGURES = "figures"

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
    """A new directory of one run, in use until it is closed.

    Raises:
      CommandError: with code 5 if nothing can be written there, 3 if not locked.
    """

    def __init__(self, out: Path, experiment: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        stamp = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.path = out / experiment / stamp
        self._start = time.monotonic()
        try:
            self.path.mkdir(parents=True)
            self._log = open(self.path / LOG, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise CommandError(
                EXHAUSTED, f"cannot write to {out}: {error.strerror}"
            ) from None
        _lock(self._log.fileno(), fcntl.LOCK_EX, self.path)

    def log(self, event: str, **fields: Any) -> None:
        """Adds one line of JSON, with the seconds since the start."""
        seconds = round(time.monotonic() - self._start, 3)
        line = strict_json.dumps({"event": event, "seconds": seconds, **fields})
        self._log.write(line + "\n")
        self._log.flush()

    def write(self, name: str, content: bytes | str) -> None:
        write_whole(self.path / name, content)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: what the log has is there
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


def _lock(descriptor: int, kind: int, path: Path) -> None:
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
        _lock(file.fileno(), fcntl.LOCK_SH, path)
        result = read_json(path / RESULT)
        for name, kind in _RESULT_FIELDS.items():
            if not isinstance(result.get(name), kind):
                raise CommandError(UNUSABLE, f"{path / RESULT} is damaged: no {name}")
        yield result


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
