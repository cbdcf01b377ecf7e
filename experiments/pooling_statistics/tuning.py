"""Which learning rate each net gets, on validation digits of one seed.

    python -m experiments.pooling_statistics.tuning

holds out a fifth of the training digits, trains on the others from a seed that no
verdict is from, and prints the error in percent on what was held out: of the nets of
four pools after all steps, of the twins at the first look at which the train loss is
at the target, nan where it never is. The rate of the lowest error stands in
`nets.RATES`. Test digits are not looked at. On 2 CPU cores, jax 0.10.2, of those tried
(early averages and the twins do best at the largest of these: the next is to be tried):

    net          0.005    0.01    0.02    0.04
    max-avg      17.77   11.15   11.50
    max-max      12.54    9.41   12.54
    avg-avg      32.40   16.38   10.80
    avg-max      18.47   12.54   10.10

    net          0.001   0.002   0.005    0.01
    pooled       42.51   40.07   33.80
    unpooled     76.31   73.52   70.03
"""

import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.pooling_statistics import Config
from experiments.pooling_statistics.fields import Task, task_of
from experiments.pooling_statistics.nets import STACKS, TWINS, train

SEED = 1000
HELD_OUT = 5  # one digit in so many
STACK_RATES = (5e-3, 1e-2, 2e-2, 4e-2)
TWIN_RATES = (1e-3, 2e-3, 5e-3, 1e-2)


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
    """One per rate, in percent; NaN where a twin does not reach the target."""
    twin = name in TWINS
    rates = TWIN_RATES if twin else STACK_RATES
    seeds = jnp.repeat(keys(SEED, 1), len(rates))
    steps, target = (config.limit, config.target) if twin else (config.steps, 0.0)
    trained = train(seeds, lab, task, name, steps, target, rates)
    errors = 100 * trained.wrong.mean(1)
    return np.where(trained.reached | (not twin), errors, np.nan)


def main(config: Config | None = None) -> None:
    config = config or Config()
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    digits = task_of(lab.data(), config.num_train, config.num_test).train
    for kind, rates in ((STACKS, STACK_RATES), (TWINS, TWIN_RATES)):
        print("net".ljust(10), *(f"{rate:>7g}" for rate in rates))
        for name in kind:
            errors = validation_errors(lab, halves(digits), name, config)
            print(name.ljust(10), *(f"{each:7.2f}" for each in errors), flush=True)


if __name__ == "__main__":
    main()
