"""Reading a directory that tensorflow-datasets prepared, without TensorFlow.

The layout is DATA_DIR/NAME/VERSION with dataset_info.json, features.json and one or
more array_record files per split.
"""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.cache import Arrays
from cnn_jax.data.errors import DataError, first_line
from cnn_jax.data.sources import Source

INFO = "dataset_info.json"
LISTED = 8
BATCH = 1000


def location(data_dir: Path, source: Source) -> Path:
    """Where a source lies in a directory of data sets."""
    return data_dir / source.name / source.version


def is_prepared(folder: Path) -> bool:
    """Whether a data set is there whole: the builder writes this file last."""
    return os.path.isfile(folder / INFO)


def require(data_dir: Path, source: Source) -> Path:
    """The location of a source in a directory that the user named.

    Raises:
      DataError: it is not there; says what was expected and what was found.
    """
    folder = location(data_dir, source)
    if not is_prepared(folder):
        hint = "; the bundled digits (--data=digits) need no data_dir"
        raise DataError(
            f"{source.name}: expected {folder / INFO}, {_found(data_dir, folder)}{hint}"
        )
    try:
        file_format = json.loads((folder / INFO).read_text()).get("fileFormat")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{source.name}: {folder / INFO} cannot be read ({first_line(error)})"
        ) from error
    if file_format != "array_record":
        raise DataError(
            f"{source.name}: {folder} holds {file_format or 'tfrecord'} files, which "
            'need TensorFlow; prepare it with file_format="array_record"'
        )
    return folder


def _found(data_dir: Path, folder: Path) -> str:
    for place in (folder, folder.parent, data_dir):
        if os.path.isdir(place):
            try:
                entries = sorted(os.listdir(place))
            except OSError as error:
                return f"but {place} cannot be listed ({error.strerror})"
            more = ", ..." * (len(entries) > LISTED)
            return f"but {place} holds {', '.join(entries[:LISTED]) or 'nothing'}{more}"
    return f"but {data_dir} is not a directory"


def fingerprint(folder: Path) -> str:
    """Changes when a file of a prepared directory does (path, name, size or time)."""
    digest = hashlib.sha256(str(folder.resolve()).encode())
    for path in sorted(folder.iterdir()):
        stat = path.stat()
        digest.update(f"\n{path.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def read(folder: Path, source: Source) -> Arrays:
    """Decodes the splits "train" and "test" of a prepared directory.

    Returns:
      train_images, test_images uint8 [N, edge, edge, 1]; train_labels, test_labels
      uint8 [N]; in the order of the records.

    Raises:
      DataError: a file is missing or corrupt, or holds something else.
    """
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(folder)
        # Images stay encoded: this file decodes them, in less time than tfds.
        decoders: Any = {"image": tfds.decode.SkipDecoding()}
        train = builder.as_data_source(split="train", decoders=decoders)
        test = builder.as_data_source(split="test", decoders=decoders)
        sizes = {"train": len(train), "test": len(test)}
        expected = {"train": source.num_train, "test": source.num_test}
        if sizes != expected:
            raise DataError(
                f"{source.name}: {folder} has {sizes} images, expected {expected}"
            )
        return _decode("train", train, source) | _decode("test", test, source)
    except (DataError, ImportError, MemoryError):
        raise
    except Exception as error:  # the reader raises whatever its parts raise
        raise DataError(
            f"{source.name}: {folder} cannot be read ({first_line(error)})"
        ) from error


def _decode(split: str, records: Any, source: Source) -> Arrays:
    shape = (source.edge, source.edge, 1)
    images = np.empty((len(records), *shape), np.uint8)
    labels = np.empty(len(records), np.uint8)
    for start in range(0, len(records), BATCH):
        batch = range(start, min(start + BATCH, len(records)))
        # One call for many records is five times as fast as iterating over them.
        for index, record in zip(batch, records.__getitems__(batch), strict=True):
            image = _pixels(record["image"])
            if image.shape != shape or image.dtype != np.uint8:
                raise DataError(
                    f"{source.name}: expected uint8 images of shape {shape}, got "
                    f"{image.dtype} {image.shape}"
                )
            images[index], labels[index] = image, record["label"]
    return {f"{split}_images": images, f"{split}_labels": labels}


def _pixels(image: np.ndarray | bytes) -> np.ndarray:
    """A tensor feature as it is; an image feature is a PNG file, [H, W] if gray."""
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(image)))
    return pixels[..., None] if pixels.ndim == 2 else pixels
