"""Which learning rate each net of moving gets, on parts of the training images.

    python -m experiments.pooling_robustness.moving_tuning [--arms=max,none]

holds out a fifth of the training images, trains on the others, and prints the error in
percent on what was held out, upright, the largest of three seeds that no verdict is
from. The rate of the lowest error belongs into `moving_nets.RATES`; test images are not
looked at, and nothing is moved.
"""

import argparse

import jax.numpy as jnp
import numpy as np

from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.pooling_robustness import Config
from experiments.pooling_robustness.moving_images import Task, task_of
from experiments.pooling_robustness.moving_nets import chosen, train
from experiments.strong_prior.tuning import NUM_SEEDS, SEED, held_out

HELD_OUT = 5  # one image in so many
TRIED = (1e-3, 2e-3, 5e-3, 1e-2)


def validation_errors(lab: Lab, task: Task, arm: str, steps: int) -> np.ndarray:
    """The largest of the seeds per rate, %."""
    trained = train(
        jnp.tile(keys(SEED, NUM_SEEDS), len(TRIED)),
        lab,
        task,
        arm,
        steps,
        tuple(np.repeat(TRIED, NUM_SEEDS).tolist()),
    )
    errors = 100 * trained.wrong.mean(1)
    return errors.reshape(len(TRIED), NUM_SEEDS).max(1)


def main(lab: Lab, arms: str, steps: int, num_train: int) -> None:
    """Prints the table, an arm a line."""
    split = task_of(lab, num_train, 1).train
    task = Task(*held_out(split, len(split.labels) // HELD_OUT))
    print("net".ljust(20), *(f"{rate:>7g}" for rate in TRIED), flush=True)
    for arm in chosen(arms):
        errors = validation_errors(lab, task, arm, steps)
        print(arm.ljust(20), *(f"{each:7.2f}" for each in errors), flush=True)


if __name__ == "__main__":
    environment.restart()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data_dir")
    parser.add_argument("--arms", default="all")
    parser.add_argument("--steps", type=int, default=Config.steps)
    parser.add_argument("--num_train", type=int, default=Config.num_train)
    given = parser.parse_args()
    silent = Lab(given.data, given.data_dir, lambda *_, **__: None, lambda *_: None)
    main(silent, given.arms, given.steps, given.num_train)
