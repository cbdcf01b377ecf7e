"""What the person who waits gets to see."""

import io
import itertools

import pytest

from experiments.harness import progress


class _Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def _watch(stream: _Stream, pause: float, monkeypatch: pytest.MonkeyPatch) -> str:
    clock = itertools.count(step=pause)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bar = progress.Progress(stream)
    for done in range(3):
        bar(done, 2, "training")
    bar.close()
    return stream.getvalue()


def test_a_terminal_gets_a_bar_that_is_taken_off_again(
    monkeypatch: pytest.MonkeyPatch,
):
    *_, half, full, blank, end = _watch(_Stream(True), 1.0, monkeypatch).split("\r")
    assert half == f"{'━' * 12}{'┄' * 12} 1/2 training"
    assert full == f"{'━' * 24} 2/2 training"
    assert (blank.strip(), end) == ("", "")


def test_without_a_terminal_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
):
    told = _watch(_Stream(False), 11.0, monkeypatch)
    assert told.splitlines()[:2] == ["training 0/2", "training 1/2"]
    assert _watch(_Stream(False), 1.0, monkeypatch) == ""
