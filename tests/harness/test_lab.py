"""What the lab gives an experiment: data, a watched training, clocks, measurements."""

import functools
import threading
import time
from typing import Any

import numpy as np
import pytest

from experiments.harness import lab as module
from experiments.harness.lab import Lab, NotFinite
from experiments.harness.seeds import over_seeds


def quiet(*_: Any, **__: Any) -> None:
    pass


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    calls: list[tuple[str, Any]] = []

    def load(name: str, *, data_dir: Any = None, **_: Any) -> str:
        calls.append((name, data_dir))
        return name

    monkeypatch.setattr(module.data, "load", load)
    return calls


def test_the_data_directory_is_that_of_the_runs_own_data_alone(loaded):
    lab = Lab("mnist", "there", quiet, quiet)
    lab.data()
    lab.data("mnist")
    lab.data("digits")
    assert loaded == [("mnist", "there"), ("mnist", "there"), ("digits", None)]


def chunk(states: int, losses: np.ndarray) -> tuple[int, dict[str, np.ndarray]]:
    return states + 1, {"loss": losses[:, 2 * states : 2 * states + 2]}


def test_a_training_runs_all_chunks_and_logs_the_last_values():
    events: list[dict[str, Any]] = []
    lab = Lab("digits", None, lambda event, **f: events.append(f), quiet)
    losses = np.arange(8.0).reshape(2, 4)
    assert lab.fit(chunk, 0, losses, num_chunks=2, label="net") == 2
    assert [event["loss"].tolist() for event in events] == [[1, 5], [3, 7]]


def test_a_loss_that_is_not_finite_stops_and_is_named():
    lab = Lab("digits", None, quiet, quiet)
    losses = np.ones((2, 4))
    losses[1, 3] = np.nan
    with pytest.raises(NotFinite, match="loss of net, seed 1, is nan at step 3"):
        lab.fit(chunk, 0, losses, num_chunks=2, label="net")
    done = lab.fit(chunk, 0, losses, num_chunks=2, label="net", on_nonfinite="record")
    assert done == 2


def test_another_word_for_not_finite_is_refused():
    lab = Lab("digits", None, quiet, quiet)
    with pytest.raises(ValueError, match=r"\"stop\" or \"record\", got 'skip'"):
        lab.fit(chunk, 0, np.ones((1, 2)), num_chunks=1, label="", on_nonfinite="skip")


@pytest.mark.parametrize("threads", ["1", "3", "16"])
def test_measurements_run_two_at_a_time_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch, threads: str
):
    monkeypatch.setenv("PJRT_NPROC", threads)
    barrier = threading.Barrier(2, timeout=10)

    def waits(name: str) -> Any:
        def measure() -> dict[str, int]:
            barrier.wait()  # passes only where two run at once
            return {name: 1}

        return measure

    lab = Lab("digits", None, quiet, quiet)
    assert list(lab.measure({"b": waits("b"), "a": waits("a")})) == ["b", "a"]


@pytest.mark.parametrize("threads", ["2", None])
def test_measurements_that_could_keep_both_threads_busy_run_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, threads: str | None
):
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    if threads is not None:
        monkeypatch.setenv("PJRT_NPROC", threads)
    running, most = set(), []

    def measure(name: str) -> dict[str, int]:
        running.add(name)
        time.sleep(0.02)
        most.append(len(running))
        running.remove(name)
        return {name: 1}

    lab = Lab("digits", None, quiet, quiet)
    lab.measure({name: functools.partial(measure, name) for name in "abc"})
    assert most == [1, 1, 1]


def test_a_failure_ends_the_trainings_beside_it_at_their_next_chunk(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("PJRT_NPROC", "1")
    began = threading.Event()
    chunks, others = [], []

    def chunk(states: Any, losses: Any) -> Any:
        chunks.append(states)
        began.set()
        return states + 1, {"loss": losses}

    def fails() -> dict[str, Any]:
        began.wait(10)
        raise NotFinite("here")

    def waits() -> dict[str, Any]:
        others.append(time.sleep(0.01))
        return {}

    lab = Lab("digits", None, quiet, quiet)
    fit = functools.partial(lab.fit, chunk, 0, np.ones((1, 1)), num_chunks=10**9)
    with pytest.raises(NotFinite, match="here"):
        lab.measure(
            {
                "trains": lambda: {"states": fit(label="long")},
                "fails": fails,
                **{str(i): waits for i in range(1000)},
            }
        )
    assert 0 < len(chunks) < 10**9
    assert len(others) < 1000


def test_no_measurement_begins_beside_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PJRT_NPROC", "2")
    begun = []

    def fails() -> dict[str, Any]:
        time.sleep(0.1)
        raise NotFinite("here")

    lab = Lab("digits", None, quiet, quiet)
    with pytest.raises(NotFinite, match="here"):
        lab.measure({"fails": fails, "next": lambda: {"begun": begun.append(1)}})
    assert not begun


def test_repeats_are_interleaved_in_alternating_order():
    order: list[str] = []
    lab = Lab("digits", None, quiet, quiet)
    functions = {name: functools.partial(order.append, name) for name in "ab"}
    seconds = lab.time(functions, repeats=2)
    assert "".join(order) == "ab" + "ab" + "ba"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_a_program_does_not_take_a_stream_as_what_all_seeds_share():
    stream = module.Stream.__new__(module.Stream)  # which is not read
    lab = Lab("digits", None, quiet, quiet, stream=0)
    with pytest.raises(ValueError, match="a chunk that hands a stream's item on"):
        lab.fit(over_seeds(chunk), 0, stream, num_chunks=1, label="net")
