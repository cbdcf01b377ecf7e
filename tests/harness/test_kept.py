"""Which states a run keeps while its disk is slow, and of which source they are."""

import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.training import checkpoints
from experiments.harness import environment, kept
from experiments.harness.directory import RunDirectory


def test_a_slow_disk_queues_one_state_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def save(_: Path, checkpoint: Any) -> None:
        begun.set()
        go_on.wait(10)
        written.append(checkpoint.step)

    monkeypatch.setattr(checkpoints, "save", save)
    monkeypatch.setattr(checkpoints, "prune", lambda *_: None)
    every = kept.Checkpoints(
        tmp_path, {}, jax.random.key(0), 0, lambda *_, **__: None, lambda _: None
    )
    training = every.training("net", np.zeros(3), 100)
    training.save(np.ones(3), 1, 0.5)
    begun.wait(10)
    for done in range(2, 50):
        training.save(np.ones(3), done, 0.5)
    go_on.set()
    every.wait()
    every.close()
    assert written == [1, 49]


def test_a_source_that_was_edited_is_another(tmp_path: Path):
    module = tmp_path / "study.py"
    module.write_text("rate = 0.05\n")
    before = environment.source_digest(module)
    assert environment.source_digest(module) == before
    module.write_text("rate = 0.2\n")
    assert environment.source_digest(module) != before


def test_what_a_user_left_in_a_run_directory_stays(tmp_path: Path):
    run = RunDirectory.new(tmp_path, "study")
    run.close()
    (run.path / ".notes").write_text("mine")
    (run.path / ".result.json.123").write_text("half")
    (run.path / ".ipynb_checkpoints").mkdir()
    RunDirectory.again(run.path).close()
    names = {path.name for path in run.path.iterdir()}
    assert names == {"log.jsonl", ".notes", ".ipynb_checkpoints"}
