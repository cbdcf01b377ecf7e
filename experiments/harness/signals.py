"""SIGINT and SIGTERM: a training first finishes its chunk and keeps it.

Signals belong to the process, and so does what is asked of it here: `stop`. The first
signal ends the command where Python stands, unless a training is under way in any
thread: that one ends at its next chunk. A second signal ends the process at once.

A program of XLA keeps Python's own handlers from running until it returns, so a thread
watches as well, told by the C handler through a pipe. It ends the process if the
command has not ended itself some time after no training is under way any more.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType

from experiments.harness.exits import Terminated

MEASURING = "measuring"  # how the threads of measurements are named
GRACE = 20.0  # seconds that what keeps nothing may hold an exit up
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL = 0.1


class Stop:
    """Whether the process was asked to end, and whether trainings are under way."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a handler may interrupt who holds it
        self.number: int | None = None
        self.trainings = 0

    def ask(self, number: int) -> bool:
        """Notes the first signal; whether nothing has to be kept before the end."""
        with self._lock:
            self.number = self.number or number
            return not self.trainings

    @contextlib.contextmanager
    def under_way(self) -> Generator[None]:
        """A training, which looks at `number` after every chunk.

        Raises:
          KeyboardInterrupt: a signal came before it began, or while it was ending.
        """
        with self._lock:
            self.check()
            self.trainings += 1
        try:
            yield
        finally:
            with self._lock:
                self.trainings -= 1
        self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt, or its subclass `Terminated`, if asked to end."""
        if self.number == signal.SIGTERM:
            raise Terminated
        if self.number is not None:
            raise KeyboardInterrupt


stop = Stop()


@contextlib.contextmanager
def handled() -> Generator[None]:
    """Handles the signals of one command; what is ignored stays ignored."""
    numbers = [each for each in _SIGNALS if signal.getsignal(each) != signal.SIG_IGN]
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    interrupt = _handler()
    before = {number: signal.signal(number, interrupt) for number in numbers}
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(writing)  # which ends the watcher
        watcher.join()
        os.close(reading)
        stop.number = None  # it was asked of this command alone


def leave_threads(code: int) -> None:
    """Ends the process where a measurement is left behind, which it would wait for."""
    left = [each for each in threading.enumerate() if each.name.startswith(MEASURING)]
    for each in left:
        each.join(1.0)  # most are about to end
    if any(each.is_alive() for each in left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _handler() -> Callable[[int, FrameType | None], None]:
    """Where Python stands in the main thread: an exception, then an end at once."""
    seen = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        if stop.ask(number):
            stop.check()

    return interrupt


def _watch(reading: int) -> None:
    """Reads a byte per signal until the pipe is closed."""
    number = 0
    while number not in _SIGNALS:  # whatever else is handled is told as well
        asked = os.read(reading, 1)
        if not asked:
            return
        number = asked[0]
    stop.ask(number)
    os.set_blocking(reading, False)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < GRACE:
        time.sleep(_POLL)
        if stop.trainings:
            quiet_since = time.monotonic()
        try:
            again = os.read(reading, 1)
        except BlockingIOError:
            continue
        if not again:
            return
        if again[0] in _SIGNALS:
            os._exit(128 + again[0])
    _exit_late(number)


def _exit_late(number: int) -> None:
    word = "terminated" if number == signal.SIGTERM else "interrupted"
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"launch.py: {word}\n".encode())
    os._exit(128 + number)
