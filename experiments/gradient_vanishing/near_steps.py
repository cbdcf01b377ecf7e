"""Which steps a gradient reaches, and which inputs an update depends on.

Of a batch of sequences, with L the mean loss of first-symbol recall,

    profile[t] = log10 ‖∂L/∂h_t‖,   t = 0 ... T-1
    change = ‖∂L/∂θ − ∂L'/∂θ‖ / ‖∂L/∂θ‖

θ are the params of the cell and L' is the loss where some of the inputs are drawn anew
and the symbol asked for stays the one it was.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from cnn_jax.instruments import half_life, log_carry_gradients
from cnn_jax.ops import gru_step, lstm_step, rnn_step
from cnn_jax.training.classification import cross_entropy
from experiments.gradient_vanishing.recall import (
    CELLS,
    LENGTH,
    NETS,
    TASKS,
    WIDTH,
    Net,
    logits_of,
    one_hot,
    sequences,
)
from experiments.harness.claims import Metrics, Shown
from experiments.harness.seeds import over_seeds

STEPS: dict[str, Callable] = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}
BATCH = 5, 64  # seed and number of sequences
OTHERS = 6, 64  # those that the inputs are drawn from anew
NEAR = LENGTH // 4  # steps before the end within which half of a gradient must be lost
ISOMETRY = Net("rnn", (("activation", "identity"),))  # flax's kernel is orthogonal


def log_gradients(net: Net, tree: dict, symbols: Array, place: int) -> Array:
    """The profile [T] of a batch of sequences [N, T]."""

    def step(params: dict, carry: Array, inputs: Array) -> tuple[Array, Array]:
        return STEPS[net.cell](params, carry, inputs, **dict(net.options))

    def loss(outputs: Array) -> Array:
        return cross_entropy(logits_of(tree, outputs[-1]), symbols[:, place])[0]

    nothing = jnp.zeros((len(symbols), WIDTH))
    carry = (nothing, nothing) if net.cell == "lstm" else nothing
    inputs = one_hot(symbols.T)
    return log_carry_gradients(step, tree["cell"], carry, inputs, loss)


def changes(tree: dict, symbols: Array, others: Array) -> Array:
    """By how much the RNN's update changes with the far and with the near inputs."""

    def gradient(symbols: Array, labels: Array) -> Array:
        def loss(cell: dict) -> Array:
            net = NETS["rnn"]
            outputs = net.outputs(tree | {"cell": cell}, symbols)
            return cross_entropy(logits_of(tree, outputs[:, -1]), labels)[0]

        return ravel_pytree(jax.grad(loss)(tree["cell"]))[0]

    labels = symbols[:, TASKS["needed"]]
    whole = gradient(symbols, labels)
    far = jnp.arange(LENGTH) < LENGTH - NEAR
    anew = [jnp.where(where, others, symbols) for where in (far, ~far)]
    gaps = [jnp.linalg.norm(gradient(each, labels) - whole) for each in anew]
    return jnp.stack(gaps) / jnp.linalg.norm(whole)


def near_steps(keys: Array) -> Metrics:
    """only-near-steps-update: the RNN at its first update.

    Returns:
        half-life/rnn and half-life/isometry [seeds], of T steps; near-steps/log-ratio
        [seeds]: the first entry of the RNN's profile over the last.
    """

    def measure(key: Array, symbols: Array, others: Array) -> dict[str, Array]:
        place = TASKS["needed"]
        profiles = {
            cell: log_gradients(NETS[cell], NETS[cell].draw(key), symbols, place)
            for cell in CELLS
        }
        tree = NETS["rnn"].draw(key)
        profiles["isometry"] = log_gradients(ISOMETRY, tree, symbols, place)
        return profiles | {"changes": changes(tree, symbols, others)}

    batch, others = (jnp.asarray(sequences(*each)) for each in (BATCH, OTHERS))
    found = over_seeds(measure)(keys, batch, others)
    lives = {
        name: np.asarray(jax.vmap(half_life)(found[name])) / LENGTH
        for name in ("rnn", "isometry")
    }
    profiles = np.stack([np.asarray(found[cell]) for cell in CELLS], axis=1)
    rnn = profiles[:, 0]
    return {
        **{f"half-life/{name}": each for name, each in lives.items()},
        "near-steps/log-ratio": rnn[:, 0] - rnn[:, -1],
        "near-steps": Shown(
            profiles,
            "log10 of the gradient that reaches each step before training [seed; "
            f"{', '.join(CELLS)}; step]",
        ),
        "near-steps/changes": Shown(
            np.asarray(found["changes"]),
            "change of the RNN's first update, relative, where inputs are drawn anew "
            f"[seed; all but the last {NEAR}, the last {NEAR}]",
        ),
    }
