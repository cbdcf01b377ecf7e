"""What each benchmark does around its measurements: flags, results, ceilings."""

import argparse
import datetime
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from benchmarks import peers, results
from benchmarks.measurements import Measurement
from benchmarks.timing import matmul_gflops
from experiments.harness import environment
from experiments.harness.exits import CommandError

# Seconds after which a short run's measurement begins no further round.
QUICK_BUDGET = 0.5


class Told(NamedTuple):
    """How results are told.

    Attributes:
      line: of one record, while the benchmark runs.
      markdown: all of them, for a file.
      targets: what is met and missed, at the end.
    """

    line: Callable[[dict[str, Any]], str]
    markdown: Callable[[results.Results], str]
    targets: Callable[[results.Results], str]


def parser(name: str, description: str | None, quick: str) -> argparse.ArgumentParser:
    """The flags of `python -m benchmarks.NAME`; `quick` says what --quick runs."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--resume", action="store_true", help="keep what OUT.json has")
    made.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    made.add_argument(
        "--out",
        type=Path,
        help=f"the JSON file; default runs/benchmarks/{name}-DEVICE.json",
    )
    made.set_defaults(name=name)
    return made


def run(
    options: argparse.Namespace,
    with_jax: Iterable[Measurement],
    with_torch: Iterable[Measurement],
    told: Told,
) -> None:
    """Measures, torch last: its threads go on spinning and slow down what follows."""
    jax.config.update("jax_enable_compilation_cache", False)
    _start(options.device)
    file = f"runs/benchmarks/{options.name}-{options.device}.json"
    out = options.out or Path(file)
    found = results.load(out) if options.resume else results.Results()
    found.begin(_about(f"benchmarks.{options.name}", options.device, sys.argv[1:]))
    found.ceiling["before"] = matmul_gflops()
    measure(with_jax, found, out, told.line)
    found.ceiling["after jax"] = matmul_gflops()
    if peers.prepare_torch(options.device):
        measure(with_torch, found, out, told.line)
        found.ceiling["after torch"] = matmul_gflops()
    found.save(out)
    out.with_suffix(".md").write_text(told.markdown(found))
    print(told.targets(found))


def _start(device: str) -> None:
    """Starts jax on the device; float32 is float32 there, not TF32."""
    jax.config.update("jax_platforms", environment.PLATFORMS[device])
    if device != "cpu":
        jax.config.update("jax_default_matmul_precision", "highest")
    try:
        environment.check_device(device)
    except CommandError as error:
        sys.exit(f"--device={device}: {error}")


def measure(
    wanted: Iterable[Measurement],
    found: results.Results,
    path: Path,
    line: Callable[[dict[str, Any]], str],
) -> None:
    """Measures what is not there yet and writes it down at once."""
    listed = list(wanted)
    for number, measurement in enumerate(listed, start=1):
        record = found.record(measurement.labels)
        if not record["seconds"].keys() >= set(measurement.candidates):
            measured = measurement.measure()
            record["seconds"] |= results.rounded(measured.pop("seconds"))
            record |= measured
            found.save(path)
        print(f"[{number}/{len(listed)}] {line(record)}", flush=True)


def _about(module: str, device: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What is told of a run: its command, when and where it was."""
    command = ["python", "-m", module, *arguments]
    return {
        "command": shlex.join(command),
        "device": device,
        "date": datetime.date.today().isoformat(),
        "environment": environment.record(len(os.sched_getaffinity(0))),
        "torch": peers.torch_version(),
    }
