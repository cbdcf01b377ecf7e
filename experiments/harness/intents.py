"""What a command line can ask for, as data."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.harness import options
from experiments.harness.exits import USAGE, CommandError
from experiments.harness.modules import Experiment, Scalar
from experiments.harness.peers import Peers

RECORDED = (
    "seed",
    "num_seeds",
    "data",
    "data_dir",
    "device",
    "num_threads",
    "seeds_by",
)

_UNTOLD = "seeds_by", "auto"  # see `Request.record`

# What a run may be told anew every time: no number depends on it.
UNRECORDED = ("checkpoint_seconds", "tensorboard", "profile", "stream")

PLACE = "data_dir"  # is recorded, and no number depends on it either

CONFIG = "config.json"
SWEEP = "sweep.json"  # of the directory of a sweep, in place of the config


@dataclasses.dataclass(frozen=True)
class Request:
    """One run of one experiment: everything that its numbers may depend on."""

    experiment: Experiment
    config: dict[str, Scalar]
    seed: int
    num_seeds: int
    data: str | None
    data_dir: str | None
    device: str
    num_threads: int
    seeds_by: str = "auto"
    out: str = options.OUT
    checkpoint_seconds: float = options.CHECKPOINT_SECONDS
    tensorboard: bool = False
    profile: bool = False
    stream: int | None = None

    def __post_init__(self) -> None:
        if self.stream is not None and not self.experiment.streams:
            name = self.experiment.name
            raise CommandError(USAGE, f"{name} holds its data in memory: no --stream")

    @property
    def record(self) -> dict[str, Scalar | None]:
        """The config as config.json and result.json hold it.

        Without `seeds_by` where it is "auto", as in runs of before there was a choice.
        """
        told = {**self.config, **{name: getattr(self, name) for name in RECORDED}}
        return {name: told[name] for name in told if (name, told[name]) != _UNTOLD}

    @property
    def named(self) -> dict[str, Scalar | None]:
        """The record behind the name of the experiment."""
        return {"experiment": self.experiment.name, **self.record}

    @property
    def study(self) -> dict[str, Scalar | None]:
        """What two runs that measure the same have in common; see `study`."""
        return study(self.named)


def study(named: Mapping[str, Any]) -> dict[str, Any]:
    """A config without the place of the data, which may lie elsewhere now."""
    return {name: each for name, each in named.items() if name != PLACE}


@dataclasses.dataclass(frozen=True)
class Say:
    text: str


@dataclasses.dataclass(frozen=True)
class Run:
    """New runs, or, where `is_latest`, the newest of each request's config."""

    requests: tuple[Request, ...]
    is_latest: bool = False
    peers: Peers | None = None


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A study: one experiment at every cell of a grid.

    Attributes:
      grid: the values of every swept field.
      cells: a request for each cell, in the order of `grid.cells`.
      is_latest: whether to go on with the newest study like it.
    """

    grid: dict[str, tuple[Scalar, ...]]
    cells: tuple[Request, ...]
    is_latest: bool = False

    @property
    def named(self) -> dict[str, Any]:
        """What the cells have in common, and the grid, as sweep.json holds them."""
        common = self.cells[0].named
        config = {name: common[name] for name in common if name not in self.grid}
        return {"config": config, "grid": {n: list(v) for n, v in self.grid.items()}}


@dataclasses.dataclass(frozen=True)
class Resume:
    """A run to go on with.

    Attributes:
      asked: of its config, which has to be as it was.
      anew: `UNRECORDED`, and the `PLACE` of its data where another one is given.
    """

    run: Path
    asked: dict[str, Scalar | None]
    anew: dict[str, Any]
    peers: Peers | None = None


@dataclasses.dataclass(frozen=True)
class Replay:
    run: Path
    data_dir: str | None
    stream: int | None = None


@dataclasses.dataclass(frozen=True)
class Publish:
    run: Path


Command = Say | Run | Sweep | Resume | Replay | Publish
