"""Which learning rate each recurrent net gets, on seeds that no verdict is from.

    python -m experiments.gradient_vanishing.recall_tuning

prints the loss of first-symbol recall on validation sequences after training, the worst
of three seeds: a rate at which some nets die is none. Test sequences are not looked at;
the rate of the lowest loss stands in `recall.LEARNING_RATES`, and a cell keeps it for
the last symbol. One seed had chosen three times the rates for three variants of the
LSTM, and at those most of their five nets of the first verdict learned nothing. About
10 minutes of CPU time on 2 CPU cores, jax 0.10.2:

    net                     0.0001  0.0003   0.001   0.003    0.01    0.03
    rnn                     2.1166  2.0938  2.0903  2.0911  1.9122  2.0790
    lstm                    1.7337  1.1668  0.0493  0.0173  1.3487  1.8429
    gru                     2.0785  2.0266  0.1994  0.0011  0.0004  0.0001
    hard-tanh               1.8016  1.4143  0.1813  0.0145  2.0882  2.0856
    softsign                1.8202  1.2988  0.0802  0.0013  0.0007  1.3720
    clipped-linear-gates    1.7607  1.2585  0.1143  0.0504  1.3253  1.3774
    tanh-gates              2.0858  2.0834  2.0797  2.0853  2.2721  2.6749
    lstm, bias 0            2.0852  2.0836  2.0839  2.0850  2.0853  2.0844
    gru, bias 0             2.0966  2.0874  2.0855  2.0858  2.0869  3.4960

Chance is ln 8 = 2.0794. In the last two lines the keeping gate begins at σ(0) = 1/2.
"""

import sys
from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.training.classification import cross_entropy
from experiments.gradient_vanishing import Config
from experiments.gradient_vanishing.recall import (
    KEEPERS,
    NETS,
    TASKS,
    Net,
    fit,
    logits_of,
    sequences,
)
from experiments.gradient_vanishing.tuning import table
from experiments.harness import environment
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys, over_seeds

SEED, NUM_SEEDS = 1000, 3
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
VALIDATION = 3, 1000  # seed and number of the sequences

TRIED = NETS | {f"{cell}, bias 0": Net(cell, keep_bias=0.0) for cell in KEEPERS}


def validation_losses(net: Net, params: jax.Array) -> np.ndarray:
    """Of first-symbol recall, params [seeds, P]: [seeds]."""

    def loss(params: jax.Array, symbols: jax.Array) -> jax.Array:
        tree = net.tree(params)
        logits = logits_of(tree, net.outputs(tree, symbols)[:, -1])
        return cross_entropy(logits, symbols[:, TASKS["needed"]])[0]

    symbols = jnp.asarray(sequences(*VALIDATION))
    return np.asarray(over_seeds(loss)(params, symbols), float)


def line(label: str, texts: Iterable[str]) -> str:
    """One line as above."""
    return table(label, texts, {}, width=22)


def main(steps: int = Config().recall_steps) -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    seeds = keys(SEED, NUM_SEEDS)
    print(line("net", [f"{rate:g}" for rate in RATES]), flush=True)
    for name, net in TRIED.items():
        trained = partial(fit, seeds, lab, name, net, "needed", steps)
        means = []
        for rate in RATES:
            losses = validation_losses(net, trained(rate)[1].params)
            print(f"{name}, {rate:g}: {losses}", file=sys.stderr, flush=True)
            means.append(losses.mean())
        print(line(name, [f"{mean:.4f}" for mean in means]), flush=True)


if __name__ == "__main__":
    environment.restart()
    main()
