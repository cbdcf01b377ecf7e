"""Nets that were moved as they might have been, without training any."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from cnn_jax.data import Split
from experiments.harness.training import Trained
from experiments.pooling_robustness.moving import Moved
from experiments.pooling_robustness.moving_images import CIRCLES, MOTIONS
from experiments.pooling_robustness.moving_nets import ARMS

SEEDS, IMAGES = 5, 200
LABELS = np.arange(IMAGES, dtype=np.int32) % 10
CONFIG = SimpleNamespace(arms="all", steps=4, num_train=60, num_test=20)
CHANGES = {"max": 0.1}  # of the logits by any motion, where it is not 0.2


def split(size: int = 80, width: int = 32) -> Split:
    """Images whose ink lies in the inner 20x20 pixels."""
    draw = np.random.default_rng(0)
    images = np.zeros((size, width, width, 1), np.float32)
    low = (width - 20) // 2
    inside = slice(low, low + 20)
    images[:, inside, inside] = draw.random((size, 20, 20, 1))
    return Split(images, np.arange(size, dtype=np.int32) % 10)


class Data:
    """A lab that gives one split as training and as test images."""

    def __init__(self, images: Split):
        self.images = images

    def data(self, view: str) -> Any:
        assert view == "canvas"
        return SimpleNamespace(train=self.images, test=self.images)


def logits_of(classes: np.ndarray, change: float = 0.0) -> np.ndarray:
    """Logits whose largest is that of the classes; all but the first row differ."""
    logits = 4.0 * np.eye(10, dtype=np.float32)[classes]
    logits[:, 1:] += np.float32(change)
    return logits


def wrong_on(percent: float, row: int) -> np.ndarray:
    """About so many percent of the images, others in every row."""
    count = round(percent * IMAGES / 100) + row % 2
    wrong = np.zeros(IMAGES, bool)
    wrong[np.random.default_rng(row).permutation(IMAGES)[:count]] = True
    return wrong


def net(
    error: float = 4.0,
    lost: dict[str, float] | None = None,
    change: float = 0.2,
    fluctuation: float = 0.3,
    kinds: dict[str, slice] = MOTIONS,
) -> Moved:
    """A net with so many percent of errors that loses so many points by each kind."""
    total = max(kind.stop for kind in kinds.values())
    classes = np.empty((SEEDS, total, IMAGES), np.int64)
    for seed in range(SEEDS):
        still = wrong_on(error, seed)
        for kind, where in kinds.items():
            for place in range(where.start, where.stop):
                extra = wrong_on((lost or {}).get(kind, 0.0), 100 + seed + 2 * place)
                wrong = still | extra if kind in (lost or {}) else still
                classes[seed, place] = (LABELS + wrong) % 10
    sizes = 1 + fluctuation * np.where(np.arange(IMAGES) % 2, 1, -1)
    history = np.full((SEEDS, 2, 3), 0.1)
    found = Trained(
        {"layer": np.zeros((SEEDS, 7))},
        np.zeros(SEEDS, bool),
        classes[:, 0] != LABELS,
        history,
    )
    sizes = np.broadcast_to(sizes, (SEEDS, 2, IMAGES))
    return Moved(found, logits_of(classes, change), sizes, LABELS)


# What each arm loses by moving, in points.
LOST = {
    "max": {"2px": 20.0, "scale": 10.0, "rotation": 12.0},
    "strided": {"2px": 30.0, "scale": 22.0, "rotation": 26.0},
    "average": {"2px": 24.0, "scale": 12.0, "rotation": 14.0},
    "blur": {"2px": 15.0, "scale": 9.0, "rotation": 11.0},
    "polyphase": {"2px": 18.0, "scale": 9.0, "rotation": 11.0},
    "none": {"2px": 40.0, "scale": 25.0, "rotation": 25.0},
    "dense-max": {"2px": 25.0, "scale": 15.0, "rotation": 15.0},
}


def found(**changed: Moved) -> dict[str, Any]:
    """What all functions of `measurements` might have returned together.

    Args:
      **changed: nets in place of the usual ones, `_` for `-` in the names.
    """
    nets = {
        arm: net(lost=LOST.get(arm), change=CHANGES.get(arm, 0.2))
        for arm in ARMS
        if arm != "circular"
    }
    for arm in ("max-normalized", "average-normalized"):
        nets[arm] = net(error=1.0, fluctuation=1e-4)
    nets["circular"] = net(lost={"half": 8.0}, kinds=CIRCLES)
    nets |= {name.replace("_", "-"): each for name, each in changed.items()}
    return {
        **{f"moving/{arm}": each for arm, each in nets.items()},
        "twin-is-subsampling": np.full(SEEDS, 3e-7),
        "ink-outside": np.zeros(1),
    }
