"""Kills a run at random moments and lets it go on: `python -m tests.faults.kills`.

Every run has to end with the digest of the one that was never killed, and no file of a
run directory may be torn at any time.

The processes are forked from one that has imported jax already, so that most of their
time is the run's and most kills meet it.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from experiments.harness import directory, environment, events
from experiments.harness.command import main
from tests.faults.study import SOURCE
from tests.harness import toys

WORDS = ("--exp=study", "--resume=latest", "--checkpoint_seconds=0", "--pause=0.05")
PRELOADED = ["experiments.harness.run", "orbax.checkpoint", "matplotlib.figure"]


def run(folder: Path, out: Path, log: Path) -> None:
    """One process: the command line, its output in a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(main([*WORDS, f"--out={out}"], folder))


def check_whole(out: Path) -> None:
    """Every file that is there is whole; of the log all lines but the last are."""
    for path in out.rglob("*"):
        parts = path.relative_to(out).parts
        if path.is_dir() or path.name.startswith(".") or "checkpoints" in parts:
            continue
        match path.suffix:
            case ".json":
                json.loads(path.read_text())
            case ".jsonl":
                assert not events.read(path)[1], path
            case ".npz":
                with np.load(path) as arrays:
                    assert all(arrays[name] is not None for name in arrays)
            case ".html" | ".svg":
                end = path.read_text().rstrip()
                assert end.endswith(("</html>", "</svg>")), path


def digest(out: Path) -> str:
    (result,) = out.glob("study/*/result.json")
    return json.loads(result.read_text())["metrics_digest"]


def phase(out: Path) -> str:
    """What a run was about when it was killed."""
    found = [*out.glob("study/*")]
    if not found:
        return "before it began"
    if (found[0] / directory.METRICS).exists():
        return "reporting"
    if [*found[0].glob("checkpoints/*/*.orbax-checkpoint-tmp*")]:
        return "saving"
    return "training"


class Killer:
    """Runs the study again and again in OUT/0, OUT/1, ...

    Args:
      root: for run directories, logs and the experiment.
      seed: of the moments.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        self.folder = toys.write(root / "experiments", "study", SOURCE)
        os.environ["CNN_JAX_CACHE"] = str(root / "cache")
        environment.prepare("cpu", 2)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)

    def start(self, out: Path) -> BaseProcess:
        log = self.root / "log"
        process = self.context.Process(target=run, args=(self.folder, out, log))
        process.start()
        return process

    def complete(self, out: Path) -> float:
        began = time.monotonic()
        process = self.start(out)
        process.join()
        assert process.exitcode == 0, (self.root / "log").read_text()
        return time.monotonic() - began

    def kill(self, kills: int) -> dict[str, int]:
        """Kills so often; returns how often in which phase.

        Raises:
          AssertionError: a file is torn, a run does not go on, or a digest differs.
        """
        self.complete(self.root / "warm")  # compiles, into the cache
        whole = self.complete(self.root / "whole")
        expected, out, number = digest(self.root / "whole"), self.root / "0", 0
        phases: dict[str, int] = {}
        while sum(phases.values()) < kills:
            process = self.start(out)
            process.join(self.random.uniform(0, 1.1 * whole))
            killed = process.exitcode is None
            if killed:
                process.kill()
                process.join()
                found = phase(out)
                phases[found] = phases.get(found, 0) + 1
                check_whole(out)
            else:
                assert process.exitcode == 0, (self.root / "log").read_text()
                assert digest(out) == expected, out
                number += 1
                out = self.root / str(number)
        self.complete(out)
        check_whole(out)
        assert digest(out) == expected, out
        return phases


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = Killer(Path(temporary), arguments.seed).kill(arguments.kills)
    told = ", ".join(f"{number} {name}" for name, number in sorted(found.items()))
    print(f"{sum(found.values())} kills ({told}): every run went on to the same bits")
