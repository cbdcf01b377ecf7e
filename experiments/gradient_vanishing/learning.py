"""What learns, and how fast: steps to an error by activation, changes by layer."""

import jax
import numpy as np
from jax import Array

from cnn_jax.data import Split
from experiments.gradient_vanishing.descent import (
    Arm,
    Descent,
    descend,
    examples,
)
from experiments.harness.claims import Metrics, Shown
from experiments.harness.lab import Lab

GOAL = 0.25  # train error
SHALLOW, DEEP = 3, 5  # hidden layers: of the race, and of the starving nets
SGD_RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
# Chosen on validation digits by `python -m experiments.gradient_vanishing.tuning`.
RACERS = {
    "relu": Arm("relu", 0.3),
    "tanh": Arm("tanh", 0.3),
    "sigmoid": Arm("sigmoid", 3.0),
}
LEARNERS = {
    "sgd": {"sigmoid": Arm("sigmoid", 3.0), "relu": Arm("relu", 0.3)},
    "adam": {"sigmoid": Arm("sigmoid", 1e-2), "relu": Arm("relu", 3e-3)},
}


def steps_to(goal: float, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first step after which the error is at most `goal`.

    Args:
        goal: a share.
        errors: [..., steps], after each step.

    Returns:
        (steps [...], from 1; where the goal is not reached, all of them; whether it was
        not reached [...]).
    """
    below = errors <= goal
    missed = np.asarray(~below.any(-1))
    return np.where(missed, errors.shape[-1], below.argmax(-1) + 1), missed


def race(keys: Array, lab: Lab, digits: Split, steps: int) -> Metrics:
    """relu-converges-faster: steps of SGD to a train error of 25 %.

    Returns:
        steps-over-relu/{tanh, sigmoid} [seeds]: their steps over the ReLU's, NaN where
        neither arm of the pair arrived; censored/{tanh, sigmoid} [seeds]: where the
        budget ended first for the slower arm of the pair, so that the ratio is a bound,
        1 below (that arm) and -1 above (the ReLU); fewest-steps [seeds] of any arm.
    """
    data = examples(digits, digits)
    arms = descend(
        keys, lab, "race", data, RACERS, hidden=SHALLOW, optimizer="sgd", steps=steps
    )
    took = {name: steps_to(GOAL, each.errors) for name, each in arms.items()}
    fastest, late = took["relu"]
    metrics: dict = {
        "fewest-steps": np.min([each for each, _ in took.values()], axis=0)
    }
    for name in ("tanh", "sigmoid"):
        number, missed = took[name]
        known = np.where(missed & late, np.nan, number / fastest)
        metrics[f"steps-over-relu/{name}"] = known
        metrics[f"censored/{name}"] = missed.astype(int) - late
    rates = ", ".join(f"{name} {arm.rate:g}" for name, arm in RACERS.items())
    return metrics | {
        "steps-to-goal": Shown(
            np.stack([took[name][0] for name in RACERS]),
            f"steps of SGD to a train error of {GOAL:.0%}, all where it is not reached "
            f"[{', '.join(RACERS)}; seed]; learning rates {rates}",
        ),
        "train-errors": Shown(
            100 * np.stack([arms[name].errors for name in RACERS]),
            f"train error after each step [{', '.join(RACERS)}; seed; step]",
            "%",
        ),
    }


def relative_changes(descent: Descent) -> np.ndarray:
    """‖K_T − K_0‖ / ‖K_0‖ of every layer: [seeds, layers], the readout last."""

    def norms(params) -> np.ndarray:
        kernels = [np.asarray(layer["kernel"], float) for layer in params]
        return np.stack([np.linalg.norm(each, axis=(1, 2)) for each in kernels], 1)

    difference = jax.tree.map(np.subtract, descent.after, descent.before)
    return norms(difference) / norms(descent.before)


def changes(
    optimizer: str, keys: Array, lab: Lab, digits: Split, steps: int
) -> Metrics:
    """early-layers-starve: how far the first and the last hidden kernel have moved.

    Returns:
        change-ratio/{optimizer}-{activation} [seeds]: log10 of the relative change of
        the first hidden kernel over that of the last; last-change/{optimizer}-sigmoid
        [seeds], of the last one alone.
    """
    data = examples(digits, digits)
    arms = descend(
        keys,
        lab,
        f"layers, {optimizer}",
        data,
        LEARNERS[optimizer],
        hidden=DEEP,
        optimizer=optimizer,
        steps=steps,
    )
    moved = {name: relative_changes(each) for name, each in arms.items()}
    metrics: dict = {
        f"change-ratio/{optimizer}-{name}": np.log10(each[:, 0] / each[:, DEEP - 1])
        for name, each in moved.items()
    }
    metrics[f"last-change/{optimizer}-sigmoid"] = moved["sigmoid"][:, DEEP - 1]
    names = ", ".join(arms)
    rates = ", ".join(f"{name} {a.rate:g}" for name, a in LEARNERS[optimizer].items())
    return metrics | {
        f"changes/{optimizer}": Shown(
            np.stack(list(moved.values())),
            f"relative change of the kernels after {steps} steps of {optimizer} "
            f"[{names}; seed; layer, the readout last]; learning rates {rates}",
        ),
        f"errors-after/{optimizer}": Shown(
            100 * np.stack([each.errors[:, -1] for each in arms.values()]),
            f"train error after {steps} steps of {optimizer} [{names}; seed]",
            "%",
        ),
    }


def by_rate(keys: Array, lab: Lab, digits: Split, steps: int) -> Metrics:
    """early-layers-starve at every rate of SGD, beside what the sigmoids learned."""
    data = examples(digits, digits)
    arms = descend(
        keys,
        lab,
        "layers, sgd by rate",
        data,
        {str(rate): Arm("sigmoid", rate) for rate in SGD_RATES},
        hidden=DEEP,
        optimizer="sgd",
        steps=steps,
        on_nonfinite="record",
    )
    moved = np.stack([relative_changes(each) for each in arms.values()])
    rates = f"[learning rate {', '.join(f'{rate:g}' for rate in SGD_RATES)}; seed]"
    return {
        "change-ratios-by-rate": Shown(
            np.log10(moved[..., 0] / moved[..., DEEP - 1]),
            "sigmoids and SGD: log10 of the relative change of the first hidden kernel "
            f"over that of the last {rates}",
        ),
        "errors-by-rate": Shown(
            100 * np.stack([each.errors[:, -1] for each in arms.values()]),
            f"sigmoids and SGD: train error after {steps} steps, chance is about 90 % "
            f"{rates}",
            "%",
        ),
    }
