"""Batches of a data set that need not fit into memory, read by grain when needed.

A stream gives what each step of a training visits, in the order that
`cnn_jax.training.chunk` draws (see `order`), so a training on it gives the results of
one that holds all images. That order depends on keys and step alone: not on how many
processes read, nor on how many hosts share a batch. The number of the next item is the
whole state of a stream.

Shape letters: K keys, S steps of an item, B examples of a batch.
"""

import dataclasses
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from cnn_jax.data import order
from cnn_jax.data.datasets import Split, check_view, prepared_folder, seen
from cnn_jax.data.errors import DataError, first_line
from cnn_jax.data.records import Records
from cnn_jax.data.sources import PARTS, Source, find

_STEPS = 2**40  # more than any training has
_AHEAD = 4  # steps that a process reads ahead: shared memory is scarce in containers
# Bytes from which on an array is handed over in shared memory. What goes through a pipe
# has to fit in: half a message of a process that was killed is waited for without end.
_SHARED = 2**13


@dataclasses.dataclass
class _Steps:
    """What the steps from `first` on visit, by number; what grain reads.

    It is sent to other processes, each of which opens the files for itself.
    """

    folder: Path
    source: Source
    part: str
    keys: np.ndarray
    batch_size: int
    share: slice
    first: int = 0
    records: Records | None = None

    def __len__(self) -> int:
        return _STEPS

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 images [K, B, H, W, C] and labels [K, B] of one step, of this host."""
        if self.records is None:
            self.records = Records(self.folder, self.source, self.part)
        size, step = self.source.size(self.part), self.first + number
        each = order.batches(self.keys, size, self.batch_size, step, 1)
        each = each[:, 0, self.share]
        images, labels = self.records.read(each.ravel().tolist())
        images = images.reshape(*each.shape, *images.shape[1:])
        return images, labels.reshape(each.shape)

    def __repr__(self) -> str:
        return f"{self.source.name}/{self.part}"


class Stream(Iterator[Split]):
    """Items without end: images float32 [K, S, B, H, W, C] in [0, 1], labels [K, S, B].

    Reading begins with the first item asked for and goes on beside whoever takes them.
    Processes end at `close`, at the end of a `with` block, and with this process.
    """

    def __init__(self, visits: _Steps, steps: int, view: str, num_workers: int) -> None:
        self._visits, self._steps = visits, steps
        self._view, self._num_workers = view, num_workers
        self._next = 0
        self._reading: Any = None

    def __next__(self) -> Split:
        """The next item.

        Raises:
          DataError: a file is corrupt, or a process that reads has died.
        """
        if self._reading is None:
            first = self._next * self._steps
            self._reading = self._begin(dataclasses.replace(self._visits, first=first))
        try:
            item = next(self._reading)
        except DataError as error:  # behind whose line grain writes of its own
            told = first_line(error)
        except RuntimeError as error:  # what grain says of a process that has died
            told = (
                f"{self._visits.source.name}: reading {self._visits.folder} has ended "
                f"({first_line(error)})"
            )
        else:
            self._next += 1
            return item
        self.close()
        # Raised here, as grain's own error holds on to what is in shared memory.
        raise DataError(told)

    def _begin(self, visits: _Steps) -> Any:
        """Reads in processes, and has a thread that keeps one item ready."""
        grain = _import_grain()
        each = grain.MapDataset.source(visits).to_iter_dataset(grain.ReadOptions(0, 0))
        options = grain.experimental.DatasetOptions(min_shm_size=_SHARED)
        each = grain.experimental.WithOptionsIterDataset(each, options)
        processes = grain.MultiprocessingOptions(self._num_workers, _AHEAD)
        each = each.mp_prefetch(processes, _begin_worker)
        shown = functools.partial(_item, visits.source, self._view)
        items = each.batch(self._steps, batch_fn=shown)
        ahead = grain.experimental.ThreadPrefetchIterDataset
        return iter(ahead(items, prefetch_buffer_size=1))

    def get_state(self) -> dict[str, int]:
        """{"next": the number of the next item}: of few bytes, in JSON's types."""
        return {"next": self._next}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes on with the item of that number, of any stream over the same order."""
        if state != self.get_state():
            self.close()
            self._next = state["next"]

    def close(self) -> None:
        """Ends reading, until the next item is asked for."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stream(
    name: str,
    part: str = "train",
    *,
    keys: np.ndarray,
    batch_size: int,
    steps: int = 1,
    view: str = "plain",
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    num_workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Stream:
    """What trainings visit, from their first step on, read as it is needed.

    Epoch e of key k visits permutation(fold_in(fold_in(k, 0), e), N) of the N examples,
    in batches of one size; the last incomplete one is dropped.

    Args:
      name: one of `names()`.
      part: "train" or "test".
      keys: `jax.random.key_data` of one key for each training, uint32 [K, 2]; the `key`
        of `cnn_jax.training.State` gives the order of that training.
      batch_size: examples of one step, on all hosts together.
      steps: of one item; those of a chunk, where a training takes one at a time.
      view: as of `load`.
      data_dir: as of `load`; without it the data set is prepared in the cache.
      cache_dir: as of `load`.
      num_workers: processes that read and decode, each an item of its own; 0: a thread
        of this one. The items are the same.
      process_index: of this host, 0 to process_count - 1.
      process_count: hosts; each reads B = batch_size / process_count consecutive
        examples of every batch, and no others.

    Raises:
      DataError: unknown name; data that is absent, or out of reach; no grain.
      ValueError: unknown view or part, keys of another shape, a batch that is larger
        than the data set or that the hosts cannot share.
    """
    source = find(name)
    check_view(view)
    if part not in PARTS:
        raise ValueError(f'expected part "train" or "test", got "{part}"')
    keys = np.asarray(keys)
    if keys.dtype != np.uint32 or keys.ndim != 2 or keys.shape[1] != 2:
        raise ValueError(
            f"expected keys uint32 [K, 2], got {keys.dtype} {list(keys.shape)}"
        )
    if not 0 < batch_size <= source.size(part) or batch_size % process_count:
        raise ValueError(
            f"expected batch_size in 1 to {source.size(part)} and a multiple of "
            f"{process_count}, got {batch_size}"
        )
    _import_grain()
    size = batch_size // process_count
    share = slice(process_index * size, (process_index + 1) * size)
    folder = prepared_folder(source, data_dir, cache_dir)
    visits = _Steps(folder, source, part, keys, batch_size, share)
    return Stream(visits, steps, view, num_workers)


def _item(
    source: Source, view: str, steps: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Split:
    """The steps of one item, as a view shows them."""
    images, labels = (np.stack(each, 1) for each in zip(*steps, strict=True))
    flat = images.reshape(-1, *images.shape[3:])
    images, labels = seen(flat, labels, source, view)
    return Split(images.reshape(*labels.shape, *images.shape[1:]), labels)


def _import_grain() -> Any:
    try:
        import grain
    except ModuleNotFoundError:
        raise DataError(
            "to read data as a stream takes grain: pip install grain"
        ) from None
    from absl import flags

    if not flags.FLAGS.is_parsed():  # grain asks for flags of its own
        flags.FLAGS.mark_as_parsed()
    return grain


def _begin_worker(index: int, count: int) -> None:
    """Signals are for the process that trains, and its end ends this one too."""
    del index, count
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
