"""Which learning rate each net gets on each task, on seeds that no verdict is from.

    python -m experiments.long_range_memory.tuning

prints the validation loss over the blind guess's after as many steps as the run takes,
the largest of three seeds, per task, net and rate; the rate of the lowest stands in
`training.LEARNING_RATES`. By one seed alone a net can get a rate at which others fail:
the dilated CNN got 0.03 for adding, and three of five seeds stayed at chance. The
digits in a fixed order take the rates of the digits row by row. Test sequences are not
looked at. On CPU, jax 0.10.2, after 1,000 steps (digits: 600) of T = 100:

    copy           0.0003    0.001    0.003     0.01     0.03      0.1      0.3
    rnn             1.037    1.005    1.005    1.006    1.017    3.678   13.459
    orthogonal      1.030    1.005    1.005    1.005    1.048    2.678    4.949
    lstm            1.518    1.030    1.004    1.002    1.005    1.006    3.149
    gru             1.081    1.010    1.002    1.004    0.866    0.812    1.045
    shallow         1.005    1.001    1.002    1.002    1.003    1.006    1.165
    dilated         0.094    0.011    1.001    1.002    1.001    1.074    1.169
    adding         0.0003    0.001    0.003     0.01     0.03      0.1      0.3
    rnn             1.091    1.113    1.193    1.429    1.984   14.964  110.485
    orthogonal      1.092    1.097    1.101    1.139    1.525   15.786  256.605
    lstm            0.702    0.521    0.028    0.014    0.021    1.047    2.661
    gru             0.974    0.047    0.010    0.007    0.007    0.003    4.632
    shallow         1.078    1.044    1.056    1.033    1.046    1.054    1.101
    dilated         1.129    0.188    0.061    0.026    0.609    1.050    1.101
    sequential     0.0003    0.001    0.003     0.01     0.03      0.1      0.3
    rnn             0.510    0.306    0.263    0.891    1.175    1.514    2.613
    orthogonal      0.489    0.228    0.194    1.038    1.114    1.448    2.395
    lstm            0.674    0.422    0.303    0.245    0.246    0.400    1.117
    gru             0.736    0.408    0.310    0.340    0.232    0.785    1.359
    shallow         0.837    0.806    0.805    0.813    0.813    0.821    1.001
    dilated         0.249    0.101    0.086    0.126    0.198    1.008    1.024

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

SEED, NUM_SEEDS = 1000, 3
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
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
    """The largest validation ratio at the end; nan where one diverged."""
    try:
        trained = train(keys(SEED, NUM_SEEDS), lab, net, task, sets, steps, rate)
    except NotFinite:
        return float("nan")
    ratio = float(trained.ratios[:, -1, 0].max())
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
