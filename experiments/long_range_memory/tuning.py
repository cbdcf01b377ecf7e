"""Which learning rate each net gets on each task, on a seed that no verdict is from.

    python -m experiments.long_range_memory.tuning

prints the validation loss over chance after as many steps as the run takes, per task,
net and rate; the rate of the lowest stands in `training.LEARNING_RATES`. The digits in
a fixed order take those of the digits row by row. Test sequences are not looked at.
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
