"""Measurements: side by side until one fails or a signal comes, or timed in turn."""

import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import numpy as np

from experiments.harness.signals import MEASURING, stop

_POLL = 0.2  # seconds until a signal is seen while measurements run


def measure(
    measurements: Mapping[str, Callable[[], Mapping[str, Any]]],
    at_once: int,
    progress: Callable[[int, int, str], None],
    fail: Callable[[], object],
) -> dict[str, Any]:
    """The metrics of all, in the order of the measurements; see `Lab.measure`.

    Args:
        measurements: label -> function that returns metrics by name.
        at_once: how many run beside each other.
        progress: told how many have ended, of how many, and which.
        fail: called before what runs is waited for, where one has failed or a signal
            has come: what trains ends at its next chunk.
    """
    pool = ThreadPoolExecutor(at_once, MEASURING)
    coming = iter(measurements.items())
    futures: dict[Future[Mapping[str, Any]], str] = {}
    waiting: set[Future[Mapping[str, Any]]] = set()
    try:
        while len(futures) < len(measurements) or waiting:
            # The next begins when one before has ended well, not beside a failure.
            for name, each in itertools.islice(coming, at_once - len(waiting)):
                future = pool.submit(each)
                futures[future] = name
                waiting.add(future)
            done, waiting = wait(waiting, _POLL, FIRST_COMPLETED)
            for future in done:
                future.result()
                ended = len(futures) - len(waiting)
                progress(ended, len(measurements), futures[future])
            if not stop.trainings:
                stop.check()
    except BaseException as error:
        fail()
        is_signal = isinstance(error, KeyboardInterrupt)
        pool.shutdown(wait=not is_signal, cancel_futures=True)
        while stop.trainings:
            time.sleep(_POLL)
        raise
    pool.shutdown()
    found: dict[str, Any] = {}
    for future in futures:
        found.update(future.result())
    return found


def seconds(
    functions: Mapping[str, Callable[[], Any]],
    repeats: int,
    progress: Callable[[int, int, str], None],
) -> dict[str, np.ndarray]:
    """Seconds that each call takes, name -> [repeats]; see `Lab.time`."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats):
        names = list(functions)
        for name in names if repeat % 2 == 0 else reversed(names):
            start = time.perf_counter()
            jax.block_until_ready(functions[name]())
            found[name].append(time.perf_counter() - start)
        progress(repeat + 1, repeats, "timing")
    return {name: np.asarray(values) for name, values in found.items()}
