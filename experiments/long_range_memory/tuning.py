"""Which learning rate each net gets on each task, on a seed that no verdict is from.

    python -m experiments.long_range_memory.tuning

prints the validation loss over chance after 600 steps (digits: 300), per task, net and
rate; the rate of the lowest stands in `training.LEARNING_RATES`. The digits in a fixed
order take those of the digits row by row. Test sequences are not looked at.
On CPU, jax 0.10.2:

    copy            0.001    0.003     0.01
    dilated         0.121    0.962
    gru             1.030    1.004    1.002
    lstm *          1.526    1.012    1.002
    shallow         1.002    1.001    1.000
    rnn *           1.005    1.004    1.006
    orthogonal *    1.005    1.006    1.007
    adding          0.001    0.003     0.01
    dilated         0.303    0.055    0.038
    gru             0.040    0.008    0.005
    lstm            1.017    0.111    0.014
    shallow         1.003    1.056    1.057
    rnn             1.041    1.041    1.025
    orthogonal      1.050    1.111    1.032
    sequential      0.001    0.003     0.01
    dilated         0.104    0.098    0.078
    gru             0.610    0.393    0.378
    lstm            0.576    0.415    0.385
    shallow         0.818    0.810    0.814
    rnn             0.436    0.347    0.526
    orthogonal      0.373    0.259    1.177

    * with blanks in place of the last 10 delimiters; the RNNs after 1,200 steps
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
