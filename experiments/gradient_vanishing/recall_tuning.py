"""Which learning rate each recurrent net gets, on seeds that no verdict is from.

    python -m experiments.gradient_vanishing.recall_tuning

prints the loss of first-symbol recall on validation sequences after training, the mean
of three seeds, as the claims judge means. Test sequences are not looked at; the rate of
the lowest loss, of equal ones the lowest rate, stands in `recall.LEARNING_RATES`, and a
cell keeps it for the last symbol. One seed had chosen three times the rates for three
variants of the LSTM, and at those most of their five nets of the first verdict learned
nothing. About 12 minutes of CPU time on 2 CPU cores, jax 0.10.2:

    net                     0.0001  0.0003   0.001   0.003    0.01    0.03     0.1
    rnn                     2.1089  2.0895  2.0867  2.0897  1.1645  1.8661  1.6799
    lstm                    1.7168  1.1436  0.0457  0.0062  0.4503  0.6209  1.3911
    gru                     2.0780  2.0135  0.0826  0.0011  0.0003  0.0000  0.0000
    hard-tanh               1.7735  1.3641  0.1351  0.0060  0.6973  2.0838  1.3910
    softsign                1.7953  1.2636  0.0570  0.0010  0.0004  0.4578  2.0897
    clipped-linear-gates    1.7454  1.2518  0.0827  0.0176  0.5093  0.4592  2.0897
    tanh-gates              2.0846  2.0828  1.8444  1.8086  2.1824  2.4380  4.1084
    lstm, bias 0            2.0826  2.0820  2.0822  2.0829  2.0828  2.0833  2.0897
    gru, bias 0             2.0884  2.0845  2.0838  2.0851  2.0839  2.5562  0.0000

Chance is ln 8 = 2.0794. In the last two lines the keeping gate begins at σ(0) = 1/2:
the LSTM learns at no rate, on no seed, the GRU at the largest alone, on all of them.
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
