"""Streams: the examples that a training visits, whoever reads them."""

import functools
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax import data

pytest.importorskip("grain", reason="grain, of the extra stream, is not installed")

ROOT = Path(__file__).parents[2]
KEYS = jax.random.split(jax.random.key(5), 2)
WORDS = np.asarray(jax.random.key_data(KEYS))
BATCH, STEPS = 64, 10  # an epoch has 22 steps

Open = Callable[..., data.Stream]


@pytest.fixture
def opened(warm_dir: Path) -> Open:
    sizes = {"keys": WORDS, "batch_size": BATCH, "steps": STEPS}
    return functools.partial(data.stream, "digits", cache_dir=warm_dir, **sizes)


@functools.lru_cache
def visited(step: int) -> np.ndarray:
    """What the step of each key visits, as training draws it: [keys, batch]."""
    epoch, place = divmod(step, 1437 // BATCH)
    orders = [
        jax.random.permutation(
            jax.random.fold_in(jax.random.fold_in(key, 0), epoch), 1437
        )
        for key in KEYS
    ]
    return np.stack(orders)[:, place * BATCH : (place + 1) * BATCH]


def check(item: data.Split, number: int, split: data.Split) -> None:
    steps = range(number * STEPS, (number + 1) * STEPS)
    indices = np.stack([visited(step) for step in steps], 1)
    np.testing.assert_array_equal(item.images, split.images[indices])
    np.testing.assert_array_equal(item.labels, split.labels[indices])
    assert (item.images.dtype, item.labels.dtype) == (np.float32, np.int32)


def test_items_are_what_trainings_visit_beyond_the_end_of_an_epoch(opened, digits):
    with opened() as stream:
        for number in range(6):
            assert stream.get_state() == {"next": number}
            check(next(stream), number, digits.train)


def test_a_stream_has_the_views_of_the_data_set(opened, warm_dir):
    canvas = data.load("digits", view="canvas", cache_dir=warm_dir)
    with opened("train", view="canvas") as stream:
        check(next(stream), 0, canvas.train)


def test_processes_go_on_where_a_thread_stood(opened, digits):
    """The same items, whatever reads; a state is a few bytes of JSON."""
    with opened() as stream:
        next(stream), next(stream)
        state = json.loads(json.dumps(stream.get_state()))
    with opened(num_workers=2) as stream:
        stream.set_state(state)
        for number in range(2, 6):
            check(next(stream), number, digits.train)
    assert not multiprocessing.active_children()


def test_hosts_share_every_batch(opened):
    with opened() as stream:
        whole = next(stream)
    parts = []
    for index in range(4):
        with opened(process_index=index, process_count=4) as stream:
            parts.append(next(stream))
    for name in ("images", "labels"):
        joined = np.concatenate([getattr(each, name) for each in parts], 2)
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_a_damaged_file_is_named_wherever_it_is_read(data_dir):
    path = next(data_dir.glob("mnist/3.0.1/*train*"))
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    sizes: dict[str, Any] = {"keys": WORDS, "batch_size": 20, "data_dir": data_dir}
    for workers in (0, 1):
        with data.stream("mnist", **sizes, num_workers=workers) as stream:
            message = rf"^mnist: {path} cannot be read \(.+ hash mismatch .+\)\Z"
            with pytest.raises(data.DataError, match=message):
                next(stream)


def test_a_process_that_dies_is_told_and_signals_do_not_end_one(opened, digits):
    with opened(num_workers=1) as stream:
        next(stream)
        (worker,) = (each.pid or 0 for each in multiprocessing.active_children())
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker, number)
        for number in range(1, 5):
            check(next(stream), number, digits.train)
        os.kill(worker, signal.SIGKILL)
        message = r"digits: reading \S+ has ended \(Worker .+ exit code -9\..+\)$"
        with pytest.raises(data.DataError, match=message):
            list(itertools.islice(stream, 9))  # some were read before


def test_processes_end_with_the_one_that_trains(warm_dir):
    code = f"""
import multiprocessing, time, numpy as np
from cnn_jax import data
sizes = dict(batch_size=64, num_workers=1, cache_dir={str(warm_dir)!r})
stream = data.stream("digits", keys=np.zeros((1, 2), np.uint32), **sizes)
next(stream)
print(multiprocessing.active_children()[0].pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    began = time.monotonic()
    while time.monotonic() - began < 60:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the process that reads outlived the one that trains")


def test_the_training_images_are_left_out_for_who_streams_them(data_dir):
    whole = data.load("mnist", data_dir=data_dir, view="canvas")
    next(data_dir.glob("mnist/3.0.1/*train*")).unlink()
    shutil.rmtree(os.environ["CNN_JAX_CACHE"])
    lean = data.load("mnist", data_dir=data_dir, view="canvas", has_train=False)
    assert lean.train.images.shape == (0, 40, 40, 1)
    assert lean.train.labels.shape == (0,)
    for mine, other in zip(lean.test, whole.test, strict=True):
        np.testing.assert_array_equal(mine, other)
    with pytest.raises(data.DataError):
        data.load("mnist", data_dir=data_dir)


def test_what_cannot_be_meant_is_refused(opened):
    for wrong, message in (
        ({"view": "wide"}, 'expected view "plain" or "canvas", got "wide"'),
        ({"keys": WORDS[0]}, r"expected keys uint32 \[K, 2\], got uint32 \[2\]"),
        ({"batch_size": 1438}, "batch_size in 1 to 1437 .*, got 1438"),
        ({"process_count": 3}, "a multiple of 3, got 64"),
    ):
        with pytest.raises(ValueError, match=message):
            opened(**wrong)
    with pytest.raises(ValueError, match='"train" or "test", got "validation"'):
        opened("validation")


def test_without_grain_one_line_says_what_to_install(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(data.DataError, match=r"takes grain: pip install grain$"):
        opened()
