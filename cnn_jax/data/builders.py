"""Builders that prepare data for tensorflow-datasets without TensorFlow.

The packaged builders need it to unpack gzip and to encode images; these unpack with
the standard library and store images as plain tensors.
"""

import contextlib
import errno
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cnn_jax.data import bundled, mirror, prepared
from cnn_jax.data.errors import DataError, first_line
from cnn_jax.data.sources import SOURCES, Source


class _Info(tfds.core.DatasetInfo):
    """What is known of a data set comes from here, not from tfds's storage."""

    def initialize_from_bucket(self) -> None:
        # tfds would leave an empty directory behind for each builder it makes.
        pass


class _Images(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images and labels in the order of their source."""

    def _info(self) -> tfds.core.DatasetInfo:
        source = SOURCES[self.name]
        shape = (source.edge, source.edge, 1)
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Tensor(shape=shape, dtype=np.uint8),
                "label": tfds.features.ClassLabel(num_classes=source.num_classes),
            }
        )
        return _Info(
            builder=self,
            description=source.description,
            features=features,
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield index, {"image": image, "label": int(label)}


class Digits(_Images, skip_registration=True):
    """scikit-learn's digits with the fixed stratified split."""

    VERSION = tfds.core.Version(SOURCES["digits"].version)

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Any]:
        del dl_manager
        images, labels = bundled.digits()
        train, test = bundled.digits_split(labels)
        return {
            "train": self._generate_examples(images[train], labels[train]),
            "test": self._generate_examples(images[test], labels[test]),
        }


class Mnist(_Images, skip_registration=True):
    """MNIST from its mirror, every file known by its sha256."""

    VERSION = tfds.core.Version(SOURCES["mnist"].version)

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Any]:
        urls = {name: mirror.URL + name for name in mirror.SHA256}
        paths: Any = dl_manager.download(urls)  # the same keys, local files

        def generate(part: str) -> Iterator[tuple[int, dict[str, Any]]]:
            images, labels = (
                f"{part}-images-idx3-ubyte.gz",
                f"{part}-labels-idx1-ubyte.gz",
            )
            return self._generate_examples(
                mirror.images(Path(paths[images]), images),
                mirror.labels(Path(paths[labels]), labels),
            )

        return {"train": generate("train"), "test": generate("t10k")}


BUILDERS = {"digits": Digits, "mnist": Mnist}


def prepare(source: Source, data_dir: Path) -> Path:
    """Prepares a source below `data_dir`; whole, or not at all.

    The caller holds the cache's lock: what an earlier, killed preparation left behind
    is removed.

    Raises:
      DataError: the source could not be read, or fetched, or is not the known one.
    """
    folder = prepared.location(data_dir, source)
    for leftover in (folder, *folder.parent.glob("incomplete.*")):
        shutil.rmtree(leftover, ignore_errors=True)
    downloads = data_dir / "downloads"
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder = BUILDERS[source.name](data_dir=data_dir, file_format="array_record")
    unseen = io.StringIO()  # tfds talks to stdout and draws bars on stderr
    try:
        with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the builder raises whatever its parts raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise DataError(
            f"{source.name}: cannot be prepared in {data_dir} ({first_line(error)})"
        ) from error
    finally:
        shutil.rmtree(downloads, ignore_errors=True)
    return folder
