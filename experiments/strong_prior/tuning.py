"""Which learning rate each net gets, on parts of the training images.

    python -m experiments.strong_prior.tuning [--data=mnist --data_dir=DIR]

prints the error in percent on validation images, the largest of three seeds that no
verdict is from: of the nets of the prior after all steps, of those of sharing at the
first look at which the train loss is at the target, nan where a seed never gets there.
The rate of the lowest error stands in `trainings.RATES`; test images are not looked at.
Of digits a fifth of the training images is held out; of MNIST the nets learn 1,000
images and are validated on the last 2,000 of the first 6,000; of the left half of each
photograph the upper half trains and the lower one validates. On CPU, jax 0.10.2:

    net                          0.001   0.002   0.005    0.01
    field-conv-natural           51.92   37.98   30.66   39.37
    field-conv-permuted          86.76   82.23   81.88   91.99
    field-dense-natural          81.18   76.66   75.26   74.91
    field-dense-permuted         81.53   76.66   77.00   76.31
    location-conv-natural         2.09    1.74    1.05    1.39
    location-dense-natural        2.79    3.14    2.79    3.14
    textures-conv-natural         4.69    3.65    2.60    9.38
    textures-conv-permuted       25.52   19.79   22.92   66.67
    textures-dense-natural       30.21   30.21   34.38   30.21
    textures-dense-permuted      31.25   30.73   30.73   33.85
    mnist-conv-natural            6.50    5.95    8.00    8.25
    mnist-conv-permuted          14.35   13.00   19.35   89.45
    mnist-dense-natural          11.50   11.15   12.35   13.30
    mnist-dense-permuted         11.05   11.45    9.75   11.95
    sharing-conv                 75.96   77.35   76.31   76.66
    sharing-unshared             80.84   78.40   75.26   77.35
    sharing-dense                75.26   74.22   70.73     nan
"""

import argparse
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Dataset, Split
from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.strong_prior import Config
from experiments.strong_prior.nets import ARMS, SHARING
from experiments.strong_prior.tasks import Task, fields, mnist, textures
from experiments.strong_prior.trainings import (
    DESIGNS,
    JUDGED,
    SIZES,
    train_prior,
    train_sharing,
)

SEED, NUM_SEEDS = 1000, 3
HELD_OUT = 5  # one digit in so many
VALIDATION = 2000  # images of MNIST
RATES = (1e-3, 2e-3, 5e-3, 1e-2)


def held_out(split: Split, number: int) -> tuple[Split, Split]:
    """The images that train, and `number` drawn for validation."""
    order = np.random.RandomState(SEED).permutation(len(split.labels))
    train, validation = (
        Split(split.images[each], split.labels[each])
        for each in (order[number:], order[:number])
    )
    return train, validation


def validation_tasks(lab: Lab) -> dict[str, Task]:
    """The tasks of the experiment, made of training images alone."""
    digits = lab.data("digits")
    parts = held_out(digits.train, len(digits.train.labels) // HELD_OUT)
    found = fields(_dataset(digits, *parts))
    turned = {
        name: whole[:, : whole.shape[1] // 2].swapaxes(0, 1)
        for name, whole in lab.whole_photographs().items()
    }
    found["textures"] = textures(turned)
    if lab.data_name == "mnist":
        data = lab.data()
        first = Split(*(each[: max(SIZES) + VALIDATION] for each in data.train))
        last = Split(*(each[max(SIZES) :] for each in first))
        parts = _dataset(data, first, last)
        found["mnist"] = mnist(parts, max(SIZES), VALIDATION)
    return found


def _dataset(like: Dataset, train: Split, test: Split) -> Dataset:
    return Dataset(like.name, train, test, like.num_classes, like.description)


def prior_errors(
    lab: Lab, task: Task, name: str, arm: str, steps: int
) -> dict[str, np.ndarray]:
    """The largest of the seeds per rate, %, by pixels."""
    pixels = DESIGNS[name].pixels
    sizes = (JUDGED,) if name == "mnist" else (0,)
    trained = train_prior(
        jnp.tile(keys(SEED, NUM_SEEDS), len(RATES)),
        lab,
        task,
        name,
        arm,
        steps,
        tuple(np.repeat(RATES, NUM_SEEDS).tolist()),
        sizes,
    )
    errors = 100 * trained.wrong.mean(1)
    errors = errors.reshape(len(pixels), len(RATES), NUM_SEEDS).max(2)
    return dict(zip(pixels, errors, strict=True))


def sharing_errors(lab: Lab, task: Task, arm: str, config: Config) -> np.ndarray:
    """The same of a net of sharing; NaN where it misses the target."""
    trained = train_sharing(
        jnp.tile(keys(SEED, NUM_SEEDS), len(RATES)),
        lab,
        task,
        arm,
        config.limit,
        config.target,
        tuple(np.repeat(RATES, NUM_SEEDS).tolist()),
    )
    errors = np.where(trained.reached, 100 * trained.wrong.mean(1), np.nan)
    return errors.reshape(len(RATES), NUM_SEEDS).max(1)


def line(name: str, errors: Iterable[float]) -> str:
    """A row of the table."""
    return " ".join([name.ljust(26), *(f"{error:7.2f}" for error in errors)])


def main(lab: Lab, config: Config | None = None) -> None:
    config = config or Config()
    tasks = validation_tasks(lab)
    print("net".ljust(26), *(f"{rate:>7g}" for rate in RATES), flush=True)
    for name in config.chosen():
        for arm in ARMS if name in tasks else ():
            found = prior_errors(lab, tasks[name], name, arm, config.steps)
            for pixels, errors in found.items():
                print(line(f"{name}-{arm}-{pixels}", errors), flush=True)
    for arm in SHARING if "sharing" in config.chosen() else ():
        errors = sharing_errors(lab, tasks["field"], arm, config)
        print(line(f"sharing-{arm}", errors), flush=True)


if __name__ == "__main__":
    environment.restart()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data_dir")
    parser.add_argument("--tasks", default="all")
    given = parser.parse_args()
    silent = Lab(given.data, given.data_dir, lambda *_, **__: None, lambda *_: None)
    main(silent, Config(tasks=given.tasks))
