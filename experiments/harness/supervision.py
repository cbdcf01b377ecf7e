"""Work in a child process, whose end is told in one line whoever has ended it.

jax ends a process whose peer is lost with SIGABRT, whatever it is about, and says so in
its own way. So what works is the child of a process that does nothing but wait for it.
"""

import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from types import FrameType
from typing import TextIO

from experiments.harness.exits import PEER_LOST
from experiments.harness.peers import LOST, PATIENCE, tell

# What a process says last that jax, or gloo amid a collective, has ended.
_FATAL = re.compile(b"JAX distributed service detected fatal errors|gloo/transport")
_CONNECTING = b"RegisterTask"


def supervised(work: Callable[[], int]) -> int:
    """Does the work in a child process, and says so if jax has ended it.

    Returns:
      The exit code of the work; 7 where it was ended because a peer was lost.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as muttered:  # by what is not Python
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.setpgid(0, 0)  # signals come through the parent, once
            threading.Thread(target=_die_with, args=(reading,), daemon=True).start()
            sys.stdout = _kept_from(muttered.fileno(), 1)
            sys.stderr = _kept_from(muttered.fileno(), 2)
            _exit_with(work)
        os.close(reading)
        status = _wait(child)
        os.close(writing)
        code = os.waitstatus_to_exitcode(status)
        muttered.seek(0)
        text = muttered.read()
    if code == -signal.SIGABRT and _FATAL.search(text):
        is_late = _CONNECTING in text
        tell(f"not all processes came within {PATIENCE} s" if is_late else LOST)
        return PEER_LOST
    if code < 0:
        os.write(2, text)
    return code if code >= 0 else 128 - code


def _kept_from(other: int, descriptor: int) -> TextIO:
    """What Python writes still goes there, all else to another file."""
    own = open(os.dup(descriptor), "w", buffering=1)  # noqa: SIM115
    os.dup2(other, descriptor)
    return own


def _wait(child: int) -> int:
    """The status that a child ends with; until then it gets the signals."""

    def forward(number: int, frame: FrameType | None) -> None:
        os.kill(child, number)

    before = {
        number: signal.signal(number, forward)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    _, status = os.waitpid(child, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
    return status


def _exit_with(work: Callable[[], int]) -> None:
    """Ends the process without waiting for threads or peers."""
    code = 1
    try:
        code = work()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _die_with(reading: int) -> None:
    """Ends this process where its parent has ended, however it did."""
    os.read(reading, 1)
    os._exit(PEER_LOST)
