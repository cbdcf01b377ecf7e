"""Which learning rate each net of moving gets, on parts of the training images.

    python -m experiments.pooling_robustness.moving_tuning [--arms=max,none]

holds out a fifth of the training images, trains on the others, and prints the error in
percent on what was held out, upright, the largest of three seeds that no verdict is
from. The rate of the lowest error, of equals the largest, stands in
`moving_nets.RATES`; test images are not
looked at, and nothing is moved. On CPU, jax 0.10.2:

    net                    0.001   0.002   0.005    0.01
    max                     7.67    2.79    2.79    5.92
    average                 6.97    4.88    3.48    5.57
    strided                 3.14    3.83    3.14    4.53
    blur                    6.97    3.83    2.79    4.53
    polyphase               5.92    6.27    4.53    7.67
    none                    2.79    2.44    4.53    8.01
    dense-max               3.14    3.48   10.10   91.99
    circular               19.51   13.94    7.67   16.03
    max-normalized          1.74    2.79    5.23    8.36
    average-normalized      2.09    2.09    3.83    6.62
"""

import argparse

import jax.numpy as jnp
import numpy as np

from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.harness.seeds import keys
from experiments.pooling_robustness import Config
from experiments.pooling_robustness.moving_images import Task, task_of
from experiments.pooling_robustness.moving_nets import ARMS, train
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
    for arm in listed("arms", arms, ARMS):
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
