"""Multilayer perceptrons that learn digits, their error watched on the way.

    h_l = φ(h_l-1 @ K_l + b_l),   h_0 the standardized pixels, l = 1 ... L
    logits = h_L @ K_L+1 + b_L+1

WIDTH units per layer, zero biases, normal kernels of Glorot's variance, or of He's
before a ReLU; the cross-entropy of batches of BATCH, each epoch in an order of its own.
What an arm differs in is traced, so arms of one depth and optimizer share a program;
the arms of a seed share their draws and batches.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from cnn_jax.data import Split
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals, over_seeds

WIDTH = 64  # pixels of a digit, units of a layer
CLASSES = 10
BATCH = 64
CHUNK = 50  # steps between two looks at the loss

FUNCTIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}
GAINS = {"sigmoid": 1.0, "tanh": 1.0, "relu": 2**0.5}  # of the hidden kernels
OPTIMIZERS = {"sgd": optax.identity(), "adam": optax.scale_by_adam()}


class Arm(NamedTuple):
    """An activation by its name, and a learning rate."""

    activation: str
    rate: float


class Progress(NamedTuple):
    """A net on its way; `errors` [looks] holds the watched error so far."""

    activation: Array
    rate: Array
    key: Array
    params: Any
    opt_state: Any
    step: Array
    errors: Array


class Examples(NamedTuple):
    """Pixels [N, WIDTH] to learn from, and others whose error is watched."""

    images: Array
    labels: Array
    watched_images: Array
    watched_labels: Array


class Descent(NamedTuple):
    """One arm, over seeds: params before and after, errors [seeds, looks] as shares."""

    before: Any
    after: Any
    errors: np.ndarray


def examples(train: Split, watched: Split) -> Examples:
    """Both splits, standardized by the first."""
    mean, deviation = train.images.mean(), train.images.std()

    def pixels(split: Split) -> Array:
        return jnp.asarray((split.images - mean) / deviation).reshape(-1, WIDTH)

    labels, watched_labels = map(jnp.asarray, (train.labels, watched.labels))
    return Examples(pixels(train), labels, pixels(watched), watched_labels)


def init(key: Array, gain: Array, hidden: int) -> list[dict[str, Array]]:
    """Params of a net of `hidden` layers and a readout, which has Glorot's variance."""
    *inner, last = normals(key, *[(WIDTH, WIDTH)] * hidden, (WIDTH, CLASSES))
    kernels = [gain * kernel / WIDTH**0.5 for kernel in inner]
    kernels.append((2 / (WIDTH + CLASSES)) ** 0.5 * last)
    return [{"kernel": k, "bias": jnp.zeros(k.shape[1])} for k in kernels]


def logits_of(params: list[dict[str, Array]], activation: Array, h: Array) -> Array:
    """[N, WIDTH] -> [N, CLASSES]"""
    for layer in params[:-1]:
        sums = h @ layer["kernel"] + layer["bias"][None]
        h = lax.switch(activation, list(FUNCTIONS.values()), sums)
    return h @ params[-1]["kernel"] + params[-1]["bias"][None]


def chunk(
    now: Progress,
    data: Examples,
    optimizer: optax.GradientTransformation,
    every: int,
) -> tuple[Progress, dict[str, Array]]:
    """CHUNK steps; the log holds loss and the last watched error [CHUNK]."""
    per_epoch = len(data.labels) // BATCH

    def order(step: Array) -> Array:
        key = jax.random.fold_in(now.key, step // per_epoch)
        return jax.random.permutation(key, len(data.labels))

    def loss(params: Any, chosen: Array) -> Array:
        logits = logits_of(params, now.activation, data.images[chosen])
        labels = jax.nn.one_hot(data.labels[chosen], CLASSES)
        return jnp.mean(optax.softmax_cross_entropy(logits, labels))

    def look(at: Progress) -> Array:
        logits = logits_of(at.params, at.activation, data.watched_images)
        error = jnp.mean(jnp.argmax(logits, 1) != data.watched_labels)
        return at.errors.at[at.step // every - 1].set(error)

    def advance(carry: tuple[Progress, Array], _: None) -> tuple[Any, Any]:
        at, visited = carry
        place = at.step % per_epoch
        visited = lax.cond(place == 0, order, lambda _: visited, at.step)
        chosen = lax.dynamic_slice(visited, (place * BATCH,), (BATCH,))
        value, gradients = jax.value_and_grad(loss)(at.params, chosen)
        updates, opt_state = optimizer.update(gradients, at.opt_state)
        params = jax.tree.map(lambda p, u: p - at.rate * u, at.params, updates)
        after = at._replace(params=params, opt_state=opt_state, step=at.step + 1)
        due = after.step % every == 0
        errors = lax.cond(due, look, lambda same: same.errors, after)
        log = {"loss": value, "error": errors[after.step // every - 1]}
        return (after._replace(errors=errors), visited), log

    (after, _), log = lax.scan(advance, (now, order(now.step)), length=CHUNK)
    return after, log


def _pairs(keys: Array, arms: Mapping[str, Arm]) -> tuple[Array, ...]:
    """(key, activation, gain, rate) of every arm's seeds, arm after arm."""
    names = list(FUNCTIONS)
    each = [
        (names.index(a.activation), GAINS[a.activation], a.rate) for a in arms.values()
    ]
    traced = (
        jnp.repeat(jnp.asarray(column), len(keys)) for column in zip(*each, strict=True)
    )
    return jnp.concatenate([keys] * len(arms)), *traced


def _start(
    pair: tuple[Array, ...],
    hidden: int,
    rule: optax.GradientTransformation,
    looks: int,
) -> Progress:
    """The state of one arm and seed before its first step."""
    key, activation, gain, rate = pair
    init_key, order_key = jax.random.split(key)
    params = init(init_key, gain, hidden)
    return Progress(
        activation,
        rate,
        order_key,
        params,
        rule.init(params),
        jnp.zeros((), jnp.int32),
        jnp.full(looks, jnp.nan),
    )


def descend(
    keys: Array,
    lab: Lab,
    label: str,
    data: Examples,
    arms: Mapping[str, Arm],
    *,
    hidden: int,
    optimizer: str,
    steps: int,
    every: int = 1,
    on_nonfinite: str = "stop",
) -> dict[str, Descent]:
    """Trains every arm on every seed.

    Args:
        keys: [seeds].
        lab: logs and watches.
        label: of the group of arms.
        data: what is learned, and what is watched.
        arms: name -> arm.
        hidden: layers before the readout.
        optimizer: one of OPTIMIZERS.
        steps: a multiple of CHUNK.
        every: steps from one look at the error to the next, a divisor of CHUNK. A
            look at all digits takes several times as long as a step.
        on_nonfinite: as of `Lab.fit`.

    Returns:
        name -> Descent.
    """
    rule = OPTIMIZERS[optimizer]
    start = partial(_start, hidden=hidden, rule=rule, looks=steps // every)
    first = over_seeds(start, brief)(_pairs(keys, arms))
    trained = lab.fit(
        over_seeds(partial(chunk, optimizer=rule, every=every), brief),
        first,
        data,
        num_chunks=steps // CHUNK,
        label=label,
        on_nonfinite=on_nonfinite,
    )
    found, seeds = {}, len(keys)
    for place, name in enumerate(arms):
        own = slice(place * seeds, (place + 1) * seeds)
        before, after = (
            jax.tree.map(lambda leaf, own=own: np.asarray(leaf[own]), each.params)
            for each in (first, trained)
        )
        found[name] = Descent(before, after, np.asarray(trained.errors[own]))
    return found
