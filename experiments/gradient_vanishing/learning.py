"""What learns, and how fast: steps to an error by activation, changes by layer."""

import jax
import numpy as np
from jax import Array

from cnn_jax.data import Split
from experiments.gradient_vanishing.descent import (
    CHUNK,
    Arm,
    Descent,
    descend,
    examples,
)
from experiments.harness.claims import Metrics, Shown
from experiments.harness.lab import Lab

GOAL = 0.25  # train error
SHALLOW, DEEP = 3, 5  # hidden layers: of the race, and of the starving nets
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of SGD, at which starving is shown
# Chosen on validation digits by `python -m experiments.gradient_vanishing.tuning`.
RACERS = {
    "relu": Arm("relu", 0.3),
    "tanh": Arm("tanh", 0.3),
    "sigmoid": Arm("sigmoid", 1.5),
}
LEARNERS = {
    "sgd": {"sigmoid": Arm("sigmoid", 3.0), "relu": Arm("relu", 0.3)},
    "adam": {"sigmoid": Arm("sigmoid", 1e-2), "relu": Arm("relu", 1e-2)},
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
        [seeds], of the last one alone; error-after/{optimizer}-{activation} [seeds], on
        the train digits, in %; of SGD also what every rate of RATES gives.
    """
    arms = LEARNERS[optimizer]
    trained = descend(
        keys,
        lab,
        f"layers, {optimizer}",
        examples(digits, digits),
        arms | _others(optimizer),
        hidden=DEEP,
        optimizer=optimizer,
        steps=steps,
        every=CHUNK,
        on_nonfinite="record",
    )
    moved = {name: relative_changes(each) for name, each in trained.items()}
    ratios = {
        name: np.log10(each[:, 0] / each[:, DEEP - 1]) for name, each in moved.items()
    }
    errors = {name: 100 * each.errors[:, -1] for name, each in trained.items()}
    metrics: dict = {f"change-ratio/{optimizer}-{name}": ratios[name] for name in arms}
    metrics |= {f"error-after/{optimizer}-{name}": errors[name] for name in arms}
    metrics[f"last-change/{optimizer}-sigmoid"] = moved["sigmoid"][:, DEEP - 1]
    return {
        **metrics,
        **(_by_rate(ratios, errors) if optimizer == "sgd" else {}),
        **_beside(optimizer, steps, moved, errors),
    }


def _beside(
    optimizer: str,
    steps: int,
    moved: dict[str, np.ndarray],
    errors: dict[str, np.ndarray],
) -> Metrics:
    """What is shown of every layer of the judged arms, and what they learn."""
    arms = LEARNERS[optimizer]
    names = ", ".join(arms)
    rates = ", ".join(f"{name} {arm.rate:g}" for name, arm in arms.items())
    return {
        f"changes/{optimizer}": Shown(
            np.stack([moved[name] for name in arms]),
            f"relative change of the kernels after {steps} steps of {optimizer} "
            f"[{names}; seed; layer, the readout last]; learning rates {rates}",
        ),
        f"errors-after/{optimizer}": Shown(
            np.stack([errors[name] for name in arms]),
            f"train error after {steps} steps of {optimizer} [{names}; seed]",
            "%",
        ),
    }


def _others(optimizer: str) -> dict[str, Arm]:
    """The sigmoids at the rates that are not judged, by rate."""
    rates = RATES if optimizer == "sgd" else ()
    judged = LEARNERS[optimizer]["sigmoid"].rate
    return {f"{rate:g}": Arm("sigmoid", rate) for rate in rates if rate != judged}


def _by_rate(ratios: dict[str, np.ndarray], errors: dict[str, np.ndarray]) -> Metrics:
    """What SGD does to the first layer at every rate, beside what it learns."""
    judged = LEARNERS["sgd"]["sigmoid"].rate
    names = ["sigmoid" if rate == judged else f"{rate:g}" for rate in RATES]
    axes = f"[learning rate {', '.join(f'{rate:g}' for rate in RATES)}; seed]"
    return {
        "change-ratios-by-rate": Shown(
            np.stack([ratios[name] for name in names]),
            "sigmoids and SGD: log10 of the relative change of the first hidden kernel "
            f"over that of the last {axes}",
        ),
        "errors-by-rate": Shown(
            np.stack([errors[name] for name in names]),
            f"sigmoids and SGD: train error at the end, chance is about 90 % {axes}",
            "%",
        ),
    }
