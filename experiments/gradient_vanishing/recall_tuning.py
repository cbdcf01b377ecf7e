"""Which learning rate each recurrent net gets, on a seed that no verdict is from.

    python -m experiments.gradient_vanishing.recall_tuning

prints the loss of first-symbol recall on validation sequences after training, per net
and rate, and the median loss of clipped runs. Test sequences are not looked at; the
rate of the lowest loss stands in `recall.LEARNING_RATES`, and a cell keeps it for the
last symbol; that of the clipped runs stands in `clipping.LEARNING_RATE`. On 2 CPU
cores, jax 0.10.2, of those tried:

    net                      0.001    0.003     0.01     0.03
    rnn                     2.0903   2.0911   0.3123   1.5565
    lstm                    0.0379   0.0007   0.0022   0.4524
    gru                     0.0283   0.0010   0.0008   0.0001
    hard-tanh               0.0119   0.0013   0.0010   2.0860
    softsign                         0.0012   0.0004   0.0002
    clipped-linear-gates             0.0016   0.0009   0.0006
    tanh-gates              1.4479   1.5600   2.1927   2.3791
    lstm, bias 0                     2.0823   2.0826   2.0842
    gru, bias 0                      2.0858   2.0869   2.0902

Gates of tanh reach 2.0066 at 0.0003. Chance is ln 8 = 2.0794.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.training.classification import cross_entropy
from experiments.gradient_vanishing import Config, clipping
from experiments.gradient_vanishing.recall import (
    KEEPERS,
    NETS,
    TASKS,
    Net,
    fit,
    logits_of,
    sequences,
)
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys, over_seeds

SEED, NUM_SEEDS = 1000, 3
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
VALIDATION = 3, 1000  # seed and number of the sequences
RUNS = 20  # with clipping, per rate

TRIED = NETS | {f"{cell}, bias 0": Net(cell, keep_bias=0.0) for cell in KEEPERS}


def validation_loss(net: Net, params: jax.Array) -> float:
    """Of first-symbol recall, params [seeds, P]; the worst seed's."""

    def loss(params: jax.Array, symbols: jax.Array) -> jax.Array:
        tree = net.tree(params)
        logits = logits_of(tree, net.outputs(tree, symbols)[:, -1])
        return cross_entropy(logits, symbols[:, TASKS["needed"]])[0]

    losses = over_seeds(loss)(params, jnp.asarray(sequences(*VALIDATION)))
    return float(losses.max())


def main(steps: int = Config().recall_steps) -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    seeds = keys(SEED, NUM_SEEDS)
    print("net".ljust(22), *(f"{rate:>8g}" for rate in RATES))
    for name, net in TRIED.items():
        print(name.ljust(22), end=" ", flush=True)
        trained = partial(fit, seeds, lab, name, net, "needed", steps)
        for rate in RATES:
            loss = validation_loss(net, trained(rate)[1].params)
            print(f"{loss:8.4f}", end=" ", flush=True)
        print()
    clipped = clipping.losses(keys(SEED, RUNS), lab, clipping.RATES)[1][:, 0]
    for rate, losses in zip(clipping.RATES, clipped, strict=True):
        print(f"clipped, rate {rate:g}: {np.median(losses):.3f}")


if __name__ == "__main__":
    main()
