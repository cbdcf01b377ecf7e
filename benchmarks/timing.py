"""Fair seconds: candidates in one process, in alternating order, minima and medians."""

import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 9,
    budget: float = 6.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds of every candidate, its first call not counted.

    Args:
      candidates: name -> function without arguments; its result is waited for.
      repeats: timed calls of each at most, the order reversed every other time.
      budget: seconds after which no further round begins; two are always made.
      clock: seconds that a user waits, or `time.process_time`: seconds of all threads,
        which other programs on the machine hardly change.

    Returns:
      name -> [rounds] seconds.
    """
    for run in candidates.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    began = clock()
    for repeat in range(repeats):
        if repeat >= 2 and clock() - began > budget:
            break
        names = list(candidates)
        for name in names if repeat % 2 == 0 else reversed(names):
            seconds[name].append(_seconds(candidates[name], clock))
    return {name: np.asarray(values) for name, values in seconds.items()}


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """One call, or the mean of as many as last a millisecond: clocks are coarse."""
    calls, elapsed = 0, 0.0
    start = clock()
    while elapsed < 1e-3:
        jax.block_until_ready(run())
        calls += 1
        elapsed = clock() - start
    return elapsed / calls


def matmul_gflops(size: int = 2048) -> float:
    """What a float32 matrix product reaches: no convolution by products is faster."""
    matrix = jnp.ones((size, size), jnp.float32)
    product = jax.jit(jnp.matmul)
    seconds = interleaved({"product": lambda: product(matrix, matrix)})
    return 2 * size**3 / float(np.min(seconds["product"])) / 1e9
