"""Digits in a field: one digit at a random place of an empty canvas."""

from typing import NamedTuple

from cnn_jax.data import Dataset, Split, views

ROOM = 16  # pixels that a canvas is wider than its digit: 24 for 8, 44 for 28
PLACES = {"train": 1, "test": 2}  # seeds of the places, the same in every run


class Task(NamedTuple):
    """Canvases [N, W, W, 1] with the digits' labels [N]."""

    train: Split
    test: Split


def task_of(digits: Dataset, num_train: int, num_test: int) -> Task:
    """The same canvases for every net and seed: the first images of each split."""
    return Task(
        field(digits.train.first(num_train), PLACES["train"]),
        field(digits.test.first(num_test), PLACES["test"]),
    )


def field(split: Split, seed: int) -> Split:
    """Every image once, whole, at a random place of its own canvas.

    Args:
      split: images [N, H, H, 1] and labels [N].
      seed: of the places.

    Returns:
      images [N, H + 16, H + 16, 1] and the labels.
    """
    canvases, _ = views.field(split.images, ROOM, seed)
    return Split(canvases, split.labels)
