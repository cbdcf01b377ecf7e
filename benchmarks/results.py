"""Measured seconds on disk: one JSON file, whole after every measurement."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass
class Results:
    """What a run of the benchmark has found so far.

    Attributes:
      about: command, date, environment, torch's version; the same of earlier runs
        that this one went on from.
      ceiling: when -> GFLOP/s of a float32 matrix product.
      records: one per measurement: its labels ("kind" and others), "seconds" by
        candidate, and what else was found.
    """

    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    ceiling: dict[str, float] = dataclasses.field(default_factory=dict)
    records: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def begin(self, about: dict[str, Any]) -> None:
        """A run begins; what is told of those before, whose records stay, is kept."""
        earlier = self.about.pop("earlier", [])
        if self.about:
            earlier = [*earlier, {**self.about, "ceiling": dict(self.ceiling)}]
        self.about = {**about, "earlier": earlier}

    def record(self, labels: dict[str, Any]) -> dict[str, Any]:
        """The record with these labels, made where there is none."""
        for record in self.records:
            if all(record.get(key) == value for key, value in labels.items()):
                return record
        self.records.append(dict(labels, seconds={}))
        return self.records[-1]

    def of(self, kind: str, **labels: Any) -> list[dict[str, Any]]:
        """The finished records of one kind."""
        wanted = {"kind": kind, **labels}
        return [
            record
            for record in self.records
            if record["seconds"]
            and all(record.get(key) == value for key, value in wanted.items())
        ]

    def save(self, path: Path) -> None:
        """Writes everything; the file is whole at any time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(record) for record in self.records)
        about = json.dumps(self.about, indent=1)
        ceiling = json.dumps(self.ceiling)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_text(
            f'{{"about": {about},\n"ceiling": {ceiling},\n"records": [\n{lines}\n]}}\n'
        )
        partial.replace(path)


def load(path: Path) -> Results:
    """What `save` wrote, or nothing where there is no file."""
    if not path.exists():
        return Results()
    return Results(**json.loads(path.read_text()))


def rounded(seconds: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Four digits of each: a clock on a shared machine gives no more."""
    return {
        name: [float(f"{value:.4g}") for value in values]
        for name, values in seconds.items()
    }


def ratio(record: dict[str, Any], name: str, base: str = "ours") -> float:
    """How many times longer than `base` a candidate took: of minima."""
    return min(record["seconds"][name]) / min(record["seconds"][base])


def geometric_mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))
