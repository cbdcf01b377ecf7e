"""The images of the tasks: digits in a field, coarse outlines, and filtered pictures.

Outlines are what is left of a picture after it was shrunk: each halving is a level of a
Gaussian pyramid, taken from the picture as it was recorded (8x8, mnist 28x28), because
digits enlarged to 20x20 have no details that half of 20 pixels would lose. The picture
first gets the margin that its canvas leaves (12x12, mnist 40x40), so that a small one
fades into the ground: cut off at its frame it would have edges that no digit has.

Shape letters: N images, H and W their edges.

Reference: Burt and Adelson, The Laplacian pyramid as a compact image code, 1983.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from cnn_jax.data import Dataset, Split, views
from cnn_jax.data.sources import Source, find
from experiments.strong_prior.tasks import Task, fields

KERNEL = np.asarray((1, 3, 3, 1))  # of the pyramid, even: pixels are areas
PRECISION = 16  # steps of intensity that the pyramid has for one of the picture
SCALES = (1, 2, 4)  # by which pictures are shrunk
CUTOFFS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # cycles per picture
KEPT = ("low", "high")  # frequencies
MNIST_ROOM = 26  # pixels that a field is wider than its digit of 14


class Outlines(NamedTuple):
    """What the nets of the outlines learn and are tested on.

    train: canvases by scale. test: canvases of the same test pictures under every view
    of `VIEWS`, one view after the other.
    """

    train: dict[int, Split]
    test: Split


# How test pictures are shown: shrunk by a scale, or with frequencies left out.
VIEWS: tuple[tuple[str, float], ...] = (
    *(("shrunk", scale) for scale in SCALES),
    *((kept, cutoff) for kept in KEPT for cutoff in CUTOFFS),
)


def first(data: Dataset, num_train: int, num_test: int) -> Dataset:
    """The first images of each split, all where there are fewer."""
    train, test = data.train.first(num_train), data.test.first(num_test)
    return dataclasses.replace(data, train=train, test=test)


def field_tasks(data: Dataset, num_train: int, num_test: int) -> dict[str, Task]:
    """Which digit lies in a field ("field"), and in which of 3x3 cells ("location").

    A field is about three times as wide as its digit, so that no cell holds most of
    them: 24 pixels for digits of 8, 40 for mnist, which is shrunk to 14.
    """
    few = first(data, num_train, num_test)
    if data.name != "mnist":
        return fields(few)
    small = dataclasses.replace(few, train=_small(few.train), test=_small(few.test))
    return fields(small, MNIST_ROOM)


def _small(split: Split) -> Split:
    """Images of mnist one level up the pyramid, [N, 14, 14, 1] in [0, 1]."""
    white = PRECISION * find("mnist").white
    pixels = np.rint(split.images * white).astype(np.int64)
    return Split(views.plain(halved(pixels), white), split.labels)


def halved(images: np.ndarray) -> np.ndarray:
    """One level up a Gaussian pyramid, to the nearest integer.

        small[i, j] = Σ_a Σ_b w[a]·w[b]·images[2i + a - 1, 2j + b - 1],
        w = (1, 3, 3, 1)/8

    Args:
      images: integers [N, H, W, C]; beyond them all is 0. H and W are even.

    Returns:
      [N, H/2, W/2, C].
    """
    for axis in (1, 2):
        around = [(1, 1) if each == axis else (0, 0) for each in range(4)]
        padded = np.pad(images.astype(np.int64), around)
        size = images.shape[axis]
        starts = range(len(KERNEL))
        taps = [padded.take(np.arange(at, at + size, 2), axis) for at in starts]
        images = np.tensordot(KERNEL, np.stack(taps), axes=1)
    whole = KERNEL.sum() ** 2
    return (2 * images + whole) // (2 * whole)


def shrunk(split: Split, source: Source, scale: int) -> Split:
    """Pictures shrunk by a scale of SCALES and enlarged back onto a canvas.

    Args:
      split: recorded pictures [N, H, H, 1] in [0, 1].
      source: says how many steps of intensity they have, and how large canvases are.
      scale: a power of 2.

    Returns:
      Canvases float32 [N, W, W, 1].
    """
    (size, width), edge = source.canvas, source.edge
    margin = (width * edge // size - edge) // 2
    around = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    white = PRECISION * source.white
    pixels = np.pad(np.rint(split.images * white).astype(np.int64), around)
    enlarged = (edge + 2 * margin) * size // edge
    for _ in range(scale.bit_length() - 1):
        pixels = halved(pixels)
    return Split(views.canvas(pixels, white, enlarged, width), split.labels)


def filtered(images: np.ndarray, kept: str, cutoff: float, size: int) -> np.ndarray:
    """Canvases without their high or their low spatial frequencies.

        low = inverse DFT of H·DFT(images),  H(f) = exp(-(f·size/cutoff)²/2)
        high = images - low

    Args:
      images: float32 [N, W, W, C].
      kept: "low" or "high".
      cutoff: in cycles per picture; there H is e^-½.
      size: pixels of a picture on its canvas.

    Returns:
      float32 [N, W, W, C].
    """
    width = images.shape[1]
    rows, columns = np.fft.fftfreq(width), np.fft.rfftfreq(width)
    squared = np.square(rows)[:, None] + np.square(columns)[None]
    gain = np.exp(-squared * (size / cutoff) ** 2 / 2)[None, :, :, None]
    spectrum = np.fft.rfft2(images.astype(np.float64), axes=(1, 2))
    low = np.fft.irfft2(gain * spectrum, s=(width, width), axes=(1, 2))
    return (low if kept == "low" else images - low).astype(np.float32)


def seen(test: Split, source: Source, view: str, value: float) -> np.ndarray:
    """Test pictures under one of VIEWS, as canvases."""
    if view == "shrunk":
        return shrunk(test, source, int(value)).images
    whole = shrunk(test, source, 1).images
    return filtered(whole, view, value, source.canvas[0])


def outlines(data: Dataset, source: Source, num_train: int, num_test: int) -> Outlines:
    """The pictures of a data set in its own resolution, as `Outlines`."""
    few = first(data, num_train, num_test)
    return Outlines(
        {scale: shrunk(few.train, source, scale) for scale in SCALES},
        Split(
            np.concatenate([seen(few.test, source, *view) for view in VIEWS]),
            np.tile(few.test.labels, len(VIEWS)),
        ),
    )
