"""What do average, max and stochastic pooling do to variance, mean, texture, learning?

Of a window a of n values, avg is their mean, max the largest, and stochastic pooling
draws one with P(w) = a[w] / Σa; E = Σa² / Σa is the mean of its draws.

    p               of one chi-squared of draws against P, seeds pooled
    leaves          max(mean - E, E - max, 0) / max, the worst window
    E over mean     Σ E / Σ mean over the 2x2 windows of a trained map
    variance ratio  Var(avg) / Var(max), over independent windows, or over the places
                    and images of a trained map
    mean shift      |E pool(w + ε) - E pool(w)| / sd of pool(w), E over images, places
                    and errors ±ε of 0.1 times the kernel's rms; the mean of channels
    bias            (mean of the pooled photograph - mean) / sd of the photograph
    fine share      of its power above 1/4 cycle per pixel, after pooling 2x2

Nets name digits that lie at random places of a 24x24 canvas (mnist: 44x44), each image
at one place. Four nets of one size differ in the pool behind their first two layers and
in the global pool behind the third: points of test accuracy. LeNet with 2x2 max pools
and LeNet without pools train until the loss over all training images is 0.05 at one of
the looks taken every 10 steps: points of test error at that loss. The first has fewer
parameters, as its dense layer sees fewer cells; both counts are printed. Maps and
kernels are those of the pooled LeNet. Rates are chosen on validation digits (`tuning`).

Expected: stochastic pooling follows its law and lies between average and maximum, near
the average only where a kernel passes the mean. The average has the larger variance for
U(0, 1) from n = 9 on, the smaller one for laws with tails. An error of the kernel moves
the mean of a linear average not at all, that of a maximum upwards.

Takes three to four minutes for 5 seeds on 2 CPU cores, half of one with --quick.
Data: digits (default) or mnist; photographs.
"""

import dataclasses
from functools import partial

import jax

from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.pooling_statistics import draws, maps, moments, pictures
from experiments.pooling_statistics.claims import CLAIMS
from experiments.pooling_statistics.fields import Task, task_of
from experiments.pooling_statistics.figures import plot
from experiments.pooling_statistics.nets import NETS, TWINS, net_metrics, train

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits", "mnist")
PATCH, NUM_PATCHES = 48, 8
LARGEST = {
    "steps": 1_000_000,
    "limit": 1_000_000,
    "windows": 1_000_000,
    "num_train": 60_000,
    "num_test": 10_000,
}
QUICK = {
    "steps": 40,
    "limit": 100,
    "target": 1.0,
    "windows": 2000,
    "num_train": 400,
    "num_seeds": 1,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the trained nets and of the independent windows."""

    steps: int = 400  # Adam steps of each net of four pools, 32 images each
    limit: int = 1500  # steps at most of LeNet with and without pools
    target: float = 0.05  # train loss at which these two stop, in nats
    windows: int = 20_000  # independent windows per seed and law
    num_train: int = 1437  # training images at most
    num_test: int = 1000  # test images at most

    def __post_init__(self):
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")
        if self.windows < 2:
            raise ValueError(f"expected 2 or more windows, got {self.windows}")
        if not 0 < self.target <= 2:  # ln 10 = 2.3 is no learning
            raise ValueError(f"expected a target in (0, 2], got {self.target}")


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains the nets beside the other measurements; every metric per seed."""
    task = task_of(lab.data(), config.num_train, config.num_test)
    patches = lab.photographs(PATCH, NUM_PATCHES)
    metrics = lab.measure(
        {
            **{
                name: partial(_trained, name, keys, lab, task, config)
                for name in reversed(NETS)
            },
            "variances": partial(moments.variances, keys, config.windows),
            "draws": partial(draws.follows_value, keys),
            "interval": partial(draws.between, keys, patches),
            "photographs": partial(
                pictures.picture_metrics, keys[0], lab.whole_photographs()
            ),
            "parameters": draws.parameters,
        }
    )
    nets = {name: metrics.pop(f"net/{name}") for name in NETS}
    pooled = nets["pooled"].params
    return {
        **metrics,
        **maps.map_metrics(keys, pooled, task.test.images),
        **net_metrics(nets, config.target),
    }


def _trained(name: str, keys: jax.Array, lab: Lab, task: Task, config: Config):
    twin = name in TWINS
    steps = config.limit if twin else config.steps
    target = config.target if twin else 0.0
    return {f"net/{name}": train(keys, lab, task, name, steps, target)}
