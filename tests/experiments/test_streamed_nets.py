"""Nets that learn from a stream: the bits of those that hold all images."""

import dataclasses
import functools
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

# An epoch has 22 steps, so chunks of 50 begin within one.
SHARED = {"steps": 130, "batch": 64, "max_shift": 1}


class Linear(nn.Module):
    """A net that compiles at once."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(10)(images.reshape(len(images), -1)), {}


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that compiles at once, and once."""
    monkeypatch.setattr(nets, "MODELS", {"max": Linear()})
    monkeypatch.setattr(nets, "_compiled", functools.cache(nets._compiled))


def quiet(*_: Any, **__: Any) -> None:
    pass


def trained(
    stream: int | None,
    checkpoints: Checkpoints | None = None,
    log: Callable[..., None] = quiet,
) -> Any:
    """Params and predictions."""
    lab = Lab("digits", None, log, quiet, None, checkpoints, stream=stream)
    data = lab.data(view="canvas")
    assert len(data.train.labels) == (1437 if stream is None else 0)
    data = dataclasses.replace(data, test=data.test.first(20))
    (arm,) = nets.train_arms(keys(0, 2), lab, data, ("max+aug",), **SHARED)
    return arm.params, arm.predictions


def test_an_interrupted_training_on_a_stream_gives_the_bits_of_one_in_memory(
    tmp_path: Path,
):
    begun: list[int] = []
    found: Any = None

    def interrupts(event: str, **told: Any) -> None:
        if event == "chunk":
            begun.append(told["chunk"])
            stop.number = signal.SIGINT if begun == [1, 2] else None

    for _ in range(2):
        checkpoints = Checkpoints(tmp_path, {}, jax.random.key(0), 0, quiet, quiet)
        try:
            found = trained(0, checkpoints, interrupts)
        except KeyboardInterrupt:
            assert begun == [1, 2]
        finally:
            stop.number = None
            checkpoints.close()
    assert begun == [1, 2, 3]
    for mine, other in zip(*map(jax.tree.leaves, (found, trained(None))), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert np.any(found[0]["Dense_0"]["kernel"][0] != found[0]["Dense_0"]["kernel"][1])
