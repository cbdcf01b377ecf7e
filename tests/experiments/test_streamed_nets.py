"""Nets that learn from a stream: the bits of those that hold all images."""

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from experiments.equivariance import nets
from experiments.harness.kept import Checkpoints
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.signals import stop

pytest.importorskip("grain", reason="grain, of the extra stream, is not installed")

ARMS = ("max", "max+aug")
SHARED = {"steps": 130, "batch": 64, "max_shift": 1}  # of 22 steps an epoch


class Small(nn.Module):
    """A net that compiles at once."""

    @nn.compact
    def __call__(self, images):
        maps = nn.relu(nn.Conv(2, (5, 5), (4, 4))(images))
        return nn.Dense(10)(maps.reshape(len(maps), -1)), {}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nets, "MODELS", {"max": Small()})


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], Checkpoints]:
    """Every chunk is kept."""

    def quiet(*_: Any, **__: Any) -> None:
        pass

    def open_again() -> Checkpoints:
        return Checkpoints(tmp_path, {}, jax.random.key(0), 0, quiet, quiet)

    return open_again


def trained(stream: int | None, checkpoints: Any = None, log: Any = None) -> Any:
    """Params and predictions of every arm."""
    log = log or (lambda *_, **__: None)
    lab = Lab("digits", None, log, lambda *_: None, None, checkpoints, stream)
    data = lab.data(view="canvas")
    assert len(data.train.labels) == (1437 if stream is None else 0)
    data = dataclasses.replace(data, test=data.test.first(20))
    found = nets.train_arms(keys(0, 2), lab, data, ARMS, **SHARED)
    return [(arm.params, arm.predictions) for arm in found]


def assert_same_bits(found: Any, expected: Any) -> None:
    for mine, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.fixture(scope="module")
def in_memory() -> list[Any]:
    """Filled by the first test that asks for it."""
    return []


@pytest.fixture
def expected(in_memory: list[Any]) -> Any:
    if not in_memory:
        in_memory.extend(trained(None))
    return in_memory


def test_a_stream_gives_the_bits_of_a_training_that_holds_all_images(expected):
    assert_same_bits(trained(0), expected)
    first, second = (params for params, _ in expected)
    kernels = [each["Dense_0"]["kernel"] for each in (first, second)]
    assert np.any(kernels[0] != kernels[1])  # the arms differ, and so could the rest


@pytest.mark.parametrize("again", [0, None], ids=["stream", "memory"])
def test_what_was_interrupted_goes_on_to_the_same_bits(kept, expected, again):
    def log(event: str, **told: Any) -> None:
        if (event, told.get("label"), told.get("chunk")) == ("chunk", "max+aug", 2):
            stop.number = signal.SIGINT

    checkpoints = kept()
    try:
        with pytest.raises(KeyboardInterrupt):
            trained(0, checkpoints, log)
    finally:
        stop.number = None
        checkpoints.close()
    chunks: list[tuple[str, int]] = []

    def count(event: str, **told: Any) -> None:
        if event == "chunk":
            chunks.append((told["label"], told["chunk"]))

    checkpoints = kept()
    assert_same_bits(trained(again, checkpoints, count), expected)
    checkpoints.close()
    assert chunks == [("max+aug", 3)]
