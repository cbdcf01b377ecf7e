"""Which learning rate each net gets on each task, on a seed that no verdict is from.

    python -m experiments.long_range_memory.tuning

prints the validation loss over chance after as many steps as the run takes, per task,
net and rate; the rate of the lowest stands in `training.LEARNING_RATES`. The digits in
a fixed order take those of the digits row by row. Test sequences are not looked at.
On CPU, jax 0.10.2, after 1,000 steps (digits: 600) of T = 100:

    copy         0.0003    0.001    0.003     0.01     0.03      0.1
    rnn           1.027    1.003    1.002    1.003    1.000     3.678
    orthogonal    1.026    1.003    1.003    1.003    1.026     1.038
    lstm          1.518    1.030    1.003    1.001    1.001     1.002
    gru           1.081    1.010    1.001    1.001    0.775     0.758
    shallow       1.004    1.001    1.000    1.000    1.000     1.002
    dilated       0.094    0.001    0.003    0.002    1.001     1.070
    adding       0.0003    0.001    0.003     0.01     0.03      0.1
    rnn           1.046    1.113    1.062    1.089    1.020    1.429
    orthogonal    1.059    1.097    1.083    1.085    1.215   15.786
    lstm          0.702    0.203    0.009    0.005    0.006    0.009
    gru           0.966    0.017    0.010    0.002    0.007    0.001
    shallow       1.024    1.035    1.029    1.030    1.006    1.042
    dilated       0.996    0.151    0.041    0.020    0.017    1.042
    sequential   0.0003    0.001    0.003     0.01     0.03      0.1
    rnn           0.500    0.249    0.218    0.748    1.064    1.345
    orthogonal    0.489    0.228    0.170    0.941    1.114    1.260
    lstm          0.674    0.407    0.303    0.234    0.188    0.350
    gru           0.713    0.408    0.310    0.340    0.232    0.548
    shallow       0.830    0.800    0.803    0.813    0.813    0.814
    dilated       0.140    0.052    0.086    0.115    0.156    0.602

Of equal ratios the smallest rate is taken; where every rate ends at chance, a ratio of
1, the choice is one of noise.
"""

import argparse
import dataclasses
import sys
from functools import partial

from experiments.harness.lab import Lab, NotFinite
from experiments.harness.seeds import keys
from experiments.long_range_memory import Config
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import Net, build
from experiments.long_range_memory.tasks import Sets, Task, problem
from experiments.long_range_memory.training import train

SEED = 1000
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TASKS = "copy,adding,sequential"


def tune(config: Config, rates: tuple[float, ...], lab: Lab) -> None:
    """Prints a table per task of the config, with a line per net."""
    for name in config.chosen("tasks"):
        problems = problem(name, config.length, config.num_held_out, lab.data)
        steps = config.steps if name in MADE else config.digit_steps
        print(name.ljust(12), *(f"{rate:>8g}" for rate in rates), flush=True)

        def line(net: str, task: Task, sets: Sets, steps: int) -> dict[str, str]:
            arguments = (lab, build(net, task), task, sets, steps)
            ratios = [_ratio(*arguments, rate) for rate in rates]
            return {net: " ".join(f"{ratio:8.3f}" for ratio in ratios)}

        lines = lab.measure(
            {net: partial(line, net, *problems, steps) for net in config.chosen("nets")}
        )
        for net, ratios in lines.items():
            print(net.ljust(12), ratios, flush=True)


def _ratio(
    lab: Lab, net: Net, task: Task, sets: Sets, steps: int, rate: float
) -> float:
    """Validation loss over chance after the last step; nan where it diverged."""
    try:
        trained = train(keys(SEED, 1), lab, net, task, sets, steps, rate)
    except NotFinite:
        return float("nan")
    ratio = float(trained.losses[0, -1, 0] / task.chance)
    print(f"{net.name}, {task.name}, {rate:g}: {ratio:.3f}", file=sys.stderr)
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser()
    for field in dataclasses.fields(Config):
        default = TASKS if field.name == "tasks" else field.default
        parser.add_argument(f"--{field.name}", type=type(default), default=default)
    parser.add_argument("--rates", default=",".join(map(str, RATES)))
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data_dir")
    given = vars(parser.parse_args())
    rates = tuple(map(float, given.pop("rates").split(",")))
    data, data_dir = given.pop("data"), given.pop("data_dir")
    lab = Lab(data, data_dir, lambda *_, **__: None, lambda *_: None)
    tune(Config(**given), rates, lab)


if __name__ == "__main__":
    main()
