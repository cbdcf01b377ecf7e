"""Which learning rate runs with and without clipping get, on seeds no verdict is from.

    python -m experiments.gradient_vanishing.clipping_tuning

prints the median loss of RUNS runs of each arm on validation sequences, after the steps
of `clipping`. The rate of the lowest median stands in `clipping.LEARNING_RATES`; -
where the middle one has left the finite numbers. Held-out sequences are not looked at.
About a minute on 2 CPU cores, jax 0.10.2:

    rate         1e-07   1e-06   1e-05  0.0001   0.001    0.01     0.1       1      10
    clipped    2.5e+03 2.5e+03 2.5e+03 1.9e+03 168.898   2.533   2.131   2.086 1.8e+23
    unclipped   55.204  10.715       -       -       -       -       -       -       -

Chance is ln 8 = 2.079: so far back, no rate learns in so few steps, with clipping or
without. A lowest median tells where training does least harm, not where it works.
"""

import numpy as np

from experiments.gradient_vanishing import clipping
from experiments.gradient_vanishing.tuning import table
from experiments.harness import environment
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


def medians_table(last: np.ndarray) -> str:
    """As above, of the losses [rates, arms, runs] after training."""
    rows = {arm: medians(last[:, place]) for place, arm in enumerate(clipping.ARMS)}
    return table("rate", [f"{rate:g}" for rate in clipping.RATES], rows, width=10)


def main() -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    runs = keys(SEED, RUNS)
    _, last = clipping.losses(runs, lab, clipping.RATES, clipping.VALIDATION)
    print(medians_table(last))


if __name__ == "__main__":
    environment.restart()
    main()
