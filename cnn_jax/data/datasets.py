"""Named data sets as arrays.

Layout: images [N, H, W, C], C = 1; intensity 0 is background, 1 is full ink.
"""

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn_jax.data import cache, mirror, prepared, views
from cnn_jax.data.errors import DataError, first_line
from cnn_jax.data.sources import PARTS, Source, find

VIEWS = ("plain", "canvas")

_logger = logging.getLogger(__name__)


class Split(NamedTuple):
    """Images float32 [N, H, W, C] in [0, 1] and labels int32 [N], as numpy arrays."""

    images: np.ndarray
    labels: np.ndarray

    def first(self, number: int) -> "Split":
        """The first `number` examples, all where there are fewer."""
        return Split(self.images[:number], self.labels[:number])


@dataclass(frozen=True)
class Dataset:
    """A data set with its fixed test split."""

    name: str
    train: Split
    test: Split
    num_classes: int
    description: str


def load(
    name: str,
    *,
    view: str = "plain",
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    has_train: bool = True,
) -> Dataset:
    """Returns a data set; the first call decodes it, later ones read the cache.

    "digits": 1,437 training and 360 test images (36 of each digit) of scikit-learn's
    digits. "mnist": 60,000 and 10,000, read from `data_dir` or else downloaded.

    Args:
      name: one of `names()`.
      view: "plain" (8 × 8, 28 × 28), or "canvas": digits enlarged to 20 × 20 in the
        middle of 32 × 32, mnist in the middle of 40 × 40; the margin is 0.
      data_dir: a directory of data sets that tensorflow-datasets prepared as
        array_record; where it is given, data is read from there and nowhere else.
      cache_dir: in place of the default cache directory.
      has_train: False for who streams the training images, see `stream`: none of them
        is read, and `train` holds 0 images.

    Raises:
      DataError: unknown name; data that is absent, corrupt or out of reach.
      ValueError: unknown view.
    """
    source = find(name)
    check_view(view)
    key = f"{source.name}-{source.version}"
    if data_dir is None:
        compute = functools.partial(_prepare, source)
    else:
        parts = PARTS if has_train else ("test",)
        folder = prepared.require(Path(data_dir).expanduser(), source)
        key = f"{key}-{prepared.fingerprint(folder)}" + "-test" * (not has_train)

        def compute(root: Path) -> cache.Arrays:
            del root
            return prepared.read(folder, source, parts)

    arrays = cache.fetch(key, compute, cache_dir)
    if not has_train:
        empty = np.empty((0, source.edge, source.edge, 1), np.uint8)
        arrays = {**arrays, "train_images": empty, "train_labels": empty[:, 0, 0, 0]}
    train, test = (
        seen(arrays[f"{part}_images"], arrays[f"{part}_labels"], source, view)
        for part in PARTS
    )
    return Dataset(name, train, test, source.num_classes, source.description)


def prepared_folder(
    source: Source,
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Where a source lies prepared: below `data_dir`, or else in the cache.

    Raises:
      DataError: it is not there and cannot be brought there.
    """
    if data_dir is not None:
        return prepared.require(Path(data_dir).expanduser(), source)
    root = cache.directory(cache_dir)
    folder = prepared.location(root / "tfds", source)
    if prepared.is_prepared(folder):
        return folder
    try:
        with cache.locked(root, f"{source.name}-{source.version}"):
            if not prepared.is_prepared(folder):  # another process may have been first
                _fill(source, root)
    except OSError as error:
        raise DataError(
            f"{source.name}: it cannot be prepared in {root} ({first_line(error)}); "
            "CNN_JAX_CACHE=DIR names another directory"
        ) from error
    return folder


def check_view(view: str) -> None:
    """Raises ValueError where there is no such view."""
    if view not in VIEWS:
        raise ValueError(f'expected view "plain" or "canvas", got "{view}"')


def seen(images: np.ndarray, labels: np.ndarray, source: Source, view: str) -> Split:
    """What was decoded, uint8 [N, edge, edge, 1] and [N], as a view shows it."""
    labels = labels.astype(np.int32)
    if view == "plain":
        return Split(views.plain(images, source.white), labels)
    return Split(views.canvas(images, source.white, *source.canvas), labels)


def _prepare(source: Source, root: Path) -> cache.Arrays:
    """Arrays of a source from `root`/tfds, which is filled where it is empty."""
    folder = prepared.location(root / "tfds", source)
    if prepared.is_prepared(folder):
        try:
            return prepared.read(folder, source)
        except DataError as error:
            _logger.warning("%s; it is prepared again", error)
    return prepared.read(_fill(source, root), source)


def _fill(source: Source, root: Path) -> Path:
    """Prepares a source in `root`/tfds."""
    data_dir = root / "tfds"
    if source.name == "mnist":
        _require_mirror(prepared.location(data_dir, source))
    from cnn_jax.data import builders

    return builders.prepare(source, data_dir)


def _require_mirror(folder: Path) -> None:
    reason = mirror.unreachable()
    if reason:
        raise DataError(
            f"mnist: it is not in {folder}, and {mirror.host()} cannot be reached "
            f"({reason}); name a prepared directory with --data_dir=DIR, or use the "
            "bundled --data=digits"
        )
    _logger.info("downloading MNIST from %s", mirror.host())
