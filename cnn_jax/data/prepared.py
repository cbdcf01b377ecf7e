"""Reading a directory that tensorflow-datasets prepared, without TensorFlow.

The layout is DATA_DIR/NAME/VERSION with dataset_info.json, features.json and one or
more array_record files per split.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cnn_jax.data.cache import Arrays
from cnn_jax.data.errors import DataError, first_line
from cnn_jax.data.records import Records
from cnn_jax.data.sources import PARTS, Source

INFO = "dataset_info.json"
FEATURES = "features.json"
LISTED = 8


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
    info, _ = (_json(source, folder / name) for name in (INFO, FEATURES))
    file_format = info.get("fileFormat")
    if file_format != "array_record":
        raise DataError(
            f"{source.name}: {folder} holds {file_format or 'tfrecord'} files, which "
            'need TensorFlow; prepare it with file_format="array_record"'
        )
    return folder


def _json(source: Source, path: Path) -> dict[str, Any]:
    """What a file describes; the reader would not name the one that is damaged."""
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it is no object of JSON")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{source.name}: {path} cannot be read ({first_line(error)})"
        ) from error
    return content


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


def read(folder: Path, source: Source, parts: Iterable[str] = PARTS) -> Arrays:
    """Decodes splits of a prepared directory.

    Returns:
      for each of the parts, such as "train": train_images uint8 [N, edge, edge, 1] and
      train_labels uint8 [N], in the order of the records.

    Raises:
      DataError: a file is missing or corrupt, or holds something else.
    """
    arrays = {}
    for part in parts:
        records = Records(folder, source, part)
        images, labels = records.read(range(len(records)))
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    return arrays
