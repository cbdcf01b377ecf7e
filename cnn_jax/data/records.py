"""The examples of one split of a prepared directory, read by their indices.

The reader finds what is damaged within a file by its hashes, but a file that was cut at
certain places it takes for one of empty records, so each is asked for its number.
"""

import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.errors import DataError, first_line
from cnn_jax.data.sources import Source

BATCH = 1000  # records that are read at once


class Records:
    """The records of a split, in the order in which they were prepared.

    Args:
      folder: a prepared directory, NAME/VERSION.
      source: what it should hold.
      part: "train" or "test".

    Raises:
      DataError: a file is missing or corrupt, or holds something else.
    """

    def __init__(self, folder: Path, source: Source, part: str) -> None:
        import tensorflow_datasets as tfds

        self._source = source
        with _told(source, folder):
            builder = tfds.builder_from_directory(folder)
            # Images stay encoded: this file decodes them, in less time than tfds.
            decoders: Any = {"image": tfds.decode.SkipDecoding()}
            self._records: Any = builder.as_data_source(split=part, decoders=decoders)
            shards = builder.info.splits[part].file_instructions
            self._files = [(Path(each.filename), each.take) for each in shards]
        if len(self) != source.size(part):
            raise DataError(
                f"{source.name}: {folder} has {len(self)} images in {part}, expected "
                f"{source.size(part)}"
            )
        for path, expected in self._files:
            _check_size(source, path, expected)

    def __len__(self) -> int:
        return len(self._records)

    def read(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The images uint8 [N, edge, edge, 1] and labels uint8 [N] of indices [N].

        Raises:
          DataError: a file is corrupt, or holds something else.
        """
        shape = (self._source.edge, self._source.edge, 1)
        images = np.empty((len(indices), *shape), np.uint8)
        labels = np.empty(len(indices), np.uint8)
        for start in range(0, len(indices), BATCH):
            batch = indices[start : start + BATCH]
            for place, record in enumerate(self._fetch(batch), start):
                with _told(self._source, self._file(indices[place])):
                    images[place] = _checked(_pixels(record["image"]), shape)
                    labels[place] = record["label"]
        return images, labels

    def _fetch(self, indices: Sequence[int]) -> Sequence[Any]:
        """The records, by one call: five times as fast as one by one."""
        try:
            return self._records.__getitems__(indices)
        except Exception:  # one by one to find the file
            for index in indices:
                with _told(self._source, self._file(index)):
                    self._records[index]
            raise

    def _file(self, index: int) -> Path:
        """Where a record lies."""
        for path, number in self._files:
            if index < number:
                return path
            index -= number
        raise IndexError(index)


@contextmanager
def _told(source: Source, path: Path) -> Generator[None]:
    """Whatever the reader and its parts raise becomes one line that names the path.

    An ImportError as well: a damaged description makes tfds look for TensorFlow.
    """
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        raise DataError(
            f"{source.name}: {path} cannot be read ({first_line(error)})"
        ) from error


def _check_size(source: Source, path: Path, expected: int) -> None:
    from array_record.python import array_record_module

    with _told(source, path):
        reader = array_record_module.ArrayRecordReader(str(path))
        found = reader.num_records()
        reader.close()
        if found != expected:
            raise ValueError(f"it has {found} records, expected {expected}")


def _checked(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if image.shape != shape or image.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 images of shape {shape}, got {image.dtype} {image.shape}"
        )
    return image


def _pixels(image: np.ndarray | bytes) -> np.ndarray:
    """A tensor feature as it is; an image feature is a PNG file, [H, W] if gray."""
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(image)))
    return pixels[..., None] if pixels.ndim == 2 else pixels
