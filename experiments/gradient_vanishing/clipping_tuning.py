"""Which learning rate the clipped runs get, on seeds that no verdict is from.

    python -m experiments.gradient_vanishing.clipping_tuning

prints the median loss of RUNS clipped runs on validation sequences, after the steps of
`clipping`. The rate of the lowest median stands in `clipping.LEARNING_RATE`, and both
arms are judged at it: a rate at which clipping works best, so that the arm without it
is not made to diverge by a rate that nobody would take. Held-out sequences are not
looked at. On 2 CPU cores, jax 0.10.2:

    learning rate      0.001    0.01     0.1       1      10
    median loss      168.898   2.533   2.131   2.086 1.8e+23

Chance is ln 8 = 2.079: so far back, no rate learns in so few steps.
"""

import sys

import numpy as np

from experiments.gradient_vanishing import clipping
from experiments.gradient_vanishing.process import prepared
from experiments.gradient_vanishing.tuning import table
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys

SEED, RUNS = 1000, 20


def medians(losses: np.ndarray) -> list[str]:
    """Of losses [rates, runs]; "-" where the middle one has left the floats."""
    ranked = np.sort(np.where(np.isfinite(losses), losses, np.inf), axis=1)
    return [_text(each) for each in np.median(ranked, axis=1)]


def _text(loss: float) -> str:
    if not np.isfinite(loss):
        return "-"
    return f"{loss:.3f}" if loss < 1000 else f"{loss:.1e}"


def main() -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    rates, runs = clipping.RATES, keys(SEED, RUNS)
    _, last = clipping.losses(runs, lab, rates, clipping.VALIDATION)
    clipped = last[:, list(clipping.ARMS).index("clipped")]
    heads = [f"{rate:g}" for rate in rates]
    print(table("learning rate", heads, {"median loss": medians(clipped)}))


if __name__ == "__main__":
    sys.exit(prepared(main))
