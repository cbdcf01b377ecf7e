"""Which learning rate each net gets on each task, on a seed that no verdict is from.

    python -m experiments.long_range_memory.tuning

prints the validation loss over chance after 600 steps (digits: 300), per task, net and
rate; the rate of the lowest stands in `training.LEARNING_RATES`. The digits in a fixed
order take those of the digits row by row. Test sequences are not looked at.
"""

import sys

from cnn_jax.data import load
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.long_range_memory import Config
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import NETS, build
from experiments.long_range_memory.tasks import problem
from experiments.long_range_memory.training import train

SEED, STEPS = 1000, 600
RATES = (1e-3, 3e-3, 1e-2)
TASKS = ("copy", "adding", "sequential")


def main(names: tuple[str, ...] = TASKS, nets: tuple[str, ...] = NETS) -> None:
    config = Config()
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    for name in names:
        task, sets = problem(name, config.length, config.num_held_out, load("digits"))
        steps = STEPS if name in MADE else STEPS // 2
        print(name.ljust(12), *(f"{rate:>8g}" for rate in RATES), flush=True)
        for net in nets:
            print(net.ljust(12), end=" ", flush=True)
            for rate in RATES:
                arguments = (build(net, task), task, sets, steps, rate)
                trained = train(keys(SEED, 1), lab, *arguments)
                ratio = trained.losses[0, -1, 0] / task.chance
                print(f"{ratio:8.3f}", end=" ", flush=True)
            print(flush=True)


if __name__ == "__main__":
    main(*(tuple(word.split(",")) for word in sys.argv[1:3]))
