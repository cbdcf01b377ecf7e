"""A toy experiment and a command line that runs in this process."""

import contextlib
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.harness import toys
from tests.harness.toys import Ended, Launch


@contextlib.contextmanager
def own_environment(cache: Path) -> Generator[None]:
    """What a command sets in this process does not outlive the block."""
    variables = dict(os.environ)
    terminate = signal.getsignal(signal.SIGTERM)
    # A shell without job control starts background jobs with this signal ignored.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["CNN_JAX_CACHE"] = str(cache)
    yield
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with own_environment(tmp_path_factory.getbasetemp() / "cache"):
        yield


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


@pytest.fixture(scope="session")
def _recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from experiments.harness.command import main

    path = tmp_path_factory.mktemp("recorded")
    folder = toys.write(path / "experiments")
    with own_environment(tmp_path_factory.getbasetemp() / "cache"):
        assert main(["--exp=toy", f"--out={path / 'runs'}"], folder) == 0
    (run,) = (path / "runs" / "toy").iterdir()
    return run


@pytest.fixture
def finished(_recorded: Path, out: Path) -> Path:
    """The directory of a finished run of the toy."""
    return shutil.copytree(_recorded, out / "toy" / _recorded.name)
