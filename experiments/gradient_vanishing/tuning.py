"""Which learning rate each trained net of depth gets, on validation digits.

    python -m experiments.gradient_vanishing.tuning

holds out a fifth of the training digits and trains on the others, from NUM_SEEDS seeds
that no verdict is from. It prints means over the seeds: of the race the steps to a
validation error of 25 %; of all other nets the validation error after the last step,
that of the residual networks at 32 layers. The lowest mean wins, of two the lower rate.
- one of the seeds has left the finite numbers; > one of them has not got there, and
counts with all its steps.

The held-out digits are of the training set that the rows then train on and judge: rows
are about its train error, and the test digits are looked at by nobody.

About 16 minutes of CPU time, most of them for the residual networks, on 2 CPU cores in
the environment of a run, on whose last bits training at large rates depends; jax
0.10.2:

    steps to 25 %       relu    tanh sigmoid
    rate 0.01           99.7    98.3 >1000.0
    rate 0.015          70.7    64.7 >1000.0
    rate 0.02           52.7    48.3 >1000.0
    rate 0.03           36.7    34.0 >1000.0
    rate 0.05           23.0    19.7 >1000.0
    rate 0.07           18.7    16.0 >1000.0
    rate 0.1            14.7    12.0  >963.0
    rate 0.15           13.7     8.0   669.0
    rate 0.2            13.0     5.3   507.7
    rate 0.3            10.3     4.7   336.0
    rate 0.5            21.3     6.3   219.7
    rate 0.7            98.7    17.0   166.0
    rate 1            >400.0    87.0   151.3
    rate 1.5               - >1000.0   137.3
    rate 2                 - >1000.0   139.0
    rate 3                 - >1000.0   149.0
    rate 5                 - >1000.0   185.3
    rate 7                 - >1000.0   367.0

    % wrong             0.01    0.03     0.1     0.3       1       3      10
    sigmoid, sgd       92.92   92.10   90.01   23.11   44.13    4.53   88.62
    relu, sgd           3.83    3.25    3.14    2.90       -       -       -

    % wrong           0.0003   0.001   0.003    0.01    0.03
    sigmoid, adam      59.93   21.37    5.69    4.88    7.43
    relu, adam          3.60    3.37    2.56    2.21    5.69

    % wrong           0.0005   0.001   0.002   0.004   0.008
    residual            4.41    2.44    1.97    2.32    3.72
    plain              26.36    9.06    7.20   16.84   25.90
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from experiments.gradient_vanishing import Config, residual
from experiments.gradient_vanishing.descent import (
    CHUNK,
    Arm,
    Descent,
    Examples,
    descend,
    examples,
)
from experiments.gradient_vanishing.learning import (
    DEEP,
    GOAL,
    LEARNERS,
    RACERS,
    RATES,
    SHALLOW,
    steps_to,
)
from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys

SEED, NUM_SEEDS = 1000, 3
HELD_OUT = 5  # one digit in so many
RACE_RATES = tuple(m * 10.0**e for e in (-2, -1, 0) for m in (1, 1.5, 2, 3, 5, 7))
ADAM_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
RESNET_RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)


def halves(digits: Split) -> tuple[Split, Split]:
    """Digits to train on, and to validate on."""
    order = np.random.default_rng(SEED).permutation(len(digits.labels))
    cut = len(order) // HELD_OUT
    train, held_out = order[cut:], order[:cut]
    return (
        Split(digits.images[train], digits.labels[train]),
        Split(digits.images[held_out], digits.labels[held_out]),
    )


def _descents(
    lab: Lab,
    data: Examples,
    activation: str,
    rates: tuple[float, ...],
    **options: Any,
) -> list[Descent]:
    """Every seed at each rate; errors are of the validation digits."""
    arms = {str(rate): Arm(activation, rate) for rate in rates}
    seeds = keys(SEED, NUM_SEEDS)
    options |= {"on_nonfinite": "record"}
    return list(descend(seeds, lab, activation, data, arms, **options).values())


def diverged(descent: Descent) -> np.ndarray:
    """Of which seeds params have left the finite numbers: [seeds]."""
    leaves = jax.tree.leaves(descent.after)
    finite = [np.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in leaves]
    return ~np.all(finite, axis=0)


def steps_text(descent: Descent) -> str:
    """Mean steps to the goal; ">" where a seed missed it, "-" where that diverged."""
    steps, missed = steps_to(GOAL, descent.errors)
    if (missed & diverged(descent)).any():
        return "-"
    return f"{'>' if missed.any() else ''}{steps.mean():.1f}"


def error_text(descent: Descent) -> str:
    """Mean error after the last step, in %; "-" where a seed diverged."""
    if diverged(descent).any():
        return "-"
    return f"{100 * descent.errors[:, -1].mean():.2f}"


def table(
    title: str, heads: Iterable[str], rows: dict[str, list[str]], width: int = 16
) -> str:
    """Lines of columns that are as wide as those above, the first one of `width`."""
    lines = {title: list(heads), **rows}
    return "\n".join(
        label.ljust(width) + "".join(text.rjust(8) for text in texts)
        for label, texts in lines.items()
    )


def _race(lab: Lab, data: Examples, name: str) -> list[str]:
    """Steps to the goal [rates]."""
    options = {"hidden": SHALLOW, "optimizer": "sgd", "steps": Config().steps}
    found = _descents(lab, data, name, RACE_RATES, **options)
    return [steps_text(each) for each in found]


def _layers(
    lab: Lab, data: Examples, name: str, rates: tuple[float, ...], optimizer: str
) -> list[str]:
    """Errors of the deep nets [rates]."""
    steps = Config().sgd_steps if optimizer == "sgd" else Config().steps
    options = {"hidden": DEEP, "optimizer": optimizer, "steps": steps, "every": CHUNK}
    found = _descents(lab, data, name, rates, **options)
    return [error_text(each) for each in found]


def _resnet(lab: Lab, train: Split, held_out: Split, name: str) -> list[str]:
    """Mean validation error of one design, in % [rates]."""
    size = Config().depth, Config().resnet_steps
    rates = jnp.repeat(jnp.asarray(RESNET_RATES), NUM_SEEDS)
    seeds = jnp.tile(keys(SEED, NUM_SEEDS), len(RESNET_RATES))
    errors = residual.train(
        name, seeds, lab, train, held_out, size, rates, on_nonfinite="record"
    )
    means = errors.reshape(len(RESNET_RATES), NUM_SEEDS).mean(1)
    return [f"{100 * mean:.2f}" for mean in means]


def _labeled(
    label: str, measure: Callable[..., list[str]], *arguments: Any
) -> dict[str, list[str]]:
    """One entry of a table, told as soon as it is there."""
    found = measure(*arguments)
    print("measured", label, *found, flush=True)
    return {label: found}


OPTIMIZERS = {"sgd": RATES, "adam": ADAM_RATES}


def _measurements(lab: Lab, digits: Split) -> dict[str, tuple[Any, ...]]:
    """Label -> function and arguments, the longest first."""
    train, held_out = halves(digits)
    data = examples(train, held_out)
    resnets: dict[str, tuple[Any, ...]] = {
        name: (_resnet, lab, train, held_out, name) for name in residual.RATES
    }
    races = {f"race, {name}": (_race, lab, data, name) for name in RACERS}
    layers = {
        f"{name}, {optimizer}": (_layers, lab, data, name, rates, optimizer)
        for optimizer, rates in OPTIMIZERS.items()
        for name in LEARNERS[optimizer]
    }
    return {**resnets, **races, **layers}


def main() -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    measurements = _measurements(lab, lab.data().train)
    found = lab.measure(
        {label: partial(_labeled, label, *each) for label, each in measurements.items()}
    )
    print(tables(found))


def tables(found: dict[str, list[str]]) -> str:
    """As above, of what the measurements have found by their labels."""
    columns = [found[f"race, {name}"] for name in RACERS]
    steps = {
        f"rate {rate:g}": list(row)
        for rate, row in zip(RACE_RATES, zip(*columns, strict=True), strict=True)
    }
    parts = [table(f"steps to {100 * GOAL:.0f} %", RACERS, steps)]
    for optimizer, rates in OPTIMIZERS.items():
        labels = [f"{name}, {optimizer}" for name in LEARNERS[optimizer]]
        parts.append(_wrong(rates, {label: found[label] for label in labels}))
    parts.append(_wrong(RESNET_RATES, {name: found[name] for name in residual.RATES}))
    return "\n\n".join(parts)


def _wrong(rates: tuple[float, ...], rows: dict[str, list[str]]) -> str:
    return table("% wrong", [f"{rate:g}" for rate in rates], rows)


if __name__ == "__main__":
    environment.restart()
    main()
