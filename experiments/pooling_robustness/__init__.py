"""Does pooling make what a net sees, and what it says, robust?

Of a pool y = pool(x), and of the image moved by one pixel:

    unchanged   share of the outputs with |Δ| <= 1e-6 · max |y|, among windows whose old
                and new pixels are not all equal
    relative    ‖Δ‖ / ‖y‖
    centered    ‖Δ‖ / ‖y - ȳ‖, ȳ the mean of a channel over images and places

five pools of 2x2 to 8x8, of U(0, 1), of images, and of the maps behind the first ReLU
of trained LeNets; "subsampling" takes the first pixel of each window. Where average
and maximum are compared, pools are 2x2 and signals are these maps.

With and without pools are counted parameters, receptive fields and products. A pool
is a convolution if it has a kernel, f(x) = k * x, and then f(x + y) = f(x) + f(y).

Seeds draw nets, U(0, 1), and 100 of the test images.

Expected: of all pools the maximum alone leaves outputs unchanged, and that of U(0, 1)
(k - 1) / (k + 1) of them; which of average and maximum changes less depends on whether
one counts changes or measures them. Only a dense layer behind a pool has fewer
parameters.

Takes a few minutes for 5 seeds on 2 CPU cores, half of one with --quick. Data: digits
(default) or mnist.
"""

import dataclasses

import jax

from cnn_jax.data import Split
from cnn_jax.models import LeNet
from experiments.harness import training
from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.pooling_robustness import signals_results
from experiments.pooling_robustness.claims import CLAIMS
from experiments.pooling_robustness.figures import plot

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits", "mnist")
LARGEST = {"steps": 1_000_000, "num_train": 60_000, "num_test": 10_000}
QUICK = {"steps": 60, "num_train": 400, "num_test": 200, "num_seeds": 1}
RATE = 2e-3


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the trained nets."""

    steps: int = 300  # Adam steps of each net, 32 images each
    num_train: int = 3000  # training images at most
    num_test: int = 2000  # test images at most

    def __post_init__(self):
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains the nets beside what needs none; every metric per seed."""
    found = lab.measure(
        {
            "max": lambda: {"net": _trained(keys, lab, config)},
            **signals_results.measurements(keys, lab, config),
        }
    )
    net, test = found.pop("net")
    return {**found, **signals_results.signal_metrics(keys, net.params, test)}


def _trained(
    keys: jax.Array, lab: Lab, config: Config
) -> tuple[training.Trained, Split]:
    """LeNet with maximum pools, and the test images."""
    data = lab.data(view="canvas")
    train, test = (
        Split(split.images[:number], split.labels[:number])
        for split, number in (
            (data.train, config.num_train),
            (data.test, config.num_test),
        )
    )
    runs = training.Runs(keys, len(keys) * (RATE,))
    net = training.train(
        lab, "max", LeNet(), train, test, runs, steps=config.steps, every=config.steps
    )
    return net, test
