"""Signals as a shell sends them: to a process, from outside."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.harness import exits, signals
from tests.faults.conftest import Begin
from tests.faults.study import SOURCE, logged
from tests.harness import toys

LONG = 300.0


@pytest.fixture
def start(tmp_path: Path, begin: Begin) -> Begin:
    """`start(*words)`: a run of the study in a process of its own."""
    folder = toys.write(tmp_path / "experiments", "study", SOURCE)
    out = f"--out={tmp_path / 'runs'}"
    return lambda *words: begin(toys.command(folder, "--exp=study", out, *words))


def wait_for(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG  # a loaded machine starts slowly
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_both_threads_end_at_their_next_chunk(start: Callable, tmp_path: Path):
    out = tmp_path / "runs"
    process = start("--pause=1", "--chunks=1000")
    wait_for(lambda: {"a", "b, c"} <= {each["label"] for each in logged(out, "chunk")})
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=LONG)
    assert process.returncode == 143
    assert told.splitlines()[-1] == "launch.py: terminated"
    last = {each["label"]: each["chunk"] for each in logged(out, "chunk")}
    kept = {each["label"]: each["chunk"] for each in logged(out, "checkpoint")}
    assert set(last) == {"a", "b, c"}
    assert kept == last
    assert logged(out, "stopped")


def test_a_second_signal_ends_it_at_once(start: Callable, tmp_path: Path):
    process = start(f"--pause={LONG}")
    wait_for(lambda: len(logged(tmp_path / "runs", "pause")) == 2)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # which is waited for
        process.wait(timeout=5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=LONG) == 130
    assert time.monotonic() - began < 30


def test_what_trains_nothing_does_not_hold_the_exit_up(start: Callable, tmp_path: Path):
    out = tmp_path / "runs"
    process = start(f"--idle={LONG}", "--pause=1", "--chunks=1000")
    wait_for(lambda: logged(out, "chunk") and logged(out, "idle"))
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=LONG)
    assert process.returncode == 143
    assert told.splitlines()[-1] == "launch.py: terminated"
    assert time.monotonic() - began < LONG / 4
    chunks = [each["chunk"] for each in logged(out, "chunk")]
    assert [each["chunk"] for each in logged(out, "checkpoint")] == chunks[-1:]


def test_a_signal_with_no_training_is_raised_where_python_stands():
    with signals.handled():
        with pytest.raises(exits.Terminated):
            _send(signal.SIGTERM)
        with pytest.raises(exits.Terminated), signals.stop.under_way():
            pytest.fail("a training began after the signal")


def test_a_training_that_ends_meanwhile_raises_the_signal():
    waited = []

    def train() -> None:
        with signals.stop.under_way():
            _send(signal.SIGINT)
            waited.append(True)

    with signals.handled(), pytest.raises(KeyboardInterrupt):
        train()
    assert waited


def _send(number: int) -> None:
    """A signal to this process, and time to handle it."""
    os.kill(os.getpid(), number)
    time.sleep(0.3)


def test_what_was_ignored_stays_ignored_and_all_is_put_back():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminate = signal.getsignal(signal.SIGTERM)
        with signals.handled():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != terminate
        assert signal.getsignal(signal.SIGTERM) == terminate
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_process_ends_where_python_never_gets_to_its_handler(tmp_path: Path):
    """Like a long program of XLA, a lock that is waited for in C runs no handler."""
    code = (
        "import time\n"
        "from experiments.harness import signals\n"
        "signals.GRACE = 0.5\n"
        "signals._handler = lambda: lambda number, frame: None\n"
        "with signals.handled():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(300)\n"
    )
    process = subprocess.Popen(
        [os.sys.executable, "-c", code],
        cwd=toys.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=LONG)
    assert (process.returncode, told) == (143, "launch.py: terminated\n")
