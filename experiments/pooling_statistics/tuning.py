"""Which learning rate each net gets, on validation digits and seeds of no verdict.

    python -m experiments.pooling_statistics.tuning

holds out a fifth of the training digits, trains on the others, and prints the error in
percent on what was held out, the largest of three seeds: of the nets of four pools
after all steps, of the twins at the first look at which the train loss is at the
target, nan where a seed never gets there. The rate of the lowest error stands in
`nets.RATES`. Test digits are not looked at. On CPU, jax 0.10.2, of those tried:

    net          0.002   0.005    0.01    0.02    0.04
    max-avg              19.86   13.24   40.07
    max-max      24.04   12.54   16.03   92.68
    avg-avg              32.40   17.77   92.68   92.68
    avg-max              20.91   13.59   18.82   91.99
    pooled       40.07   33.80   43.90     nan
    unpooled     76.66   70.03     nan

By one seed alone avg-avg got 0.02, at which another seed never learns.
"""

import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.pooling_statistics import Config
from experiments.pooling_statistics.fields import Task, task_of
from experiments.pooling_statistics.nets import TWINS, train

SEED, NUM_SEEDS = 1000, 3
HELD_OUT = 5  # one digit in so many
TRIED = {
    "max-avg": (5e-3, 1e-2, 2e-2),
    "max-max": (2e-3, 5e-3, 1e-2, 2e-2),
    "avg-avg": (5e-3, 1e-2, 2e-2, 4e-2),
    "avg-max": (5e-3, 1e-2, 2e-2, 4e-2),
    "pooled": (2e-3, 5e-3, 1e-2, 2e-2),
    "unpooled": (2e-3, 5e-3, 1e-2),
}


def halves(canvases: Split) -> Task:
    """Canvases to train on, and to validate on."""
    order = np.random.RandomState(SEED).permutation(len(canvases.labels))
    cut = len(order) // HELD_OUT
    parts = [
        Split(canvases.images[each], canvases.labels[each])
        for each in (order[cut:], order[:cut])
    ]
    return Task(*parts)


def validation_errors(lab: Lab, task: Task, name: str, config: Config) -> np.ndarray:
    """The largest of the seeds per rate, %; NaN where a twin misses the target."""
    twin, rates = name in TWINS, TRIED[name]
    steps, target = (config.limit, config.target) if twin else (config.steps, 0.0)
    seeds = jnp.tile(keys(SEED, NUM_SEEDS), len(rates))
    each = tuple(np.repeat(rates, NUM_SEEDS).tolist())
    trained = train(seeds, lab, task, name, steps, target, each)
    errors = 100 * trained.wrong.mean(1)
    errors = np.where(trained.reached | (not twin), errors, np.nan)
    return errors.reshape(len(rates), NUM_SEEDS).max(1)


def main(config: Config | None = None) -> None:
    config = config or Config()
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    task = halves(task_of(lab.data(), config.num_train, config.num_test).train)
    columns = sorted({rate for rates in TRIED.values() for rate in rates})
    print("net".ljust(10), *(f"{rate:>7g}" for rate in columns), flush=True)
    for name, rates in TRIED.items():
        errors = validation_errors(lab, task, name, config)
        found = dict(zip(rates, errors, strict=True))
        cells = [f"{found[rate]:7.2f}" if rate in found else "" for rate in columns]
        line = " ".join([name.ljust(10), *(f"{cell:7}" for cell in cells)])
        print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
