"""A process of its own, in which jax starts as it does in a run.

The environment variables of `environment.prepare` are read when jax is first imported,
which `python -m` does with this package before the first line of a module in it. So
what such a module computes runs in a child, started after they are set.
"""

import multiprocessing
from collections.abc import Callable
from typing import Any

from experiments.harness import environment

NUM_THREADS = 2  # those of a run


def prepared(function: Callable[..., None], *arguments: Any) -> int:
    """Calls the function in the environment of a run on CPU.

    Args:
        function: of a module, by its name.
        *arguments: that can be pickled.

    Returns:
        The exit code: 0, or that of a failure, whose traceback the child has printed.
    """
    environment.prepare("cpu", NUM_THREADS)
    child = multiprocessing.get_context("spawn").Process(
        target=function, args=arguments
    )
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode
