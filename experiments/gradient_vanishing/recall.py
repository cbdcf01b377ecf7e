"""Recurrent nets that have to name one of the symbols they have read.

A sequence is LENGTH symbols of KINDS kinds, each drawn uniformly. After the last one
the net names the first (first-symbol recall: a memory is needed) or the last (the same
inputs, no memory needed): logits = h_T @ kernel + bias. Chance is 1 / KINDS.

Cells are drawn as flax.linen draws them, but for the bias of the gate that keeps the
state: KEEP_BIAS at the forget gate of LSTMs and at the update gate of GRUs, where flax
has 0, with which the LSTM does not learn to recall so far back in so few steps, and the
GRU only at the largest of seven rates (`recall_tuning`).
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from cnn_jax.ops import gru, init_gru, init_lstm, init_rnn, lstm, rnn
from cnn_jax.training.classification import cross_entropy
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import over_seeds

LENGTH = 50  # T
KINDS = 8
WIDTH = 32  # units of a cell
BATCH = 32
CHUNK = 100  # steps
LARGEST_NORM = 1.0  # to which a batch's gradient is clipped
KEEP_BIAS = 3.0
# At which other gates begin where σ does, at σ(3) = 0.953.
LINEAR_KEEP_BIAS, TANH_KEEP_BIAS = 2.716, 1.860

TASKS = {"needed": 0, "unneeded": LENGTH - 1}  # the place of the symbol asked for
LAYERS: dict[str, Callable] = {"rnn": rnn, "lstm": lstm, "gru": gru}
INITS: dict[str, Callable] = {"rnn": init_rnn, "lstm": init_lstm, "gru": init_gru}
KEEPERS = {"lstm": "hf", "gru": "iz"}  # where the bias of that gate is
CELLS = tuple(LAYERS)


class Net(NamedTuple):
    """A cell of CELLS with its activations, by the names of `ACTIVATION_NAMES`."""

    cell: str
    options: tuple[tuple[str, str], ...] = ()
    keep_bias: float = KEEP_BIAS

    def draw(self, key: Array) -> dict:
        """The params before training."""
        cell_key, head_key = jax.random.split(key)
        cell = INITS[self.cell](cell_key, KINDS, WIDTH)
        if self.cell in KEEPERS:
            entry = KEEPERS[self.cell]
            cell[entry] |= {"bias": jnp.full(WIDTH, self.keep_bias)}
        kernel = jax.nn.initializers.lecun_normal()(head_key, (WIDTH, KINDS))
        return {"cell": cell, "head": {"kernel": kernel, "bias": jnp.zeros(KINDS)}}

    def tree(self, params: Array) -> dict:
        """The params from their vector."""
        shapes = jax.eval_shape(self.draw, jax.random.key(0))
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
        return ravel_pytree(zeros)[1](params)

    def outputs(self, params: dict, symbols: Array) -> Array:
        """h [N, T, WIDTH] after each of the symbols [N, T]."""
        layer = LAYERS[self.cell]
        return layer(params["cell"], one_hot(symbols), **dict(self.options))[1]


NETS = {
    "rnn": Net("rnn"),
    "lstm": Net("lstm"),
    "gru": Net("gru"),
    "hard-tanh": Net("lstm", (("activation", "hard_tanh"),)),
    "softsign": Net("lstm", (("activation", "softsign"),)),
    "clipped-linear-gates": Net("lstm", (("gate", "hard_sigmoid"),), LINEAR_KEEP_BIAS),
    "tanh-gates": Net("lstm", (("gate", "tanh"),), TANH_KEEP_BIAS),
}


# Of Adam; the lowest validation loss, its mean over seeds, in `recall_tuning`.
LEARNING_RATES = {
    "rnn": 1e-2,
    "lstm": 3e-3,
    "gru": 3e-2,
    "hard-tanh": 3e-3,
    "softsign": 1e-2,
    "clipped-linear-gates": 3e-3,
    "tanh-gates": 3e-3,
}


class State(NamedTuple):
    """params [P] in one vector, which compiles in half the time, and what it takes."""

    params: Any
    opt_state: Any
    step: Array
    key: Array


class Setting(NamedTuple):
    """What arms of one program differ in: the symbol asked for, the rate of Adam."""

    place: Array
    learning_rate: Array


def one_hot(symbols: Array) -> Array:
    return jax.nn.one_hot(symbols, KINDS)


def sequences(seed: int, number: int) -> np.ndarray:
    """Symbols [number, LENGTH], the same for all nets and seeds."""
    return np.random.RandomState(seed).randint(KINDS, size=(number, LENGTH))


def logits_of(params: dict, h: Array) -> Array:
    """[N, KINDS] of the states [N, WIDTH]."""
    return h @ params["head"]["kernel"] + params["head"]["bias"][None]


def _optimizer() -> optax.GradientTransformation:
    clip = optax.clip_by_global_norm(LARGEST_NORM)
    return optax.chain(clip, optax.scale_by_adam())


def initial(keys: Array, net: Net) -> State:
    """The states before the first step, with a leading seed axis.

    Not jitted: the draws of a cell share shapes, so each is compiled once.
    """
    drawn, streams = zip(*(jax.random.split(key) for key in keys), strict=True)
    params = jnp.stack([ravel_pytree(net.draw(key))[0] for key in drawn])
    opt_state = jax.vmap(_optimizer().init)(params)
    return State(params, opt_state, jnp.zeros(len(keys), int), jnp.stack(streams))


def chunk(
    state: State, setting: Setting, net: Net, steps: int
) -> tuple[State, dict[str, Array]]:
    """Steps of Adam, each on sequences that no step has seen before.

    Returns:
        (state, log): log holds loss and accuracy of the batches, [steps].
    """

    def objective(params: Array, symbols: Array) -> tuple[Array, Array]:
        tree = net.tree(params)
        logits = logits_of(tree, net.outputs(tree, symbols)[:, -1])
        return cross_entropy(logits, jnp.take(symbols, setting.place, axis=1))

    def advance(now: State, _: None) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(now.key, now.step)
        symbols = jax.random.randint(key, (BATCH, LENGTH), 0, KINDS)
        gradient = jax.value_and_grad(objective, has_aux=True)
        (loss, accuracy), gradients = gradient(now.params, symbols)
        direction, opt_state = _optimizer().update(gradients, now.opt_state)
        updates = jax.tree.map(lambda leaf: -setting.learning_rate * leaf, direction)
        params = optax.apply_updates(now.params, updates)
        log = {"loss": loss, "accuracy": accuracy}
        return State(params, opt_state, now.step + 1, now.key), log

    return lax.scan(advance, state, length=steps)


@lru_cache
def _program(net: Net, steps: int) -> Callable[..., tuple[State, dict[str, Array]]]:
    """`chunk` of every seed; one compilation for all settings of a net."""
    one = partial(chunk, net=net, steps=steps)
    return over_seeds(one, jax.jit if steps == CHUNK else brief)


def fit(
    keys: Array, lab: Lab, label: str, net: Net, task: str, steps: int, rate: float
) -> tuple[State, State]:
    """The states [seeds, ...] before and after training."""
    before = initial(keys, net)
    size = min(CHUNK, steps)
    after = lab.fit(
        _program(net, size),
        before,
        Setting(jnp.asarray(TASKS[task]), jnp.asarray(rate)),
        num_chunks=-(-steps // size),
        label=label,
    )
    return before, after
