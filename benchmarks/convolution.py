"""How fast `cnn_jax.conv` is beside jax.lax, flax.linen and torch, layer by layer.

    python -m benchmarks.convolution

runs every layer of `benchmarks.layers` at batch 1, 8 and 64 (up to the layer's largest
batch), forward and with both gradients; then 8 kernels under vmap against 8 calls,
gradient steps in a scan against outside, and compile times; then, where torch is
installed, torch, after all of jax because its threads go on spinning and slow down what
follows. About 35 minutes on two idle cores. What was measured is in OUT.json after
every measurement, so that --resume can go on from there; the table is in OUT.md at the
end.
"""

import argparse
import datetime
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import measurements, peers, results, table
from benchmarks.layers import LAYERS, Layer
from benchmarks.timing import matmul_gflops
from experiments.harness import environment

BATCHES = (1, 8, 64)
QUICK_LAYERS = ("LeNet conv2", "ResNet-50 3x3 14", "MobileNet depthwise 14")
# Seconds after which a measurement begins no further round.
BUDGET, QUICK_BUDGET = 2.5, 0.5


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    jax.config.update("jax_enable_compilation_cache", False)
    found = results.load(options.out) if options.resume else results.Results()
    found.begin(about("benchmarks.convolution", sys.argv[1:]))
    budget = QUICK_BUDGET if options.quick else BUDGET
    found.ceiling["before"] = matmul_gflops()
    shapes = (options.layers, options.batches, budget)
    measure(measurements.of_layers(*shapes), found, options.out)
    if options.programs:
        programs = measurements.of_programs(options.layers, budget)
        measure(programs, found, options.out)
    found.ceiling["after jax"] = matmul_gflops()
    if peers.set_torch_threads():
        measure(measurements.of_torch(*shapes), found, options.out)
        found.ceiling["after torch"] = matmul_gflops()
    found.save(options.out)
    options.out.with_suffix(".md").write_text(table.markdown(found))
    print(table.targets(found))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.convolution",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--layers", type=parse_layers, help="comma list of parts of layers' names"
    )
    parser.add_argument(
        "--batches",
        type=parse_batches,
        help="comma list; default 1,8,64, or 8 if --quick",
    )
    parser.add_argument("--quick", action="store_true", help="three layers, batch 8")
    parser.add_argument(
        "--no-programs",
        dest="programs",
        action="store_false",
        help="no vmap, scan and compile times",
    )
    parser.add_argument("--resume", action="store_true", help="keep what OUT.json has")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/benchmarks/convolution-cpu.json"),
        help="the JSON file; default %(default)s",
    )
    options = parser.parse_args(arguments)
    quick = [layer for layer in LAYERS if layer.name in QUICK_LAYERS]
    options.layers = options.layers or (quick if options.quick else list(LAYERS))
    options.batches = options.batches or ((8,) if options.quick else BATCHES)
    return options


def parse_layers(text: str, layers: Sequence[Layer] = LAYERS) -> list[Layer]:
    """The layers whose names contain a part of the comma list."""
    parts = [part.strip() for part in text.split(",")]
    chosen = [layer for layer in layers if any(part in layer.name for part in parts)]
    if not chosen:
        names = "; ".join(layer.name for layer in layers)
        raise argparse.ArgumentTypeError(f"{text!r} is part of none of {names}")
    return chosen


def parse_batches(text: str) -> tuple[int, ...]:
    """A comma list of positive integers."""
    try:
        batches = tuple(int(part) for part in text.split(","))
    except ValueError:
        batches = ()
    if not batches or min(batches) < 1:
        raise argparse.ArgumentTypeError(f"expected positive integers, got {text!r}")
    return batches


def about(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What is told of a run: its command, when and where it was."""
    command = ["python", "-m", module, *arguments]
    return {
        "command": shlex.join(command),
        "date": datetime.date.today().isoformat(),
        "environment": environment.record(len(os.sched_getaffinity(0))),
        "torch": peers.torch_version(),
    }


def measure(
    wanted: Iterable[measurements.Measurement],
    found: results.Results,
    path: Path,
    line: Callable[[dict[str, Any]], str] = table.line,
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


if __name__ == "__main__":
    main()
