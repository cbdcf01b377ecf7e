"""A toy experiment and a command line that runs in this process."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import toys


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Launch = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a command sets in this process does not outlive its test."""
    variables = dict(os.environ)
    handler = signal.getsignal(signal.SIGTERM)
    os.environ["CNN_JAX_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")
    yield
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toys.write(tmp_path / "experiments")


@pytest.fixture
def launch(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Launch:
    """`launch(*words)`: the command line over the toy, in this process."""
    from experiments.harness.command import main

    def run(*words: str) -> Ended:
        capsys.readouterr()
        code = main(words, folder)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def finished(launch: Launch, out: Path) -> Path:
    """The directory of a finished run of the toy."""
    assert launch("--exp=toy", f"--out={out}").code == 0
    (run,) = (out / "toy").iterdir()
    return run
