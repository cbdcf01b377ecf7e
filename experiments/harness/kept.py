"""The checkpoints of one run: which state of which training is kept, and when.

Every training of a run has a label and a folder of its own in RUN/checkpoints. A run
that goes on calls the same `run(keys, config, lab)` from its start: a training that had
ended returns at once, one that was interrupted goes on from its newest sound step, one
of which nothing is kept is repeated. All of them give the same bits.

States are written by one thread beside the run. A training is kept at most once in
`seconds`, and once more at its end; as soon as writing has taken more than its share of
the run's time, it pauses. Before an end that is not the run's own it never does.
"""

import concurrent.futures
import dataclasses
import errno
import hashlib
import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from cnn_jax.training import checkpoints
from cnn_jax.training.checkpoints import Checkpoint

LAST = 2  # steps that are kept of a training, beside its best
SHARE = 0.02  # of the run's time that may be spent on writing
_FIRST = 0.1  # seconds of CPU time that the first save is expected to take
_THREADS = 2  # CPU seconds of all threads that write, at most, per second of the first
_REFUSED = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG)
_ABOUT_ERRNO = re.compile(r"\[OS error (\d+)|\[Errno (\d+)\]")


class Checkpoints:
    """What a run keeps of its trainings.

    Args:
      folder: RUN/checkpoints.
      config: of the run; a checkpoint of another one is not taken.
      key: that the run's randomness is drawn from.
      seconds: at least between two saves of one training; 0: as often as the disk
        allows.
      log: as of `Lab`.
      warn: tells a line to the person who waits.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        key: jax.Array,
        seconds: float,
        log: Callable[..., None],
        warn: Callable[[str], None],
    ) -> None:
        self._folder, self._config, self._key = folder, config, key
        self._seconds, self._log, self._warn = seconds, log, warn
        self._labels: set[str] = set()
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
        self._pending: list[concurrent.futures.Future[None]] = []
        self._latest: dict[str, concurrent.futures.Future[None]] = {}
        self._began, self._spent, self._expected = time.monotonic(), 0.0, _FIRST

    def training(
        self, label: str, states: Any, num_chunks: int, num_shares: int = 1
    ) -> "Training":
        """The checkpoints of one training.

        Args:
          label: unique in the run.
          states: before the first chunk.
          num_chunks: of the whole training.
          num_shares: devices that share its batches, on which the last bits depend.

        Raises:
          ValueError: the label was taken before.
        """
        with self._lock:
            if label in self._labels:
                raise ValueError(
                    f"expected every training of a run to have a label of its own, "
                    f"got {label!r} twice"
                )
            self._labels.add(label)
        config = {
            "run": self._config,
            "label": label,
            "num_chunks": num_chunks,
            "start": checkpoints.state_digest(states),
            "num_shares": num_shares,
        }
        start = Checkpoint(states, 0, self._key, config)
        return Training(self, self._folder / _name(label), label, start)

    def restored(self, training: "Training") -> Checkpoint:
        """The newest sound step of a training, or its start."""

        def warn(step: int, reason: str) -> None:
            training.unsound.add(step)
            self._log("unsound", label=training.label, chunk=step, reason=reason)
            self._warn(
                f"checkpoint {step} of {training.label} is not taken: {reason}; "
                "going on from the one before"
            )

        found = checkpoints.newest(training.folder, training.start, warn)
        if found is None:
            return training.start
        self._log("restored", label=training.label, chunk=found.step)
        return found

    def is_due(self, since: float) -> bool:
        """Whether a training is to be kept that was last kept at time `since`."""
        return time.monotonic() - since >= self._seconds and self.is_affordable()

    def is_affordable(self) -> bool:
        """Whether one more save stays within the share of the run's time."""
        allowed = SHARE * (time.monotonic() - self._began)
        return not self._seconds or self._spent + self._expected <= allowed

    def save(self, training: "Training", checkpoint: Checkpoint) -> None:
        """Begins to write a state; fails if one before could not be written."""
        with self._lock:
            before = self._latest.get(training.label)
            if before is not None:
                before.cancel()  # where it has not begun: so a slow disk never queues
            running = [each for each in self._pending if not each.done()]
            ended = [each for each in self._pending if each.done()]
            job = self._pool.submit(self._write, training, checkpoint)
            self._latest[training.label] = job
            self._pending = [*running, job]
        for each in ended:
            if not each.cancelled():
                each.result()

    def wait(self) -> None:
        """Waits until all is written.

        Raises:
          OSError: something could not be written.
        """
        with self._lock:
            pending, self._pending = self._pending, []
        for each in pending:
            if not each.cancelled():
                each.result()

    def close(self) -> None:
        """Waits for what is being written, and takes no more."""
        self._pool.shutdown()

    def _write(self, training: "Training", checkpoint: Checkpoint) -> None:
        import orbax.checkpoint  # noqa: F401  its import is no part of a save

        began, worked = time.monotonic(), time.thread_time()
        try:
            checkpoints.save(training.folder, checkpoint)
            training.unsound.discard(checkpoint.step)  # it is written anew
            checkpoints.prune(training.folder, LAST, training.unsound)
        except Exception as error:
            raise _refusal(error, training.folder) or error from None
        self._expected = _THREADS * (time.thread_time() - worked)
        self._spent += self._expected
        took = round(time.monotonic() - began, 3)
        self._log("checkpoint", label=training.label, chunk=checkpoint.step, took=took)


class Training:
    """The checkpoints of one training; see `Checkpoints.training`."""

    def __init__(
        self, kept: Checkpoints, folder: Path, label: str, start: Checkpoint
    ) -> None:
        self.folder, self.label, self.start = folder, label, start
        self.unsound: set[int] = set()
        self._kept, self._since, self._last = kept, time.monotonic(), 0

    def resume(self) -> tuple[Any, int]:
        """The newest sound states and the chunks behind them."""
        found = self._kept.restored(self)
        self._last = found.step
        self.start = dataclasses.replace(self.start, state=None)  # needed no more
        return found.state, found.step

    def is_due(self, done: int) -> bool:
        """Whether to keep the states after `done` chunks: it is time to, or the end."""
        if done == self.start.config["num_chunks"]:
            return self._kept.is_affordable()
        return self._kept.is_due(self._since)

    def keep(self, states: Any, done: int, loss: float = math.nan) -> None:
        """Keeps the states, and waits until they are written.

        Raises:
          OSError: they could not be written.
        """
        if done > self._last:
            self.save(states, done, loss)
        self._kept.wait()

    def save(self, states: Any, done: int, loss: float) -> None:
        """Begins to write the states.

        Raises:
          OSError: states that were kept before could not be written.
        """
        self._since, self._last = time.monotonic(), done
        start = self.start
        self._kept.save(self, Checkpoint(states, done, start.key, start.config, loss))


def _name(label: str) -> str:
    """A folder's name: readable, and another one for each label."""
    plain = re.sub(r"[^A-Za-z0-9+_.-]+", "-", label).strip(".-")[:60]
    return f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _refusal(error: Exception, folder: Path) -> OSError | None:
    """What the file system said, which tensorstore tells within a longer text."""
    number = getattr(error, "errno", None)
    if found := _ABOUT_ERRNO.search(str(error)):
        number = int(found[1] or found[2])
    if number not in _REFUSED:
        return None
    return OSError(number, os.strerror(number), str(folder))
