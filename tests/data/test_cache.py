"""The cache: whole files or none, one process at a time, never wrong arrays."""

import logging
import threading
import time

import filelock
import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import cache, datasets, prepared, sources

LABELS = {"labels": np.arange(5)}


def compute(root):
    del root
    return LABELS


def refuse(root):
    raise AssertionError(f"computed anew in {root}")


def test_what_was_computed_is_read_the_second_time(cache_dir):
    first = cache.fetch("numbers", compute)
    second = cache.fetch("numbers", refuse)
    assert (first["labels"] == second["labels"]).all()
    assert (cache_dir / "numbers" / "arrays.npz").is_file()


@pytest.mark.parametrize("file", ["arrays.npz", "arrays.sha256"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_a_damaged_file_is_noticed_and_made_anew(cache_dir, file, damage):
    cache.fetch("numbers", compute)
    path = cache_dir / "numbers" / file
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    damaged = {
        "flip": content[:middle] + flipped + content[middle + 1 :],
        "cut": content[:middle],
        "empty": b"",
    }
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(damaged[damage])
    with pytest.raises(AssertionError, match="computed anew"):
        cache.fetch("numbers", refuse)
    cache.fetch("numbers", compute)
    assert (cache.fetch("numbers", refuse)["labels"] == LABELS["labels"]).all()


def test_a_write_that_was_cut_short_leaves_the_old_file(cache_dir, monkeypatch):
    cache.fetch("numbers", compute)

    def die(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        cache._write(cache_dir / "numbers", {"labels": np.zeros(3)})
    assert (cache.fetch("numbers", refuse)["labels"] == LABELS["labels"]).all()


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    loaded = data.load("digits", cache_dir=blocked / "cache")
    assert len(loaded.test.labels) == 360
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    message = caplog.records[0].getMessage()
    assert message.startswith(
        f"the data cache {blocked}/cache cannot be written (Not a"
    )
    assert message.endswith("CNN_JAX_CACHE=DIR names another directory")


def test_a_full_disk_costs_a_warning(monkeypatch, caplog):
    def full(folder, arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    assert (cache.fetch("numbers", compute)["labels"] == LABELS["labels"]).all()
    assert "cannot be written (No space left on device)" in caplog.text


def test_arrays_of_another_version_are_not_read(monkeypatch, cache_dir, alter):
    data.load("digits")
    assert (cache_dir / "digits-1.0.0").is_dir()
    alter("digits", version="9.9.9")
    monkeypatch.setattr(datasets, "_prepare", lambda source, root: refuse(root))
    with pytest.raises(AssertionError, match="computed anew"):
        data.load("digits")


def test_two_processes_prepare_a_data_set_once(start_child):
    code = """
import time
from cnn_jax import data
from cnn_jax.data import datasets
prepare = datasets._prepare
def slow(source, root):
    print("prepared", flush=True)
    time.sleep(0.5)
    return prepare(source, root)
datasets._prepare = slow
print(data.load("digits").train.labels.sum(), flush=True)
"""
    children = [start_child(code) for _ in range(2)]
    printed = [child.communicate(timeout=60)[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0], printed
    assert sorted(map(len, printed)) == [1, 2], printed
    assert printed[0][-1] == printed[1][-1]


def test_threads_wait_for_each_other():
    runs = []

    def slow(root):
        runs.append(root)
        time.sleep(0.2)
        return LABELS

    threads = [
        threading.Thread(target=cache.fetch, args=("numbers", slow)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1


def test_a_lock_that_is_never_released_is_named(cache_dir, monkeypatch):
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.1)
    cache_dir.mkdir()
    path = cache_dir / "numbers.lock"
    message = rf"another process has been preparing numbers for 0.1 s \(it holds {path}"
    with filelock.FileLock(path), pytest.raises(data.DataError, match=message):
        cache.fetch("numbers", compute)


def test_a_killed_preparation_is_done_again(start_child, cache_dir):
    code = """
import os, signal
from cnn_jax import data
from cnn_jax.data import builders
def generate(self, images, labels):
    yield 0, {"image": images[0], "label": 0}
    os.kill(os.getpid(), signal.SIGKILL)
builders.Digits._generate_examples = generate
data.load("digits")
"""
    child = start_child(code)
    child.communicate(timeout=60)
    assert child.returncode == -9
    folder = cache_dir / "tfds" / "digits"
    assert [path.name[:10] for path in folder.iterdir()] == ["incomplete"]
    assert len(data.load("digits").train.labels) == 1437
    assert [path.name for path in folder.iterdir()] == ["1.0.0"]


def test_a_damaged_prepared_directory_in_the_cache_is_prepared_again(
    cache_dir, digits, caplog
):
    data.load("digits")
    (cache_dir / "digits-1.0.0" / "arrays.npz").unlink()
    source = sources.SOURCES["digits"]
    folder = prepared.location(cache_dir / "tfds", source)
    next(folder.glob("*train*")).write_bytes(bytes(70_000))
    assert (data.load("digits").train.images == digits.train.images).all()
    assert "cannot be read" in caplog.text
    assert "it is prepared again" in caplog.text
