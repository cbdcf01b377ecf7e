"""Which learning rate each recurrent net gets, on a seed that no verdict is from.

    python -m experiments.gradient_vanishing.recall_tuning

prints the loss of first-symbol recall on validation sequences after training, per net
and rate. Test sequences are not looked at; the rate of the lowest loss stands in
`recall.LEARNING_RATES`, and a cell keeps it for the last symbol.
"""

from functools import partial

import jax
import jax.numpy as jnp

from cnn_jax.training.classification import cross_entropy
from experiments.gradient_vanishing import Config
from experiments.gradient_vanishing.recall import (
    NETS,
    TASKS,
    Net,
    fit,
    logits_of,
    sequences,
)
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys, over_seeds

SEED = 1000
RATES = (3e-3, 1e-2, 3e-2)
VALIDATION = 3, 1000  # seed and number of the sequences


def validation_loss(net: Net, params: jax.Array) -> float:
    """Of first-symbol recall, params [1, P]."""

    def loss(params: jax.Array, symbols: jax.Array) -> jax.Array:
        tree = net.tree(params)
        logits = logits_of(tree, net.outputs(tree, symbols)[:, -1])
        return cross_entropy(logits, symbols[:, TASKS["needed"]])[0]

    losses = over_seeds(loss)(params, jnp.asarray(sequences(*VALIDATION)))
    return float(losses[0])


def main(steps: int = Config().recall_steps) -> None:
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    seeds = keys(SEED, 1)
    print("net".ljust(22), *(f"{rate:>8g}" for rate in RATES))
    for name, net in NETS.items():
        print(name.ljust(22), end=" ", flush=True)
        trained = partial(fit, seeds, lab, name, net, "needed", steps)
        for rate in RATES:
            loss = validation_loss(net, trained(rate)[1].params)
            print(f"{loss:8.4f}", end=" ", flush=True)
        print()


if __name__ == "__main__":
    main()
