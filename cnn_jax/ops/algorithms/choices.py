"""What "autotune" has chosen: kept on disk, and told to whoever listens.

The file algorithms.json lies in CNN_JAX_CACHE if set, else in the user's cache
directory for "cnn_jax". It maps what else decides about speed (backend, device,
versions, threads, XLA's flags) to problems, and each problem to its choice. It can be
deleted at any time. A write adds to what lies there and replaces the file as a whole,
so that processes can share it: of two that write in the same instant one may lose a
choice, which is then measured again. A file that cannot be read or written costs time,
not the result: it is ignored, with one warning in the log.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Iterable
from pathlib import Path
from typing import Any

FORMAT = 1

_logger = logging.getLogger(__name__)
_lock = threading.RLock()


@dataclasses.dataclass(frozen=True)
class Choice:
    """One form of one convolution, and the algorithm that computes it.

    Attributes:
      problem: backend, form, shapes, dtypes and settings, as text.
      algorithm: the name of the choice.
      source: "measured", "cache" (measured by an earlier process), or "recorded"
        (prescribed by `recording_choices`).
      seconds: of each candidate when it was measured; on a CPU of two in a loop.
    """

    problem: str
    algorithm: str
    source: str
    seconds: dict[str, float]


@dataclasses.dataclass(eq=False)
class _Recorder:
    """One `recording_choices`: what it yields, and what it was given."""

    choices: list[Choice]
    known: dict[str, Choice]
    tell: Callable[[Choice], None]
    ask: Callable[[str], Choice | None]


_made: dict[str, Choice] = {}
_recorders: list[_Recorder] = []
_warned: set[Path] = set()


@contextlib.contextmanager
def recording_choices(
    known: Iterable[Choice] = (),
    tell: Callable[[Choice], None] = lambda choice: None,
    ask: Callable[[str], Choice | None] = lambda problem: None,
) -> Generator[list[Choice]]:
    """Records what algorithm="autotune" chooses, or makes it choose the same again.

    Choices are made where a function is compiled. What this process has compiled is
    not compiled again, so the record begins with the choices made until now.

    Args:
      known: of an earlier record; what they answer is not measured.
      tell: called with each choice as soon as it is made and recorded.
      ask: called with a problem that is not known; a choice that it gives, such as that
        of another process, becomes known.

    Yields:
      A list that grows by one `Choice` for every form of every convolution.
    """
    recorded = {each.problem: _as_recorded(each) for each in known}
    with _lock:
        recorder = _Recorder(list(_made.values()), recorded, tell, ask)
        _recorders.append(recorder)
    try:
        yield recorder.choices
    finally:
        with _lock:
            _recorders.remove(recorder)


def find(problem: str, backend: str, device: str, names: Collection[str]) -> str | None:
    """The recorded choice, or this process's, or the one on disk, if there is one."""
    _ask(problem)
    with _lock:
        for each in reversed(_recorders):
            if problem in each.known and each.known[problem].algorithm in names:
                return _tell(each.known[problem])
        if problem in _made:
            return _tell(_made[problem])
    stored = _read(_path()) or {}
    entry = stored.get(_environment(backend, device), {}).get(problem)
    if entry is None or entry["algorithm"] not in names:
        return None
    return _tell(Choice(problem, entry["algorithm"], "cache", entry["seconds"]))


def _ask(problem: str) -> None:
    """Learns a choice that none of the recorders knows yet."""
    with _lock:
        recorders = list(_recorders)
    for each in recorders:
        if problem not in each.known and (choice := each.ask(problem)):
            each.known[problem] = _as_recorded(choice)


def _as_recorded(choice: Choice) -> Choice:
    return dataclasses.replace(choice, source="recorded")


def keep(problem: str, backend: str, device: str, seconds: dict[str, float]) -> str:
    """Chooses the fastest, and adds the choice to the file."""
    name = min(seconds, key=lambda name: seconds[name])
    _write(_path(), _environment(backend, device), problem, name, seconds)
    return _tell(Choice(problem, name, "measured", seconds))


def _tell(choice: Choice) -> str:
    with _lock:
        if choice.source != "recorded":
            _made[choice.problem] = choice
        for each in _recorders:
            if choice not in each.choices:
                each.choices.append(choice)
                each.tell(choice)
    return choice.algorithm


def _environment(backend: str, device: str) -> str:
    """What decides about speed beside the problem."""
    versions = [
        f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib")
    ]
    flags = os.environ.get("XLA_FLAGS", "")
    threads = os.environ.get("PJRT_NPROC") or _num_cpus()
    return ", ".join([backend, device, *versions, f"{threads} threads", flags])


def _num_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _path() -> Path:
    return _cache_directory() / "algorithms.json"


def _cache_directory() -> Path:
    """As platformdirs finds it, which ops do without."""
    if chosen := os.environ.get("CNN_JAX_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cnn_jax"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "cnn_jax" / "Cache"
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or Path.home() / ".cache"
    return Path(base) / "cnn_jax"


def _read(path: Path) -> dict[str, Any] | None:
    """Environments, their problems and choices; None for a file of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _warn(path, f"cannot be read ({type(error).__name__})")
        return {}
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version != FORMAT:
        _warn(path, f"has version {version}, expected {FORMAT}")
        return None
    if version is None or not _is_sound(content.get("environments")):
        _warn(path, "is damaged")
        return {}
    return content["environments"]


def _is_sound(environments: Any) -> bool:
    if not isinstance(environments, dict):
        return False
    if not all(isinstance(problems, dict) for problems in environments.values()):
        return False
    entries = [each for problems in environments.values() for each in problems.values()]
    return all(
        isinstance(entry, dict)
        and isinstance(entry.get("algorithm"), str)
        and isinstance(entry.get("seconds"), dict)
        for entry in entries
    )


def _write(
    path: Path, environment: str, problem: str, name: str, seconds: dict[str, float]
) -> None:
    environments = _read(path)
    if environments is None:  # another version may still want its file
        return
    entry = {"algorithm": name, "seconds": seconds}
    environments.setdefault(environment, {})[problem] = entry
    text = json.dumps({"version": FORMAT, "environments": environments}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        _warn(path, f"cannot be written ({error.strerror})")


def _replace(path: Path, text: str) -> None:
    descriptor, part = tempfile.mkstemp(
        dir=path.parent, prefix=path.name, suffix=".part"
    )
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _warn(path: Path, reason: str) -> None:
    with _lock:
        if path in _warned:
            return
        _warned.add(path)
    _logger.warning(
        "the autotune cache %s %s: algorithms are measured again; CNN_JAX_CACHE=DIR "
        "names another directory",
        path,
        reason,
    )
