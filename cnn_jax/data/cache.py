"""Arrays on disk, computed once: <cache>/<key>/arrays.npz with its sha256 beside it.

The cache is CNN_JAX_CACHE if set, else the user's cache directory for "cnn_jax"
(~/.cache/cnn_jax on Linux, ~/Library/Caches/cnn_jax on macOS). It can be deleted at
any time. The key holds the version of what made the arrays, so a changed builder
never meets old arrays.
"""

import contextlib
import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError, first_line

Arrays = dict[str, np.ndarray]

LOCK_SECONDS = 600.0

_logger = logging.getLogger(__name__)


def directory(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The cache directory: the argument, else CNN_JAX_CACHE, else the user's own."""
    chosen = cache_dir or os.environ.get("CNN_JAX_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("cnn_jax", appauthor=False))


def fetch(
    key: str,
    compute: Callable[[Path], Arrays],
    cache_dir: str | os.PathLike[str] | None = None,
) -> Arrays:
    """Returns the arrays stored under `key`, computing and storing them if needed.

    A file that does not match its sha256 is computed anew. A cache that cannot be
    written costs time, not the result: the arrays are computed in a temporary
    directory and a warning says so.

    Args:
      key: name and version of the arrays, a file name.
      compute: makes the arrays; gets a directory that it may fill and keep.
      cache_dir: in place of the default directory.

    Raises:
      DataError: another process has held the lock for ten minutes, or `compute` failed.
    """
    root = directory(cache_dir)
    arrays = _read(root / key)
    if arrays is not None:
        return arrays
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(root, key))
        except OSError as error:
            _warn_not_kept(root, error)
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            return compute(Path(scratch))
        arrays = _read(root / key)  # another process may have been first
        if arrays is None:
            arrays = compute(root)
            try:
                _write(root / key, arrays)
            except OSError as error:
                _warn_not_kept(root, error)
    return arrays


@contextlib.contextmanager
def locked(root: Path, key: str) -> Generator[None]:
    """Holds the lock of a key; one process at a time does.

    Raises:
      DataError: another process has held it for ten minutes.
      OSError: the directory cannot be written.
    """
    # Importing filelock takes longer than reading the digits: only where needed.
    import filelock

    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{key}.lock"
    lock = filelock.FileLock(path, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise DataError(
            f"another process has been preparing {key} for {LOCK_SECONDS:g} s "
            f"(it holds {path})"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _warn_not_kept(root: Path, error: OSError) -> None:
    _logger.warning(
        "the data cache %s cannot be written (%s): the data is prepared in memory, "
        "again in every run; CNN_JAX_CACHE=DIR names another directory",
        root,
        error.strerror or first_line(error),
    )


def _read(folder: Path) -> Arrays | None:
    try:
        content = (folder / "arrays.npz").read_bytes()
        expected = (folder / "arrays.sha256").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    if hashlib.sha256(content).hexdigest() != expected:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _write(folder: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "arrays.npz", content)
    _replace(folder / "arrays.sha256", hashlib.sha256(content).hexdigest().encode())


def _replace(path: Path, content: bytes) -> None:
    # The lock is held: one name for the part is enough, and a killed run leaves one.
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
