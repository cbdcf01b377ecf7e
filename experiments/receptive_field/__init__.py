"""How far does a net see, and what do dilation, pooling and depth do to it?

The receptive field of an output is the smallest box around the inputs it depends on,

    size = 1 + Σ_l (k_l - 1)·d_l · Π_{m<l} s_m

in closed form, and the box around the support of its gradient when measured. The
effective field is the gradient map g(x) = Σ (∂y/∂x)², averaged over draws; its size
is the spread √(Σ g(x)·(x - mean)² / Σ g(x)), and exponent means the slope of log
spread over log depth. The labeling task: four digits lie on a 40x40 canvas, every
ink pixel is to be labeled with its digit's class; accuracy is over ink pixels.

Rates are chosen by training loss on seeds of their own (`tuning`), one per kind of net;
the stacks begin at 4 layers, because the 7 pixels that 3 layers see do not tell digits
apart, and a field says little about a net that has not learned the task.

Expected: a single 3x3 layer of dilation 2 sees 5x5, not 7x7: the figures belong to a
stack. Doubling dilations grow the field exponentially without gaps, but nothing else
does. The effective field of random nets grows as the root of the depth, upsampling
before dilation makes the field smaller; the published fields of known nets hold.

Takes about three minutes for 5 seeds on 2 CPU cores, less than one with --quick.
Data: digits.
"""

import dataclasses
from functools import partial

import jax

from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.receptive_field.claims import CLAIMS
from experiments.receptive_field.counts import (
    block_fields,
    costs,
    dilated_fields,
    growth,
    known_fields,
    widening,
)
from experiments.receptive_field.figures import plot
from experiments.receptive_field.nets import designs, net_metrics, task_of, train
from experiments.receptive_field.spreads import random_spreads

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits",)
PLAIN = 6  # layers of the arms, and one of the depths
DEEPEST = 16  # whose field, 33, still lies inside the canvas
QUICK = {"steps": 60, "draws": 16, "depths": "2,6", "num_seeds": 1}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the trained nets and of the random ones."""

    steps: int = 400  # Adam steps per net, 8 canvases each
    draws: int = 64  # random nets per seed
    depths: str = "4,6,12"  # layers of the trained stacks: 6 and others up to 16

    def __post_init__(self):
        for name, largest in (("steps", 1_000_000), ("draws", 10_000)):
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")
        depths = self.depth_values
        rising = sorted(set(depths)) == list(depths)
        if not rising or len(depths) < 2 or PLAIN not in depths:
            raise ValueError(
                f"expected two or more rising depths, {PLAIN} among them, "
                f"got {self.depths!r}"
            )
        if depths[0] < 1 or depths[-1] > DEEPEST:
            raise ValueError(f"expected depths in 1 to {DEEPEST}, got {self.depths!r}")

    @property
    def depth_values(self):
        """The depths as integers."""
        words = self.depths.split(",")
        if not all(word.strip().isdigit() for word in words):
            raise ValueError(
                f"expected whole numbers as depths, separated by commas, "
                f"got {self.depths!r}"
            )
        return tuple(int(word) for word in words)


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains the nets beside the counts; every metric per seed."""
    task, depths = task_of(lab.data("digits")), config.depth_values
    nets = {
        name: partial(train, keys, lab, task, name, design, config.steps)
        for name, design in designs(depths).items()
    }
    metrics = lab.measure(
        {
            **{name: partial(_named, name, net) for name, net in nets.items()},
            "random nets": partial(random_spreads, keys, config.draws),
            "known nets": known_fields,
            "dilated layers": dilated_fields,
            "growth": growth,
            "blocks": block_fields,
            "ranks": partial(widening, keys),
            "costs": costs,
        }
    )
    trained = {name: metrics.pop(name) for name in nets}
    return {**metrics, **net_metrics(trained, task.test, depths)}


def _named(name: str, measure):
    return {name: measure()}
