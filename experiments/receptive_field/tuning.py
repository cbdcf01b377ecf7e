"""Which learning rate each labeling net gets, on seeds that no verdict is from.

    python -m experiments.receptive_field.tuning

prints the loss over the training canvases after training, the worst of three seeds, per
net and rate: a rate at which some nets die is none. Test digits, accuracies and fields
are not looked at; the rate of the lowest loss stands in `nets.LEARNING_RATES`. On 2 CPU
cores, jax 0.10.2, of those tried:

    net            0.0025    0.005     0.01     0.02     0.04
    plain                             0.503    0.555
    dilated                           0.432    0.394
    upsampled                                  1.073    5.396
    deep            0.807    0.691
    pooled          0.200    0.147
"""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.receptive_field import Config
from experiments.receptive_field.labeling import ARMS, Design, Labeler, ink_objective
from experiments.receptive_field.nets import Task, designs, fit, task_of

SEED, NUM_SEEDS = 1000, 3
RATES = (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2)
NUM_CANVASES = 1050  # whose loss is taken

NETS = ARMS | {"deep": designs(Config().depth_values)["depth-12"]}


def training_loss(design: Design, params: Any, task: Task) -> float:
    """Mean over ink pixels, then over batches of canvases; the worst of the seeds."""

    @jax.jit
    def loss(params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
        logits, _ = Labeler(design).apply({"params": params}, images)
        return ink_objective(logits, labels)[0]

    batches = [jnp.split(jnp.asarray(each[:NUM_CANVASES]), 21) for each in task.train]
    means = []
    for seed in range(NUM_SEEDS):
        own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], params)
        losses = [float(loss(own, *batch)) for batch in zip(*batches, strict=True)]
        means.append(sum(losses) / len(losses))
    return max(means)


def main(steps: int = Config().steps) -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    task = task_of(lab.data("digits"))
    print("net".ljust(12), *(f"{rate:>8g}" for rate in RATES))
    for name, design in NETS.items():
        print(name.ljust(12), end=" ", flush=True)
        for rate in RATES:
            _, params = fit(keys(SEED, NUM_SEEDS), lab, task, name, design, steps, rate)
            print(f"{training_loss(design, params, task):8.3f}", end=" ", flush=True)
        print()


if __name__ == "__main__":
    main()
