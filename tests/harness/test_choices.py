"""Algorithms that a run chose by measuring: recorded, and chosen again by a replay."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax import conv
from cnn_jax.ops.algorithms import autotune, choices
from experiments.harness import directory
from tests.harness import toys
from tests.harness.toys import Launch

TUNED = toys.SOURCE.replace(
    "    lab.progress(1, 1",
    """    from cnn_jax import conv

    kernel = np.full((3, 3, 3), 1 / 3, np.float32)
    compute = jax.jit(lambda images: conv(images, kernel, algorithm="autotune"))
    noise = noise * float(compute(np.ones((1, 9, 3), np.float32))[0, 4, 1]) / 3
    lab.progress(1, 1""",
)


@pytest.fixture
def tuned(
    launch: Launch, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run that chose "im2col"; whoever measures after it fails."""
    toys.write(folder, "toy", TUNED)
    monkeypatch.setattr(choices, "_made", {})
    monkeypatch.setattr(autotune, "_measure", lambda *_: {"im2col": 1.0})
    assert launch("--exp=toy", f"--out={out}").code == 0
    monkeypatch.setattr(choices, "_made", {})
    choices._path().unlink()

    def fail(*_: object) -> dict[str, float]:
        raise AssertionError("measured again")

    monkeypatch.setattr(autotune, "_measure", fail)
    (run,) = (out / "toy").iterdir()
    return run


def test_a_replay_makes_the_recorded_choices(launch: Launch, tuned: Path):
    (choice,) = json.loads((tuned / "choices.json").read_text())["choices"]
    assert (choice["algorithm"], choice["source"]) == ("im2col", "measured")
    assert launch(f"--replay={tuned}").code == 0


def test_a_resumed_run_makes_the_choices_of_its_log(launch: Launch, tuned: Path):
    before = json.loads((tuned / "result.json").read_text())["metrics_digest"]
    for name in ("result.json", "choices.json"):  # as if killed while it reported
        (tuned / name).unlink()
    assert launch(f"--resume={tuned}").code == 0
    after = json.loads((tuned / "result.json").read_text())["metrics_digest"]
    assert after == before
    (choice,) = json.loads((tuned / "choices.json").read_text())["choices"]
    assert (choice["algorithm"], choice["source"]) == ("im2col", "recorded")


def test_a_choice_is_in_the_log_as_soon_as_it_is_made(tuned: Path):
    events = directory.read_log(tuned)
    assert [each["event"] for each in events] == ["start", "choice", "drawn", "end"]
    assert events[1]["choice"]["algorithm"] == "im2col"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that this process has compiled, with the choice of "im2col"."""
    monkeypatch.setattr(choices, "_made", {})
    monkeypatch.setattr(autotune, "_measure", lambda *_: {"im2col": 1.0})
    kernel = np.ones((2, 3, 3), np.float32)
    compute = jax.jit(lambda images: conv(images, kernel, algorithm="autotune"))
    compute(np.ones((1, 9, 3), np.float32))
    assert len(choices._made) == 1
    return compute


def test_a_run_leaves_out_what_others_chose_before_it(
    compiled: Any, launch: Launch, out: Path
):
    assert launch("--exp=toy", f"--out={out}").code == 0
    (run,) = (out / "toy").iterdir()
    assert not (run / "choices.json").exists()


def test_a_run_records_the_choices_of_what_was_compiled_before_it(
    compiled: Any,
    launch: Launch,
    folder: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(toys, "compute", compiled, raising=False)
    used = """    from tests.harness.toys import compute

    compute(np.ones((1, 9, 3), np.float32))
    lab.progress(1, 1"""
    toys.write(folder, "toy", toys.SOURCE.replace("    lab.progress(1, 1", used))
    assert launch("--exp=toy", f"--out={out}").code == 0
    (run,) = (out / "toy").iterdir()
    (choice,) = json.loads((run / "choices.json").read_text())["choices"]
    assert choice["algorithm"] == "im2col"


def test_without_its_choices_a_replay_measures(launch: Launch, tuned: Path):
    (tuned / "choices.json").unlink()
    with pytest.raises(AssertionError, match="measured again"):
        launch(f"--replay={tuned}")


@pytest.mark.parametrize("content", ["{", '{"choices": 3}', '{"choices": [{}]}', "{}"])
def test_damaged_choices_are_one_line(launch: Launch, finished: Path, content: str):
    (finished / "choices.json").write_text(content)
    ended = launch(f"--replay={finished}")
    assert ended.code == 6
    assert ended.err == f"launch.py: {finished / 'choices.json'} is damaged\n"


def test_choices_of_trainings_that_had_ended_are_recorded_too(
    tuned: Path, monkeypatch: pytest.MonkeyPatch, launch: Launch
):
    before = json.loads((tuned / "choices.json").read_text())["choices"]
    for name in ("result.json", "choices.json"):
        (tuned / name).unlink()
    # As if what compiles it had been skipped: nothing is chosen while it runs.
    monkeypatch.setattr(choices, "_tell", lambda choice: choice.algorithm)
    log = (tuned / "log.jsonl").read_text()
    assert launch(f"--resume={tuned}").code == 0
    after = json.loads((tuned / "choices.json").read_text())["choices"]
    assert [each["problem"] for each in after] == [each["problem"] for each in before]
    assert log in (tuned / "log.jsonl").read_text()
