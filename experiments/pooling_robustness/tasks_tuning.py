"""Which learning rate each net of the tasks gets, on parts of the training images.

    python -m experiments.pooling_robustness.tasks_tuning [--data=mnist --data_dir=DIR]

prints the error in percent on validation images after all steps, the largest of three
seeds that no verdict is from. A fifth of the training images is held out, of mnist of
the first 5,000. The nets of the field learn as many images as are left, 1,150 or 4,000;
those of outlines are validated on pictures of the scale that they learn. The rate of
the lowest error, of equals the largest, stands in `tasks_nets.RATES`, 0.02 left out, at
which most of these nets learn nothing. On CPU, jax 0.10.2:

    net                  0.001   0.002   0.005    0.01    0.02
    field-pooled         49.83   42.16   34.15   40.77   91.99
    field-strided        77.35   75.96   75.61   75.96   91.99
    location-pooled       2.09    1.74    2.09    2.09    2.44
    location-strided      2.44    2.09    3.14    2.44    1.74
    outlines-1            3.48    3.14    3.14    3.48   92.68
    outlines-2           12.89   12.20    7.67    8.36   92.68
    outlines-4           22.65   19.16   17.77   21.25   92.68
    patterns-5           28.22   13.24   10.45   16.72   79.09
    patterns-9           18.82    7.32    8.71    8.36   92.68
    patterns-17           4.88    3.83    3.48    2.09    5.23
    patterns-full         2.79    3.48    3.48    5.57   11.50
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Dataset
from cnn_jax.data.sources import find
from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.harness.seeds import keys
from experiments.harness.training import Trained
from experiments.pooling_robustness import Config
from experiments.pooling_robustness.tasks import ALL_TASKS
from experiments.pooling_robustness.tasks_images import (
    SCALES,
    VIEWS,
    field_tasks,
    first,
    outlines,
)
from experiments.pooling_robustness.tasks_nets import (
    TWINS,
    sizes_of,
    train_field,
    train_local,
    train_outlines,
)
from experiments.strong_prior.tuning import HELD_OUT, held_out

SEED, NUM_SEEDS = 1000, 3
LARGEST = 5000  # images that train or validate
KINDS = ("field", "canvas", "local")
STEPS = {kind: getattr(Config, f"{kind}_steps") for kind in KINDS}
RATES = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2)


class Tuned(NamedTuple):
    """A net, trained by `train(keys, rates=rates)`; which test images validate it."""

    name: str
    train: Callable[..., Trained]
    part: slice = slice(None)


def validation(data: Dataset) -> Dataset:
    """A data set whose test images are a part of its training images."""
    few = first(data, LARGEST, 0).train
    train, test = held_out(few, len(few.labels) // HELD_OUT)
    return dataclasses.replace(data, train=train, test=test)


def tuned(lab: Lab, tasks: str, steps: dict[str, int]) -> Iterator[Tuned]:
    """The nets of the tasks, in the order of `RATES`.

    Args:
      lab: gives data, logs and watches.
      tasks: as in the experiment's settings.
      steps: of the nets of the field, of outlines and of local patterns, as in STEPS.
    """
    asked = listed("tasks", tasks, ALL_TASKS)
    data = validation(lab.data())
    limits = len(data.train.labels), len(data.test.labels)
    if "field" in asked:
        for name, task in field_tasks(data, *limits).items():
            sizes = sizes_of(lab.data_name, task)[-1:]
            given = {
                "task": task,
                "name": name,
                "steps": steps["field"],
                "sizes": sizes,
            }
            for net in TWINS:
                train = partial(train_field, lab=lab, net=net, **given)
                yield Tuned(f"{name}-{net}", train)
    if "outlines" in asked:
        seen = outlines(data, find(lab.data_name), *limits)
        for scale in SCALES:
            start = VIEWS.index(("shrunk", scale)) * limits[1]
            part = slice(start, start + limits[1])
            given = {"pictures": seen, "scale": scale, "steps": steps["canvas"]}
            train = partial(train_outlines, lab=lab, **given)
            yield Tuned(f"outlines-{scale}", train, part)
    fields = [name.removeprefix("patterns-") for name in asked if "-" in name]
    whole = validation(lab.data(view="canvas"))
    for field in (*fields, "full") if fields else ():
        given = {"data": whole, "field": field, "steps": steps["local"]}
        yield Tuned(f"patterns-{field}", partial(train_local, lab=lab, **given))


def validation_errors(net: Tuned) -> np.ndarray:
    """The largest of the seeds per rate, %."""
    seeds = jnp.tile(keys(SEED, NUM_SEEDS), len(RATES))
    rates = tuple(np.repeat(RATES, NUM_SEEDS).tolist())
    wrong = net.train(seeds, rates=rates).wrong[:, net.part]
    return 100 * wrong.mean(1).reshape(len(RATES), NUM_SEEDS).max(1)


def line(name: str, errors: Iterable[float]) -> str:
    """A row of the table."""
    return " ".join([name.ljust(18), *(f"{error:7.2f}" for error in errors)])


def main(lab: Lab, tasks: str, steps: dict[str, int]) -> None:
    print("net".ljust(18), *(f"{rate:>7g}" for rate in RATES), flush=True)
    for net in tuned(lab, tasks, steps):
        print(line(net.name, validation_errors(net)), flush=True)


if __name__ == "__main__":
    environment.restart()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data_dir")
    parser.add_argument("--tasks", default="all")
    for kind, number in STEPS.items():
        parser.add_argument(f"--{kind}_steps", type=int, default=number)
    given = parser.parse_args()
    silent = Lab(given.data, given.data_dir, lambda *_, **__: None, lambda *_: None)
    steps = {kind: getattr(given, f"{kind}_steps") for kind in STEPS}
    main(silent, given.tasks, steps)
