"""Checkpoints: what comes back is what was saved, or nothing does."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from cnn_jax.training import checkpoints
from cnn_jax.training.checkpoints import Checkpoint, Unsound


class State(NamedTuple):
    params: dict[str, Any]
    key: jax.Array
    rate: Any


KEY = jax.random.key(7)
CONFIG = {"seed": 7, "rate": 0.1}


def state(step: int) -> State:
    kernel = jax.random.normal(jax.random.fold_in(KEY, step), (3, 500))
    params = {
        "kernel": kernel,
        "half": kernel[0].astype(jnp.bfloat16),
        "empty": jnp.zeros((0, 3)),
        "mask": kernel[1] > 0,
        "count": jnp.asarray(step),
    }
    return State({"Conv_0": params}, jax.random.split(KEY, 2), jnp.asarray(1.5))


def checkpoint(step: int, loss: float = math.nan) -> Checkpoint:
    return Checkpoint(state(step), step, KEY, CONFIG, loss)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    for step in (1, 2):
        checkpoints.save(folder, checkpoint(step, 0.5))
    return folder


def same(found: State, expected: State) -> bool:
    return checkpoints.state_digest(found) == checkpoints.state_digest(expected)


def test_a_state_comes_back_with_its_types(saved: Path):
    found = checkpoints.restore(saved, 2, checkpoint(0))
    assert same(found.state, state(2))
    assert not same(found.state, state(1))
    params = found.state.params["Conv_0"]
    assert params["half"].dtype == jnp.bfloat16
    assert params["empty"].shape == (0, 3)
    assert jnp.issubdtype(found.state.key.dtype, jax.dtypes.prng_key)
    assert found.state.rate.weak_type
    assert not params["kernel"].weak_type
    assert (found.step, found.loss, found.config) == (2, 0.5, CONFIG)


def test_what_lies_beside_the_state_can_be_read_alone(saved: Path):
    facts = checkpoints.read_facts(saved, 1)
    assert facts["step"] == 1
    assert facts["config"] == CONFIG
    assert facts["key"]["data"] == [0, 7]
    assert len(facts["sha256"]) == 64


@pytest.mark.parametrize(
    "like",
    [
        Checkpoint(state(0), 0, KEY, {**CONFIG, "rate": 0.2}),
        Checkpoint(state(0), 0, jax.random.key(8), CONFIG),
        Checkpoint(state(0)._replace(rate=jnp.asarray(1)), 0, KEY, CONFIG),
        Checkpoint(state(0)._replace(rate=jnp.ones(2)), 0, KEY, CONFIG),
        Checkpoint({"other": state(0)}, 0, KEY, CONFIG),
    ],
    ids=["config", "key", "dtype", "shape", "structure"],
)
def test_another_training_is_told_apart(saved: Path, like: Checkpoint):
    with pytest.raises(Unsound, match="of another training"):
        checkpoints.restore(saved, 2, like)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def truncate(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def delete(path: Path, share: float) -> None:
    path.unlink()


DAMAGES = [
    *((flip, share) for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    *((truncate, share) for share in (0.0, 0.5, 0.99)),
    (delete, 0.0),
]


@pytest.mark.parametrize(
    ("damage", "share"), DAMAGES, ids=lambda each: getattr(each, "__name__", str(each))
)
def test_no_damaged_file_gives_a_wrong_number(
    saved: Path, tmp_path: Path, damage: Callable[[Path, float], None], share: float
):
    """Each file in turn: the state is the saved one, or the step before is taken."""
    number = len(files(saved / "2"))
    assert number > 5
    seen = set()
    for index in range(number):
        folder = tmp_path / str(index)
        for file in files(saved):
            copy = folder / file.relative_to(saved)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        damaged = files(folder / "2")[index]
        if damaged.stat().st_size or damage is delete:
            damage(damaged, share)
        warned: dict[int, str] = {}
        found = checkpoints.newest(folder, checkpoint(0), warned.__setitem__)
        assert found is not None
        assert found.step == (1 if warned else 2), damaged
        assert same(found.state, state(found.step)), damaged
        seen |= {*warned}
    assert seen == {2}


def test_orbax_alone_restores_a_flipped_bit_without_a_word(tmp_path: Path):
    """Why there is a sha256: should this fail one day, it is needed no more."""
    checkpoints.save(tmp_path, checkpoint(1))
    (data,) = [max(files(tmp_path), key=lambda path: path.stat().st_size)]
    wrong = 0
    for share in np.linspace(0.2, 0.8, 7):
        content = data.read_bytes()
        flip(data, float(share))
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            try:
                args = ocp.args.Composite(state=ocp.args.StandardRestore())
                found = checkpointer.restore(tmp_path / "1", args)["state"]
            except ValueError:
                found = None
        wrong += found is not None
        with pytest.raises(Unsound, match="damaged"):
            checkpoints.restore(tmp_path, 1, checkpoint(0))
        data.write_bytes(content)
    assert wrong


def test_a_step_that_is_there_is_written_anew(tmp_path: Path):
    """Orbax's manager would return False and write nothing."""
    checkpoints.save(tmp_path, checkpoint(1))
    flip(max(files(tmp_path), key=lambda path: path.stat().st_size), 0.5)
    checkpoints.save(tmp_path, checkpoint(1))
    found = checkpoints.restore(tmp_path, 1, checkpoint(0))
    assert same(found.state, state(1))


def test_steps_of_swapped_names_are_damaged(saved: Path, tmp_path: Path):
    (saved / "1").rename(tmp_path / "2")
    try:
        with pytest.raises(Unsound, match="damaged"):
            checkpoints.restore(tmp_path, 2, checkpoint(0))
    finally:
        (tmp_path / "2").rename(saved / "1")


def test_the_last_steps_and_the_best_are_kept(tmp_path: Path):
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: math.nan, 5: 2.0}
    for step, loss in losses.items():
        checkpoints.save(tmp_path, checkpoint(step, loss))
    (tmp_path / "6.orbax-checkpoint-tmp").mkdir()
    checkpoints.prune(tmp_path, 2)
    assert checkpoints.steps(tmp_path) == [2, 4, 5]
    assert len(list(tmp_path.iterdir())) == 3
    checkpoints.prune(tmp_path, 1, {5})
    assert checkpoints.steps(tmp_path) == [2, 4]


def test_a_half_written_step_is_no_step(saved: Path, tmp_path: Path):
    (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
    assert checkpoints.steps(tmp_path) == []
    assert checkpoints.newest(tmp_path, checkpoint(0), print) is None
    assert checkpoints.steps(tmp_path / "absent") == []


def test_a_save_that_fails_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises((OSError, ValueError)):
        checkpoints.save(tmp_path / "file", checkpoint(1))


def test_an_error_of_the_moment_does_not_call_a_step_damaged(
    saved: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ocp.Checkpointer, "restore", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        checkpoints.newest(saved, checkpoint(0), lambda *_: None)
