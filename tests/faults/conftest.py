"""Processes that end with the test which has begun them."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness import toys

Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """`begin(command, **variables)`: a process with a cache of the test's own."""
    processes = []

    def start(command: Sequence[str], **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=toys.ROOT,
            env={**os.environ, "CNN_JAX_CACHE": str(tmp_path / "cache"), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
