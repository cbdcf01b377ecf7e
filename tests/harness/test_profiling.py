"""--profile: files that XProf and Perfetto read, and a run that is none the other."""

import gzip
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.harness import directory, profiling
from experiments.harness.lab import Lab
from tests.harness import toys
from tests.harness.toys import Launch

WORDS = ("--exp=study", "--num_seeds=1", "--chunks=6")
LARGEST = 5_000_000  # bytes; viewers open ten times as many


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toys.study(tmp_path)


def events(trace: Path) -> list[dict]:
    with gzip.open(trace) as file:
        return json.load(file)["traceEvents"]


def test_a_profile_holds_steps_after_compilation_and_changes_no_bit(
    launch: Launch, folder: Path, out: Path
):
    # In a process of its own: a profile holds every program that its process has.
    ended = toys.launch(folder, *WORDS, "--profile", f"--out={out}")
    assert ended.returncode == 0
    run = toys.only(out)
    (trace,) = run.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    assert f"profile {trace}\n" in ended.stdout
    (told,) = [e for e in directory.read_log(run) if e["event"] == "profile"]
    assert run / told["trace"] == trace
    names = [event.get("name", "") for event in events(trace)]
    assert 1 <= names.count(told["label"]) <= profiling.CHUNKS
    (planes,) = trace.parent.glob("*.xplane.pb")
    data = jax.profiler.ProfileData.from_file(str(planes))
    assert any(line.name for plane in data.planes for line in plane.lines)
    assert trace.stat().st_size + planes.stat().st_size < LARGEST
    assert "bit-identical" in launch(f"--replay={run}").out  # which is not profiled


def test_where_nothing_trains_on_that_is_said(launch: Launch, out: Path):
    ended = launch(*WORDS[:2], "--chunks=1", "--profile", f"--out={out}")
    assert ended.code == 0
    assert f"{profiling.NOTHING}\n" in ended.out


def test_what_is_timed_is_traced_once_and_not_while_it_is_measured(tmp_path: Path):
    logged: list[str] = []
    profiler = profiling.Profiler(tmp_path, lambda event, **_: logged.append(event))
    lab = Lab("", None, logged.append, lambda *_: None, trace=profiler.step)
    calls: list[int] = []
    lab.time({"f": lambda: calls.append(len(logged))}, repeats=3)
    assert logged == ["profile"]
    assert calls == [0, 0, 1, 1, 1]  # warm-up, traced, and three that are measured
    (trace,) = profiler.traces()
    assert "timing" in {event.get("name") for event in events(trace)}


def test_a_trace_ends_after_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(profiling, "SECONDS", 0.05)
    logged: list[str] = []
    profiler = profiling.Profiler(tmp_path, lambda event, **_: logged.append(event))
    with profiler.step("long", 1, False):
        profiler._timer.join(30)
        assert logged == ["profile"]
    profiler.close()
    assert len(profiler.traces()) == 1


def test_a_trace_that_cannot_be_written_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    profiler = profiling.Profiler(tmp_path, lambda *_, **__: None)

    def full() -> None:
        stop()
        raise OSError(28, "No space left on device")

    stop = jax.profiler.stop_trace
    monkeypatch.setattr(jax.profiler, "stop_trace", full)
    with profiler.step("net", 1, True):
        np.zeros(1)
    assert capsys.readouterr().err == (
        "the profile is not written: [Errno 28] No space left on device\n"
    )
