"""The bundled digits: what they are, their split, their builder, what loading costs."""

import hashlib
import re
import tempfile
import time
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cnn_jax import data
from cnn_jax.data import bundled


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_there_are_1437_training_and_360_test_images(digits):
    assert digits.train.images.shape == (1437, 8, 8, 1)
    assert digits.test.images.shape == (360, 8, 8, 1)
    assert digits.num_classes == 10


def test_images_are_float32_from_0_to_1_and_labels_int32(digits):
    for split in (digits.train, digits.test):
        assert split.images.dtype == np.float32
        assert (split.images.min(), split.images.max()) == (0, 1)
        assert split.labels.dtype == np.int32


def test_the_test_set_holds_36_images_of_each_digit(digits):
    assert np.bincount(digits.test.labels).tolist() == [36] * 10


def test_training_and_test_images_are_scikit_learns_each_once(digits):
    from sklearn.datasets import load_digits

    known: Any = load_digits()
    train, test = bundled.digits_split(known.target)
    assert sorted([*train, *test]) == list(range(1797))
    for split, indices in ((digits.train, train), (digits.test, test)):
        assert (split.images[..., 0] * 16 == known.images[indices]).all()
        assert (split.labels == known.target[indices]).all()


def test_the_split_is_the_one_split_for_good():
    train, test = bundled.digits_split(bundled.digits()[1])
    assert test[:8].tolist() == [3, 7, 13, 19, 36, 38, 43, 48]
    assert digest(test.astype(np.int32)) == "9b1be8ed46b83fe9"
    assert digest(train.astype(np.int32)) == "62949b765ce03341"


def test_the_loaded_values_are_the_same_for_good(digits):
    assert digest(digits.test.images) == "67c84834bbf84c8f"
    assert digest(digits.train.images) == "0b6a6bbe75ff6120"


def test_the_first_of_a_split_are_images_with_their_labels(digits):
    few = digits.test.first(3)
    np.testing.assert_array_equal(few.images, digits.test.images[:3])
    np.testing.assert_array_equal(few.labels, digits.test.labels[:3])
    assert len(digits.test.first(1000).labels) == 360


def test_a_changed_scikit_learn_file_is_refused(monkeypatch):
    monkeypatch.setitem(bundled.SHA256, bundled.DIGITS, "0" * 64)
    message = (
        r"scikit-learn's \S+digits.csv.gz is not the known file \(sha256 09f66e6debde, "
        r"expected 000000000000\): install another version of scikit-learn"
    )
    with pytest.raises(data.DataError, match=f"^{message}$"):
        data.load("digits")


def test_a_missing_scikit_learn_file_is_named(monkeypatch):
    monkeypatch.setitem(bundled.SHA256, "sklearn/none.csv", "")
    with pytest.raises(data.DataError, match=r"none.csv cannot be read \(No such file"):
        bundled.content("sklearn/none.csv")


def test_a_missing_scikit_learn_is_named(monkeypatch):
    monkeypatch.setattr(bundled.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(data.DataError, match=r"^scikit-learn, which carries \S+digits"):
        data.load("digits")


def test_the_builder_leaves_a_directory_that_tfds_reads(digits, warm_dir):
    builder = tfds.builder("digits:1.0.0", data_dir=warm_dir / "tfds")
    assert builder.info.features["image"].np_dtype == np.uint8
    for name, split in (("train", digits.train), ("test", digits.test)):
        records: Any = list(builder.as_data_source(split=name))
        assert (np.stack([r["image"] for r in records]) / 16 == split.images).all()
        assert ([r["label"] for r in records] == split.labels).all()


def test_a_prepared_directory_can_be_given_as_data_dir(digits, warm_dir):
    again = data.load("digits", data_dir=warm_dir / "tfds")
    assert (again.train.images == digits.train.images).all()
    assert (again.test.labels == digits.test.labels).all()


def test_a_data_dir_without_the_digits_says_that_they_are_bundled(tmp_path):
    (tmp_path / "other").mkdir()
    message = (
        f"digits: expected {tmp_path}/digits/1.0.0/dataset_info.json, but {tmp_path} "
        "holds cache, other; the bundled digits (--data=digits) need no data_dir"
    )
    (tmp_path / "cache").mkdir()
    with pytest.raises(data.DataError, match=f"^{re.escape(message)}$"):
        data.load("digits", data_dir=tmp_path)


def test_the_first_load_needs_no_tensorflow(run_child, tmp_path):
    broken = tmp_path / "path" / "tensorflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('tensorflow was imported')")
    code = "from cnn_jax import data; print(len(data.load('digits').train.labels))"
    assert run_child(code, PYTHONPATH=str(broken.parent)).strip() == "1437"


def test_preparing_leaves_nothing_in_the_temporary_directory(monkeypatch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    data.load("digits")
    assert list(folder.iterdir()) == []


def test_a_later_load_imports_nothing_heavy(run_child, warm_dir):
    code = """
from cnn_jax import data
data.load("digits", view="canvas")
heavy = "jax tensorflow tensorflow_datasets sklearn scipy PIL absl filelock"
print([name for name in heavy.split() if name in sys.modules])
"""
    assert run_child(code, CNN_JAX_CACHE=str(warm_dir)).strip() == "[]"


def test_a_later_load_takes_milliseconds(warm_dir):
    def seconds() -> float:
        start = time.perf_counter()
        data.load("digits", cache_dir=warm_dir)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.03
