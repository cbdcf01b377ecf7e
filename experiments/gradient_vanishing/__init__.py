"""Do gradients vanish or explode with distance, and what prevents it?

h_t is the state after t steps, or the output of layer t. Of a random network

    growth rate  λ(T) = ln ‖∂h_T/∂h_0‖₂ / T, in nats per step
    norm         log10 ‖∂h_T/∂h_0‖₂; of an LSTM log10 ‖∂c_T/∂c_0‖₂
    ratio        log10 (‖∂L/∂h_1‖ / ‖∂L/∂h_last‖), of 20 layers or steps, or a ResNet

Products of Jacobians are scaled as they grow or shrink and summed as logarithms, since
at these distances most of them leave the floats. Identities of gated cells are maximal
errors, or counts of exceptions. Everything here is at initialization.

Expected: gradients of plain RNNs change exponentially unless the kernel is an isometry,
and neither small nor large entries alone decide; sigmoids explode at large gains. The
LSTM keeps a gradient by its forget bias, not by its form, and explodes at large gains;
its gates are not binary. ReLU needs the initialization made for it.

Takes about three minutes for 5 seeds on 2 CPU cores, half a minute with --quick. Data:
digits.
"""

import dataclasses
from functools import partial

import jax

from experiments.gradient_vanishing import cells, depths, memories, recurrence, residual
from experiments.gradient_vanishing.claims import CLAIMS
from experiments.gradient_vanishing.figures import plot
from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits",)
DEEPEST = 110
QUICK = {"draws": 40, "depth": 8, "num_seeds": 1}


@dataclasses.dataclass(frozen=True)
class Config:
    """How much is measured."""

    draws: int = 20  # of the kernel of sigmoid RNNs, per seed
    depth: int = 32  # of the residual network, 6n + 2

    def __post_init__(self):
        if not 1 <= self.draws <= 10_000:
            raise ValueError(f"expected draws in 1 to 10000, got {self.draws}")
        if not 8 <= self.depth <= DEEPEST or self.depth % 6 != 2:
            raise ValueError(
                f"expected a depth of 6n + 2 in 8 to {DEEPEST}, got {self.depth}"
            )


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Measures random networks, a program for each group of rows."""
    digits = lab.data("digits").train
    nets = {
        f"ResNet, {name}": partial(residual.log_ratio, name, keys, digits, config.depth)
        for name in residual.DESIGNS
    }
    return lab.measure(
        {
            **nets,
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
    )
