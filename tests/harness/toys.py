"""A small experiment that needs no data, and ways to launch it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults.study import SOURCE as STUDY

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''"""Does a toy do what toys do?

It measures nothing but its own random numbers:

    value = shift + noise
"""

import dataclasses

import jax
import numpy as np

from experiments.harness.claims import Claim, Control, Part
from experiments.harness.metrics import Grid, Shown

DATA = ()
QUICK = {"scale": 0.01, "num_seeds": 1}
LARGEST = 10.0

_STILL = Control(
    id="toy-law:still",
    statement="Nothing moves when nothing is moved.",
    metric="still",
    relation="<",
    threshold=1e-6,
)
CLAIMS = (
    Claim(
        id="toy-law/holds",
        statement="A toy <obeys> & plays.",
        source="T1 1.1",
        kind="law",
        expected="yes",
        metric="small",
        relation="<",
        threshold=1e-5,
        controls=(_STILL,),
    ),
    Claim(
        id="toy-law/breaks",
        statement="A toy never breaks.",
        source="T1 1.2",
        kind="law",
        expected="no",
        metric="grid",
        relation="<",
        threshold=1e-5,
        controls=(_STILL,),
    ),
    Claim(
        id="toy-helps",
        statement="A toy helps.",
        source="T2 3",
        kind="conditional",
        expected="no",
        metric="gain",
        relation=">",
        threshold=0.5,
        unit="points",
    ),
    Claim(
        id="toy-both",
        statement="A toy helps and does not harm.",
        source="T2 4",
        kind="conditional",
        expected="open",
        parts=(
            Part(metric="gain", relation=">", threshold=0.5),
            Part(metric="harm", relation="<", threshold=0.1),
        ),
    ),
    Claim(
        id="toy-extra",
        statement="An extra helps.",
        source="T3",
        kind="count",
        expected="open",
        metric="extra",
        relation="=",
        threshold=0,
        requires="--extra",
    ),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be changed."""

    shift: float = 1.0  # mean of the gain
    # standard deviation of the gain,
    # in points
    scale: float = 0.2
    extra: bool = False  # measure the extra
    fail: str = ""  # how to fail

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= LARGEST:
            raise ValueError(f"expected a scale in 0..{LARGEST:g}, got {self.scale}")


def run(keys, config, lab):
    if config.fail:
        _fail(config.fail, lab)
    noise = np.asarray(jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys))
    lab.progress(1, 1, "toy")
    lab.log("drawn", seeds=len(noise), loss=float("nan"))
    grid = np.abs(noise[:, :1, None]) * np.array([0.0, 0.0, 1.0])
    metrics = {
        "small": np.full(len(noise), 1e-7),
        "still": np.zeros(len(noise)),
        "grid": Grid(grid, {"kernel": ("random",), "shift": (0, 1, 2)}),
        "gain": config.shift + config.scale * noise[:, 0],
        "harm": np.abs(config.scale * noise[:, 1]),
        "noise": Shown(noise, "the numbers behind it, by seed"),
    }
    return metrics | ({"extra": np.zeros(1)} if config.extra else {})


def _fail(how, lab):
    import os
    import signal
    import time

    from cnn_jax.data import DataError
    from experiments.harness.lab import NotFinite

    match how:
        case "nan":
            raise NotFinite("the loss of max, seed 0, is nan at step 3")
        case "data":
            raise DataError("no such data here")
        case "disk":
            raise OSError(28, "No space left on device", "somewhere")
        case "device-memory":
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        case "memory":
            raise MemoryError
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
        case "int":
            os.kill(os.getpid(), signal.SIGINT)
        case "bug":
            raise KeyError("a bug")
        case "sleep":
            lab.log("sleeping")
    time.sleep(60)


def plot(metrics):
    from matplotlib.figure import Figure

    first = Figure(figsize=(8, 3))
    first.set_label("What the toy gains, by seed.")
    axes = first.subplots()
    axes.plot(metrics["gain"], "o")
    axes.set_xlabel("seed")
    second = Figure(figsize=(5, 3))
    second.subplots().imshow(metrics["grid"].values[0])
    return {"gain": first, "grid": second}
'''


class Ended(NamedTuple):
    """How a command line ended, and what it printed."""

    code: int
    out: str
    err: str


Launch = Callable[..., Ended]


def study(tmp_path: Path) -> Path:
    """A folder of experiments with the one that trains."""
    return write(tmp_path / "experiments", "study", STUDY)


def only(out: Path) -> Path:
    """The only run of that one."""
    (run,) = out.glob("study/*")
    return run


def write(folder: Path, name: str = "toy", source: str = SOURCE) -> Path:
    """Puts an experiment into a folder of experiments."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    return folder


def command(folder: Path, *words: str) -> list[str]:
    code = (
        "import sys; from pathlib import Path;"
        "from experiments.harness.command import main;"
        "sys.exit(main(sys.argv[2:], Path(sys.argv[1])))"
    )
    return [sys.executable, "-c", code, str(folder), *words]


def launch(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs the command line in a process of its own."""
    return subprocess.run(
        command(folder, *words),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        timeout=120,
        check=False,
    )
