"""How far a run is, for the person who waits: a bar on a terminal, else a few lines."""

import time
from typing import TextIO

_BAR = 24
_REDRAW = 0.1  # seconds between two states of the bar
_REPEAT = 10.0  # seconds between two lines where there is no terminal


class Progress:
    """`progress(done, total, label)`, to be closed before anything else is printed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._last = time.monotonic()
        self._width = 0

    def __call__(self, done: int, total: int, label: str) -> None:
        pause = _REDRAW if self._terminal else _REPEAT
        if time.monotonic() - self._last < pause:
            return
        self._last = time.monotonic()
        if not self._terminal:
            print(f"{label} {done}/{total}", file=self._stream, flush=True)
            return
        filled = "━" * round(_BAR * done / max(total, 1))
        self._draw(f"{filled:┄<{_BAR}} {done}/{total} {label}")

    def close(self) -> None:
        """Takes the bar off the terminal."""
        if self._width:
            self._draw("")
            print(end="\r", file=self._stream, flush=True)

    def _draw(self, line: str) -> None:
        padded = f"{line:<{self._width}}"
        print(f"\r{padded}", end="", file=self._stream, flush=True)
        self._width = len(line)
