"""The test images, moved in every way that is judged.

    1px, 2px   all shifts of max-norm exactly 1 (8) or 2 (16) pixels, zero fill
    scale      1.5 times as large, about the center of the canvas
    rotation   turned by 30 degrees to either side

Scaling and turning interpolate linearly between pixels. The circular net is asked about
circular shifts by whole pixels, of max-norm 1 and 2, which are all phases of its grids
of 4x4 pixels, and by half a pixel along either axis and both: T½x and Px, with P the
removal of the Nyquist frequency that T½ cannot move.

Shape letters: S motions, N images.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.data import Split
from cnn_jax.instruments import (
    band_limit,
    fourier_shift,
    rescale,
    roll,
    rotate,
    shift_grid,
    slide,
)
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab

FACTOR = 1.5
ANGLES = (30.0, -30.0)  # degrees
HALVES = ((0.5, 0.0), (0.0, 0.5), (0.5, 0.5))
LARGEST = 2  # pixels


class Task(NamedTuple):
    """Images [N, W, W, 1] in the middle of a canvas, with labels [N] below ten."""

    train: Split
    test: Split


SHIFTS = shift_grid(LARGEST)


def _kinds(**counts: int) -> dict[str, slice]:
    ends = np.cumsum([0, *counts.values()])
    return {
        name: slice(int(low), int(high))
        for name, low, high in zip(counts, ends[:-1], ends[1:], strict=True)
    }


# One, eight and sixteen shifts, in this order.
_SHIFTED = dict(
    zip(("still", "1px", "2px"), np.bincount(np.abs(SHIFTS).max(1)), strict=True)
)
# Where the motions of each kind lie among all of `moved`, and of `circled`.
MOTIONS = _kinds(**_SHIFTED, scale=1, rotation=len(ANGLES))
CIRCLES = _kinds(still=1, whole=len(SHIFTS) - 1, limited=1, half=len(HALVES))


def task_of(lab: Lab, num_train: int, num_test: int) -> Task:
    """The first images of each split, on a canvas that leaves room for moving.

    Args:
      lab: gives the run's data: digits of 20x20 pixels in 32x32, mnist in 40x40.
      num_train: at most.
      num_test: at most.
    """
    data = lab.data(view="canvas")
    return Task(data.train.first(num_train), data.test.first(num_test))


@brief
def moved(images: Array) -> Array:
    """Images [N, W, W, 1] under all of MOTIONS, [S, N, W, W, 1]."""
    slid = jax.lax.map(lambda shift: slide(images, shift), jnp.asarray(SHIFTS))
    turned = jax.lax.map(lambda angle: rotate(images, angle), jnp.asarray(ANGLES))
    return jnp.concatenate([slid, rescale(images, FACTOR)[None], turned])


@brief
def circled(images: Array) -> Array:
    """Images [N, W, W, 1] under all of CIRCLES, [S, N, W, W, 1]."""
    rolled = jax.lax.map(lambda shift: roll(images, shift), jnp.asarray(SHIFTS))
    limited = band_limit(images)
    half = [fourier_shift(limited, shift) for shift in HALVES]
    return jnp.concatenate([rolled, jnp.stack([limited, *half])])


def ink_outside(images: np.ndarray) -> np.ndarray:
    """Of each image, the share of ink that lies outside the frame once enlarged, [N].

    Pixels further from the center than (W - 1)/2 / FACTOR are not seen any more.
    """
    width = images.shape[1]
    far = np.abs(np.arange(width) - (width - 1) / 2) > (width - 1) / 2 / FACTOR
    lost = far[:, None] | far[None]
    ink = images[..., 0].astype(np.float64)
    return (ink * lost).sum((1, 2)) / ink.sum((1, 2))
