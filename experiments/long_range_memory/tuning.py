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
ended above 0.6 of the blind guess. The plain RNN gets the lowest rate for adding, where
it is no better than that guess at any of them. Images in a fixed order take the
rates of those row by row. Test sequences are not looked at. On CPU, jax 0.10.2,
after 1,000 steps (digits: 600) of T = 100; 38 minutes of CPU time, 24 on two cores:

    copy          0.0001   0.0003    0.001    0.003     0.01     0.03      0.1      0.3
    rnn            1.149    1.032    1.004    1.004    1.005    0.997*   1.593    8.595
      worst                                                              3.678   13.459
    orthogonal     1.141    1.028    1.004    1.004    1.004*   1.035    1.409    2.995
      worst                                                              2.678    4.949
    lstm           1.754    1.421    1.030    1.003    1.001    1.003    1.004*   1.445
      worst                                                                       3.149
    gru            1.352    1.078    1.010    0.985    0.976    0.810    0.789*   1.000
    shallow        1.054    1.004    1.001    1.001    1.001    1.001    1.003*   1.054
    dilated        0.980    0.066    0.002*   0.007    0.124    0.049    1.049    1.166
      worst                          0.011    1.001    1.002    1.001
    adding        0.0001   0.0003    0.001    0.003     0.01     0.03      0.1      0.3
    rnn            1.016*   1.031    1.105    1.070    1.149    2.321    7.530   32.569
      worst                                                     9.553   20.511  107.696
    orthogonal     1.015    1.031    1.015*   1.051    1.151    1.407    6.042    1.541
      worst                                                     2.517   15.406
    lstm           1.001    0.619    0.342    0.022    0.006*   0.007    0.035    3.701
      worst                 0.978    1.210    0.052             0.021    1.022   19.288
    gru            0.994    0.501    0.026    0.007    0.003    0.003    0.001*   6.973
      worst                 0.950    0.045             0.007    0.007    0.002   16.052
    shallow        1.085    1.021    1.008    1.003    0.997    1.001*   1.018    1.046
    dilated        1.094    1.032    0.152    0.047    0.020*   0.307    0.987    1.044
      worst                                   0.083             0.589
    digits        0.0001   0.0003    0.001    0.003     0.01     0.03      0.1      0.3
    rnn            0.703    0.492    0.275    0.234*   0.806    1.058    1.447    2.199
    orthogonal     0.677    0.434    0.203    0.184*   0.850    1.086    1.331    1.934
    lstm           0.869    0.638    0.408    0.267    0.233    0.182*   0.368    0.958
    gru            0.954    0.682    0.407    0.291    0.248    0.223*   0.685    1.075
    shallow        0.922    0.835    0.804    0.802*   0.807    0.803    0.818    0.972
    dilated        0.666    0.173    0.069    0.066*   0.100    0.179    0.739    1.020

At T = 500 the GRU's 0.1 leaves the finite numbers on adding; three rates below it, from
`--length=500 --tasks=adding --nets=gru --rates=0.003,0.01,0.03`, ten minutes:

    adding-500     0.003     0.01     0.03
    gru            0.007    0.006    0.002*

MNIST's 784 steps take other rates, of three only, since each takes 14 minutes on two
cores: `--data=mnist --data_dir=DIR --tasks=sequential --rates=1e-3,3e-3,1e-2`. Stars
at either end of that row may not be the best rate there is.

    mnist          0.001    0.003     0.01
    rnn            0.996*   1.014    1.031
    orthogonal     0.941*   1.005    1.033
    lstm           0.864*   0.926    0.990
    gru            0.754    0.657*   0.667
    shallow        0.981*   0.982    0.983
    dilated        0.193    0.168    0.160*
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.long_range_memory import Config
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import Net, build
from experiments.long_range_memory.tasks import Sets, Task, problem
from experiments.long_range_memory.training import LONG, train

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
        title = name if name in MADE else lab.data_name
        if name in MADE and config.length >= LONG:
            title = f"{name}-{LONG}"
        print(line(title, [f"{rate:g}" for rate in rates]), flush=True)

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
    start, label = keys(SEED, NUM_SEEDS), f"{net.name}, {task.name}, {rate:g}"
    trained = train(start, lab, net, task, sets, steps, rate, label)
    ratios = np.nan_to_num(trained.ratios[:, -1, 0], nan=np.inf)
    print(f"{label}: {ratios}", file=sys.stderr)
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
