"""Do gradients vanish or explode with distance, and what prevents it?

h_t is the state after t steps, or the output of layer t. Of a random network

    growth rate  λ(T) = ln ‖∂h_T/∂h_0‖₂ / T, in nats per step
    norm         log10 ‖∂h_T/∂h_0‖₂; of an LSTM log10 ‖∂c_T/∂c_0‖₂
    ratio        log10 (‖∂L/∂h_1‖ / ‖∂L/∂h_last‖), of 20 layers or steps, or a ResNet

Products of Jacobians are scaled as they grow or shrink and summed as logarithms, since
at these distances most of them leave the floats. Identities of gated cells are maximal
errors, or counts of exceptions. All that is at initialization; trained on digits are

    steps     of SGD until a net of three hidden layers is wrong about 25 % of them
    change    log10 of ‖K_T - K_0‖ / ‖K_0‖, the first hidden kernel over the fifth; SGD
              has steps of its own, in which the sigmoids learn
    slope     of ln(loss) over the depth, where nets too small for the data end, a
              restart of each depth; deeper ones have more parameters, 310 to 410.
              Shown beside it: how many ends are minima; of the published ones none is,
              each has a direction in which the loss bends down, if ever so little
    gap       train error of a plain net with batch norm less that of its residual twin

by rates that `tuning` chooses on validation digits, of both ResNets at 32 layers.
Recurrent nets read 50 random symbols and name the first (recall) or the last, by rates
of `recall_tuning`; a linear probe reads the first from their last state. Of these nets
and of ResNets each seed trains several: a plain RNN recalls or does not, so that few
leave open how often.

    half-life  steps back until ‖∂L/∂h_t‖ has halved, over the length
    share      of gates within 0.1 of 0 or 1, and the same without the forget gates;
               of runs whose loss ends non-finite or above 10 times its start, which has
               itself exploded, with the gradient's norm clipped and without

Expected: gradients of plain RNNs change exponentially unless the kernel is an isometry,
and neither small nor large entries alone decide; sigmoids explode at large gains. The
LSTM keeps a gradient by its forget bias, not by its form, and explodes at large gains;
its gates are not binary before training. ReLU needs the initialization made for it.
Clipping keeps runs finite at all but the largest of nine rates; whether they learn is
shown beside it and not judged: from so far back none does, clipped or not. The
keeping gates of recurrent nets that are trained begin at 0.953: at 0.5 the LSTM does
not learn at any rate that was tried.

Takes 21 minutes of CPU time for 5 seeds, most of it for trained nets, and half a minute
with --quick, which leaves out trained nets but MLPs; --topics chooses others, such as
--depth=110 --topics=resnets. Data: digits, or as many of MNIST's, brought to their
8 × 8 pixels, at the rates that were chosen for digits.
"""

import dataclasses
from functools import partial

import jax

from cnn_jax.data import Split
from experiments.gradient_vanishing import (
    cells,
    clipping,
    depths,
    learning,
    memories,
    near_steps,
    optima,
    readouts,
    recurrence,
    residual,
)
from experiments.gradient_vanishing.claims import CLAIMS
from experiments.gradient_vanishing.figures import plot
from experiments.gradient_vanishing.images import small
from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.harness.listed import listed

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits", "mnist")
TOPICS = ("initial", "resnets", "depth", "optima", "recall", "clipping")
DEEPEST = 110
CHUNK = 50  # steps, that of `descent`
QUICK = {
    "draws": 1,
    "depth": 8,
    "steps": 50,
    "sgd_steps": 50,
    "restarts": 1,
    "iterations": 2000,
    "resnet_steps": 10,
    "recall_steps": 5,
    "trainings": 1,
    "clipped_runs": 1,
    "topics": "initial,depth",
    "num_seeds": 1,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """How much is measured."""

    draws: int = 20  # of the kernel of sigmoid RNNs, per seed
    depth: int = 32  # of the residual network, 6n + 2
    steps: int = 1000  # of the race, and of Adam in deep MLPs; a multiple of 50
    sgd_steps: int = 4000  # of SGD in deep MLPs, a CPU-minute; a multiple of 50
    restarts: int = 5  # per seed and depth of the small nets: 25 of each with 5 seeds
    iterations: int = 20_000  # the most of L-BFGS; then Newton's, a 20th as many
    resnet_steps: int = 400  # of the trained residual networks
    recall_steps: int = 1500  # of Adam, of each recurrent net
    trainings: int = 2  # of each recurrent and residual net, per seed
    clipped_runs: int = 20  # with and without clipping, per seed
    topics: str = "all"  # or some of initial,resnets,depth,optima,recall,clipping

    def __post_init__(self):
        for name in ("draws", "clipped_runs", "trainings"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise ValueError(
                    f"expected {name} in 1 to 10000, got {getattr(self, name)}"
                )
        if not 8 <= self.depth <= DEEPEST or self.depth % 6 != 2:
            raise ValueError(
                f"expected a depth of 6n + 2 in 8 to {DEEPEST}, got {self.depth}"
            )
        for name in ("steps", "sgd_steps"):
            steps = getattr(self, name)
            if not 0 < steps <= 1_000_000 or steps % CHUNK:
                raise ValueError(
                    f"expected {name} as a multiple of {CHUNK} up to 1000000, "
                    f"got {steps}"
                )
        for name in ("restarts", "iterations", "resnet_steps", "recall_steps"):
            if not 1 <= getattr(self, name) <= 1_000_000:
                raise ValueError(
                    f"expected {name} in 1 to 1000000, got {getattr(self, name)}"
                )
        listed("topics", self.topics, TOPICS)


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Measures random networks and trains some, a program for each group of rows."""
    digits = small(lab.data().train)
    topics = listed("topics", config.topics, TOPICS)
    known = _trained(keys, config, lab, digits)
    known["initial"] = _initial(keys, config, digits)
    metrics = lab.measure(
        {
            label: measurement
            for topic, group in known.items()
            if topic in topics
            for label, measurement in group.items()
        }
    )
    if "resnets" in topics:
        metrics |= residual.gap(metrics)
    return readouts.with_readouts(metrics) if "recall" in topics else metrics


def _trained(keys: jax.Array, config: Config, lab: Lab, digits: Split) -> dict:
    """The measurements of each topic that trains nets, the longest first."""
    each = jax.vmap(partial(jax.random.split, num=config.trainings))(keys).reshape(-1)
    size = config.depth, config.resnet_steps
    budget = config.iterations, max(1, config.iterations // 20)
    return {
        "recall": readouts.measurements(each, lab, config.recall_steps),
        "resnets": {
            f"ResNet, {name}, trained": partial(
                residual.learning, name, each, lab, digits, *size
            )
            for name in residual.RATES
        }
        | {
            f"ResNet, {name}": partial(
                residual.log_ratio, name, keys, digits, config.depth
            )
            for name in residual.DESIGNS
        },
        "optima": {
            "optima": partial(optima.optima, keys, lab, digits, config.restarts, budget)
        },
        "depth": {
            "race": partial(learning.race, keys, lab, digits, config.steps),
            **{
                f"layers, {name}": partial(
                    learning.changes, name, keys, lab, digits, steps
                )
                for name, steps in (("sgd", config.sgd_steps), ("adam", config.steps))
            },
        },
        "clipping": {
            "clipping": partial(clipping.clipping, keys, lab, config.clipped_runs)
        },
    }


def _initial(keys: jax.Array, config: Config, digits: Split) -> dict:
    """The measurements at initialization."""
    return {
        "near steps": partial(near_steps.near_steps, keys),
        "sigmoid RNNs": partial(recurrence.explosions, keys, config.draws),
        "LSTMs": partial(memories.memories, keys),
        "20 layers": partial(depths.ratios, keys, digits),
        "plain RNNs": partial(recurrence.growth, keys),
        "GRUs and RNNs": partial(memories.comparisons, keys),
        "cell path": partial(memories.cell_path, keys),
        "both directions": partial(cells.supports, keys),
        "equal entries": recurrence.entries,
        "update gates": partial(cells.updates, keys),
        "reset gates": partial(cells.resets, keys),
        "clips": partial(cells.clips, keys),
        "slopes": cells.slopes,
        "sizes": cells.sizes_of_cells,
    }
