"""The images, what is asked of them, and the one permutation of their pixels.

A field is a canvas of 24x24 pixels with one digit of 8x8 at a random place. Asked is
which digit it is (field), or which of 3x3 cells of 8x8 pixels holds the middle of its
frame (location). Patches of photographs are to be told apart by texture; the left half
of each photograph trains, the right half tests.

Shape letters: N images, P pixels of an image.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data import Dataset, Split, views

Array = Any  # of numpy or jax

ROOM = 16  # pixels that a canvas is wider than its digit
CELLS = 3  # per axis
PLACES = {"train": 1, "test": 2}  # seeds of the places, the same in every run
TEXTURES = ("brick", "grass", "gravel")
PATCH = 32
STRIDES = {"train": 16, "test": 32}  # test patches do not overlap
PERMUTATION = 0  # the seed of the one permutation
PIXELS = ("natural", "permuted")


class Task(NamedTuple):
    """Images [N, W, W, 1] with labels [N] below num_classes."""

    train: Split
    test: Split
    num_classes: int

    @property
    def chance(self) -> float:
        """Percent of the test images that the most frequent class has."""
        return 100 * np.bincount(self.test.labels).max() / len(self.test.labels)


def fields(digits: Dataset, room: int = ROOM) -> dict[str, Task]:
    """The tasks "field" and "location": the same canvases, other labels.

    Nets have ten logits for the nine cells too, and so one program serves both.

    Args:
      digits: images [N, H, H, 1].
      room: pixels that a canvas is wider than its digit.
    """
    both: dict[str, dict[str, Split]] = {"field": {}, "location": {}}
    for part, split in (("train", digits.train), ("test", digits.test)):
        canvases, places = views.field(split.images, room, PLACES[part])
        both["field"][part] = Split(canvases, split.labels)
        cells = cells_of(places, split.images.shape[1], canvases.shape[1])
        both["location"][part] = Split(canvases, cells)
    return {
        "field": Task(**both["field"], num_classes=10),
        "location": Task(**both["location"], num_classes=10),
    }


def cells_of(places: np.ndarray, size: int, width: int) -> np.ndarray:
    """The cell of each digit's middle, row by row.

    Args:
      places: top left corners [N, 2].
      size: edge of a digit.
      width: edge of a canvas.

    Returns:
      int32 [N] in 0..8.
    """
    row, column = ((2 * places + size) * CELLS // (2 * width)).T
    return (CELLS * row + column).astype(np.int32)


def textures(photographs: Mapping[str, np.ndarray]) -> Task:
    """Patches of 32x32 pixels, less the mean gray level of all that train.

    Args:
      photographs: name -> [H, W, 1], those of TEXTURES among them.
    """
    found: dict[str, Split] = {}
    for part, stride in STRIDES.items():
        images, labels = [], []
        for label, name in enumerate(TEXTURES):
            whole = photographs[name]
            middle = whole.shape[1] // 2
            half = whole[:, :middle] if part == "train" else whole[:, middle:]
            images.append(patches(half, stride))
            labels.append(np.full(len(images[-1]), label, np.int32))
        found[part] = Split(np.concatenate(images), np.concatenate(labels))
    gray = found["train"].images.mean(dtype=np.float64).astype(np.float32)
    return Task(
        *(Split(split.images - gray, split.labels) for split in found.values()),
        num_classes=len(TEXTURES),
    )


def patches(image: np.ndarray, stride: int) -> np.ndarray:
    """Every patch [N, PATCH, PATCH, C] of an image [H, W, C], `stride` apart."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), (0, 1))
    windows = windows[::stride, ::stride].transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(windows).reshape(-1, PATCH, PATCH, image.shape[-1])


def mnist(data: Dataset, num_train: int, num_test: int) -> Task:
    """The first images of each split, as they are."""
    return Task(
        data.train.first(num_train), data.test.first(num_test), data.num_classes
    )


def pixel_orders(num_pixels: int) -> dict[str, np.ndarray]:
    """Where each pixel [P] comes from: its own place, or one that is drawn for good."""
    permuted = np.random.RandomState(PERMUTATION).permutation(num_pixels)
    return dict(zip(PIXELS, (np.arange(num_pixels), permuted), strict=True))


def rearranged(images: Array, order: Array) -> Array:
    """Images [N, H, W, C] whose pixels come from `order` [H·W]: the same for all."""
    number, height, width, channels = images.shape
    flat = images.reshape(number, height * width, channels)
    return flat[:, order].reshape(images.shape)


def adjacent_share(order: np.ndarray, width: int) -> float:
    """Share of horizontal neighbors whose pixels come from adjacent places."""
    rows, columns = np.divmod(order.reshape(width, width), width)
    far = np.abs(np.diff(rows, axis=1)) + np.abs(np.diff(columns, axis=1))
    return float((far == 1).mean())
