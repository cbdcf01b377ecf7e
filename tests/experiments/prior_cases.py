"""Trained nets of the strong prior as they might be, without training any."""

from typing import Any

import numpy as np

from cnn_jax.data import Split
from experiments.harness.claims import Grid
from experiments.harness.training import Trained
from experiments.strong_prior.tasks import Task
from experiments.strong_prior.trainings import DESIGNS

SEEDS, IMAGES = 5, 200


def task(num_classes: int = 4, width: int = 24) -> Task:
    draw = np.random.default_rng(0)
    labels = (np.arange(IMAGES) % num_classes).astype(np.int32)
    images = draw.random((IMAGES, width, width, 1)).astype(np.float32)
    split = Split(images, labels)
    return Task(split, split, num_classes)


def trained(
    errors: list[float],
    seeds: int = SEEDS,
    train_error: float = 1.0,
    reached: tuple[bool, ...] | None = None,
) -> Trained:
    """Nets that are wrong on about so many percent of the images, run by run."""
    runs = len(errors) * seeds
    wrong = np.zeros((runs, IMAGES), bool)
    for number, percent in enumerate(np.repeat(errors, seeds)):
        count = round(percent * IMAGES / 100) + number % 2
        wrong[number, np.random.default_rng(number).permutation(IMAGES)[:count]] = True
    history = np.full((runs, 3, 3), np.nan)
    for look in range(2):
        history[:, look] = np.stack(
            [
                np.full(runs, 0.5 / (look + 1)),
                np.full(runs, train_error),
                100 * wrong.mean(1),
            ],
            1,
        )
    stopped = np.ones(runs, bool) if reached is None else np.asarray(reached)
    return Trained({"layer": np.zeros((runs, 7))}, stopped, wrong, history)


def nets(name: str, conv: list[float], dense: list[float]) -> dict[str, Trained]:
    """Errors by pixels, the same for every size of the training set."""
    sizes = len(DESIGNS[name].sizes)
    return {"conv": trained(conv * sizes), "dense": trained(dense * sizes)}


def laws(dense: float, conv: float) -> dict[str, Any]:
    """Metrics of the trajectories."""

    axes = {"what": ("params", "logits"), "step": (1, 2, 3)}
    return {
        "trajectories/dense": Grid(np.full((2, 2, 3), dense), axes),
        "trajectories/conv": Grid(np.full((2, 2, 3), conv), axes),
        "trajectories-end/conv": np.full((2, 2), conv),
    }
