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
from collections.abc import Sequence
from itertools import chain

from benchmarks import measurements, runs, table
from benchmarks.layers import LAYERS, Layer

BATCHES = (1, 8, 64)
QUICK_LAYERS = ("LeNet conv2", "ResNet-50 3x3 14", "MobileNet depthwise 14")
BUDGET = 2.5  # seconds after which a measurement begins no further round


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    budget = runs.QUICK_BUDGET if options.quick else BUDGET
    shapes = (options.layers, options.batches, budget)
    with_jax = measurements.of_layers(*shapes)
    if options.programs:
        programs = measurements.of_programs(options.layers, budget)
        with_jax = chain(with_jax, programs)
    told = runs.Told(table.line, table.markdown, table.targets)
    runs.run(options, with_jax, measurements.of_torch(*shapes), told)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = runs.parser("convolution", __doc__, "three layers, batch 8")
    parser.add_argument(
        "--layers", type=parse_layers, help="comma list of parts of layers' names"
    )
    parser.add_argument(
        "--batches",
        type=parse_batches,
        help="comma list; default 1,8,64, or 8 if --quick",
    )
    parser.add_argument(
        "--no-programs",
        dest="programs",
        action="store_false",
        help="no vmap, scan and compile times",
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


if __name__ == "__main__":
    main()
