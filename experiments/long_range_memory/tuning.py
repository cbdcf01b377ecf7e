"""Which learning rate each net gets on each task, on seeds that no verdict is from.

    python -m experiments.long_range_memory.tuning

prints the validation loss over the blind guess's after as many steps as the run takes,
its geometric mean over three seeds, which is what the claims judge, per task, net and
rate. A second line has the worst of the three where it is more than 1.5 times the mean.
The star is at the rate of the lowest mean. Where no mean is below 0.99, the net learned
no more than the blind guess at any rate, and the lowest is noise or the rate that moves
nothing: there the star is at the largest rate within 1 % of the lowest. A rate at which
a loss left the finite numbers counts as infinite. By one seed alone a net can get a
rate at which others fail: the dilated CNN got 0.03 for adding, and three of five seeds
stayed at chance. The digits in a fixed order take the rates of the digits row by row.
Test sequences are not looked at. On CPU, jax 0.10.2, after 1,000 steps (digits: 600) of
T = 100:

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
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from experiments.harness import environment
from experiments.harness.lab import Lab, NotFinite
from experiments.harness.seeds import keys
from experiments.long_range_memory import Config
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import Net, build
from experiments.long_range_memory.tasks import Sets, Task, problem
from experiments.long_range_memory.training import train

SEED, NUM_SEEDS = 1000, 3
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
TASKS = "copy,adding,sequential"
BLIND = 0.99  # above it a net has learned no more than the blind guess
EQUAL = 1.01  # times the lowest: noise
MUCH = 1.5  # times the mean, from where on the worst seed is printed


def tune(config: Config, rates: tuple[float, ...], lab: Lab) -> None:
    """Prints a table per task of the config, with a row per net."""
    for name in config.chosen("tasks"):
        task, sets = problem(name, config.length, config.num_held_out, lab.data)
        steps = config.steps if name in MADE else config.digit_steps
        print(line(name, [f"{rate:g}" for rate in rates]), flush=True)

        def row(net: str, task: Task, sets: Sets, steps: int) -> dict[str, str]:
            arguments = (lab, build(net, task), task, sets, steps)
            ratios = [_ratios(*arguments, rate) for rate in rates]
            return {net: lines(net, rates, np.stack(ratios))}

        rows = lab.measure(
            {net: partial(row, net, task, sets, steps) for net in config.chosen("nets")}
        )
        print(*rows.values(), sep="\n", flush=True)


def _ratios(
    lab: Lab, net: Net, task: Task, sets: Sets, steps: int, rate: float
) -> np.ndarray:
    """Validation losses over the blind guess's, [seeds]; infinite if one diverged."""
    try:
        trained = train(keys(SEED, NUM_SEEDS), lab, net, task, sets, steps, rate)
    except NotFinite:
        return np.full(NUM_SEEDS, np.inf)
    ratios = trained.ratios[:, -1, 0]
    print(f"{net.name}, {task.name}, {rate:g}: {ratios}", file=sys.stderr)
    return ratios


def choice(rates: Sequence[float], means: np.ndarray) -> float:
    """The rate of the lowest mean, or the largest of those that learn nothing best."""
    lowest = means.min()
    if lowest < BLIND:
        return rates[int(means.argmin())]
    return max(
        rate for rate, mean in zip(rates, means, strict=True) if mean <= EQUAL * lowest
    )


def lines(net: str, rates: Sequence[float], ratios: np.ndarray) -> str:
    """The row of a net, ratios [rates, seeds]: means, and the worst where it is far."""
    means, worst = np.exp(np.log(ratios).mean(1)), ratios.max(1)
    star = rates.index(choice(rates, means))
    texts = [line(net, [_text(mean) for mean in means], star)]
    far = worst > MUCH * means
    if far.any():
        shown = zip(worst, far, strict=True)
        texts.append(line("  worst", [_text(each) if it else "" for each, it in shown]))
    return "\n".join(texts)


def line(label: str, cells: Sequence[str], star: int | None = None) -> str:
    """Cells of 8 characters behind a label, a star after one of them."""
    marked = [
        f"{cell:>8}{'*' if place == star else ' '}" for place, cell in enumerate(cells)
    ]
    return f"{label:<12}{''.join(marked)}".rstrip()


def _text(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 1000 else f"{ratio:.2e}"


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
    environment.restart()
    main()
