"""The lab: the only door from an experiment to data, logs, progress and clocks."""

import contextlib
import functools
import math
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax import data
from cnn_jax.data import Stream
from cnn_jax.training import packing
from experiments.harness import measuring, peers, placement, spread
from experiments.harness.environment import programs_at_once
from experiments.harness.kept import Checkpoints, Training
from experiments.harness.signals import stop

Trace = Callable[[str, int, bool], contextlib.AbstractContextManager[None]]


def untraced(label: str, number: int, is_last: bool) -> contextlib.nullcontext[None]:
    """What surrounds a step of a run that is not profiled."""
    del label, number, is_last
    return contextlib.nullcontext()


class Halted(Exception):
    """A training ended because another measurement has failed."""


class NotFinite(Exception):
    """A loss left the finite numbers; the message names step, arm and seed."""


class Lab:
    """What `run(keys, config, lab)` of an experiment gets.

    Args:
        data_name: the data set of --data.
        data_dir: the directory of --data_dir, or None.
        log: `log(event, **fields)`, one line of the run's log.
        progress: `progress(done, total, label)`, for the person who waits.
        directory: the run directory, or None where nothing is kept.
        checkpoints: of the run's trainings, or None where none are kept.
        trace: a context around each step that a profile may show; see `Profiler.step`.
        stream: processes of --stream that read training images as they are needed, or
            None where all are held in memory.
        seeds_by: "auto", "map" or "vmap": how seeds run on one device.
    """

    def __init__(
        self,
        data_name: str,
        data_dir: str | None,
        log: Callable[..., None],
        progress: Callable[[int, int, str], None],
        directory: Path | None = None,
        checkpoints: Checkpoints | None = None,
        trace: Trace = untraced,
        stream: int | None = None,
        seeds_by: str = "auto",
    ):
        self.data_name = data_name
        self.data_dir = data_dir
        self.log = log
        self.progress = progress
        self.directory = directory
        self.checkpoints = checkpoints
        self.trace = trace
        self.num_workers = stream
        self.seeds_by = seeds_by
        self._failed = threading.Event()

    def data(self, name: str | None = None, **options: Any) -> data.Dataset:
        """The named data set as arrays; the run's own --data unless named.

        Args:
            name: one of `cnn_jax.data.names()`.
            **options: passed to `cnn_jax.data.load`.

        Raises:
            cnn_jax.data.DataError: the data set is absent or damaged.
        """
        if name is None:  # with --stream its training images are not held in memory
            options["has_train"] = not self.is_streaming
        if name is None or name == self.data_name:
            return data.load(self.data_name, data_dir=self.data_dir, **options)
        return data.load(name, **options)  # --data_dir is that of --data alone

    @property
    def is_streaming(self) -> bool:
        """Whether training images come from `stream`; then `data()` has none."""
        return self.num_workers is not None

    def stream(self, keys: jax.Array, **options: Any) -> Stream:
        """What trainings visit of the run's own --data, for `fit`, a chunk an item.

        A process reads for the seeds alone that its own devices train.

        Args:
            keys: that draw the order, `key` of `cnn_jax.training.State`: [seeds].
            **options: of `cnn_jax.data.stream`: batch_size, steps of a chunk, view.

        Raises:
            cnn_jax.data.DataError: the data set is absent or damaged, or grain is.
        """
        own = placement.own_seeds(len(keys))
        return data.stream(
            self.data_name,
            keys=np.asarray(jax.random.key_data(keys))[own],
            data_dir=self.data_dir,
            num_workers=self.num_workers or 0,
            **options,
        )

    def photographs(self, size: int, num_patches: int) -> np.ndarray:
        """Patches of real photographs that fill the frame: [P, size, size, 1]."""
        return data.photographs(size, num_patches)

    def whole_photographs(self, num_channels: int = 1) -> dict[str, np.ndarray]:
        """Thirteen real photographs by name: [H, W, num_channels], sizes differ."""
        return data.whole_photographs(num_channels)

    def fit(
        self,
        chunk: Callable[[Any, Any], tuple[Any, dict]],
        states: Any,
        examples: Any,
        *,
        num_chunks: int,
        label: str,
        on_nonfinite: str = "stop",
    ) -> Any:
        """The host loop of a training: chunk after chunk, logged, watched and kept.

        Args:
            chunk: jitted (states, examples) -> (states, log), every leaf with a
                leading seed axis; log holds "loss" [seeds, steps]. Where it is, or
                calls, `over_seeds(...)`, seeds are spread over all devices.
            states: before the first chunk.
            examples: handed to every chunk; of a stream, chunk i gets item i, which
                is read while the chunk before is computed. So the chunks that a
                checkpoint counts are the stream's state as well. `chunk` hands the item
                on within the first argument of a program, where each seed has its own.
            num_chunks: how often `chunk` runs.
            label: what is trained, for log and progress; in a run that keeps
                checkpoints each training has its own.
            on_nonfinite: "stop", or "record" where divergence is the result.

        Returns:
            The states after the last chunk, whole on one device.

        Raises:
            NotFinite: a loss is not finite and `on_nonfinite` is "stop".
            KeyboardInterrupt: a signal came; the last chunk is kept.
            ValueError: another `on_nonfinite`, a label that was taken before, or a
                program that would get a stream as what all seeds share.
        """
        if isinstance(chunk, placement.Program) and isinstance(examples, Stream):
            raise ValueError(
                "expected a chunk that hands a stream's item on beside the states, "
                "got a program"
            )
        if on_nonfinite not in ("stop", "record"):
            raise ValueError(
                f'expected on_nonfinite "stop" or "record", got {on_nonfinite!r}'
            )
        tell = functools.partial(self.log, label=label)
        with (
            stop.under_way(),
            placement.training(chunk, states, self.seeds_by, tell) as placed,
        ):
            kept, states, done = self._resumed(label, states, num_chunks, placed)
            first = done
            self.progress(done, num_chunks, label)
            while done < num_chunks:
                with self.trace(label, done - first, done + 1 == num_chunks):
                    visited = _of_chunk(examples, done, placed, states)
                    after, log = _advanced(chunk, states, visited)
                losses = log["loss"]
                if on_nonfinite == "stop" and not np.isfinite(losses).all():
                    _keep_last(kept, states, done)
                    raise _not_finite(losses, done, label)
                states, done = after, done + 1
                steps = done * losses.shape[1]
                last = {name: each[:, -1] for name, each in log.items()}
                self.log(
                    "chunk", label=label, chunk=done, of=num_chunks, steps=steps, **last
                )
                self.progress(done, num_chunks, label)
                self._between_chunks(kept, states, done, float(last["loss"].mean()))
            return spread.gathered(states)

    def _resumed(
        self, label: str, states: Any, num_chunks: int, placed: placement.Training
    ) -> tuple[Training | None, Any, int]:
        """The checkpoints of a training, its states, and the chunks behind them."""
        kept, done = None, 0
        if self.checkpoints is not None:
            shares = placed.num_shares
            kept = self.checkpoints.training(label, states, num_chunks, shares)
            states, done = kept.resume()
        return kept, *_as_first_has(states, done, label)

    def _between_chunks(
        self, kept: Training | None, states: Any, done: int, loss: float
    ) -> None:
        """Keeps the states where that is due; ends the training where it has to."""
        is_due = kept is not None and kept.is_due(done)
        rows = peers.gather([stop.number or 0, is_due])
        if number := max(row[0] for row in rows):  # asked of any process
            stop.ask(number)
        ends = number > 0 or self._failed.is_set()
        if ends:
            _keep_last(kept, states, done, loss)
        elif any(row[1] for row in rows):
            whole = spread.gathered(states)
            if kept is not None:
                kept.save(whole, done, loss)
        if number:  # of which all have been told; another is met at the next chunk
            stop.check()
        if self._failed.is_set():
            raise Halted

    def measure(
        self, measurements: dict[str, Callable[[], Mapping[str, Any]]]
    ) -> dict[str, Any]:
        """Independent measurements, their metrics in one dict.

        Two at a time, as most of a first run is compilation, which keeps one core busy;
        with --num_threads=2 one by one, see `environment`, and on several devices as
        well, since programs that wait for each other's devices never end. Where one
        fails or a signal comes, no other begins and trainings end at their next chunk;
        a signal does not wait for what trains nothing.

        Args:
            measurements: label -> function that returns metrics by name.

        Returns:
            The metrics of all, in the order of the measurements.
        """
        is_spread = len(placement.usable_devices()[0]) > 1
        at_once = 1 if is_spread else programs_at_once()
        fail = self._failed.set
        return measuring.measure(measurements, at_once, self.progress, fail)

    def time(
        self, functions: dict[str, Callable[[], Any]], *, repeats: int = 20
    ) -> dict[str, np.ndarray]:
        """Seconds that each function takes, repeats interleaved.

        Every function runs once untimed; then all of them in turn, in alternating
        order, so that a drift of the machine's speed meets all alike.

        Args:
            functions: name -> function without arguments; what it returns is
                waited for.
            repeats: timed calls of each.

        Returns:
            name -> [repeats] seconds.
        """
        for number in range(2 if self.trace is not untraced else 1):
            with self.trace("timing", number, True):
                for function in functions.values():
                    jax.block_until_ready(function())
        return measuring.seconds(functions, repeats, self.progress)


def _of_chunk(
    examples: Any, number: int, placed: placement.Training, states: Any
) -> Any:
    """All examples, or the item of a stream that a chunk visits."""
    if not isinstance(examples, Stream):
        return examples
    examples.set_state({"next": number})
    num_seeds = len(jax.tree.leaves(states)[0])
    return placed.of_own_seeds(next(examples), num_seeds)


def _advanced(chunk: Any, states: Any, examples: Any) -> tuple[Any, Any]:
    """The states after one chunk, and its log on the host."""
    after, log = chunk(states, examples)
    if not isinstance(chunk, placement.Program):
        after = spread.gathered(after)
    return after, jax.tree.map(np.asarray, spread.gathered(log))


def _keep_last(
    kept: Training | None, states: Any, done: int, loss: float = math.nan
) -> None:
    """Keeps the states that a training ends with; no process ends before they are."""
    whole = spread.gathered(states)
    if kept is not None:
        kept.keep(whole, done, loss)
    peers.gather([done])


def _as_first_has(states: Any, done: int, label: str) -> tuple[Any, int]:
    """States and number of chunks that the first of several processes has restored."""
    rows = peers.gather([done, zlib.crc32(label.encode()) >> 1])
    peers.check_alike([row[1] for row in rows], "trains something else now")
    done = rows[0][0]
    if not (peers.several() and done):
        return states, done
    packed = peers.from_first(packing.pack(states))
    return packing.unpack(packed, states), done


def _not_finite(losses: np.ndarray, chunks_before: int, label: str) -> NotFinite:
    """Names the first step of losses [seeds, steps] that is not finite."""
    step, seed = np.argwhere(~np.isfinite(losses.T))[0]
    return NotFinite(
        f"not finite: the loss of {label}, seed {seed}, is {losses[seed, step]} "
        f"at step {step + chunks_before * losses.shape[1]}"
    )
