"""Training a net whose gradients explode, with gradients clipped and as they are.

A ReLU RNN whose recurrent kernel has entries N(0, 2·GAIN²/n) learns first-symbol recall
by plain gradient descent. The state and the gradient grow GAIN-fold a step on average.

    clipped:  g ← g · min(1, LARGEST_NORM / ‖g‖),   ‖g‖ over all params

A run has diverged where its loss on sequences that no step sees ends non-finite or
above GROWTH times its start, and has learned where it ends below LEARNED times chance:
a run may do neither. GROWTH is lenient: the first loss is itself that of a state that
has exploded, a median of 664 nats in the published run where chance is 2.08, so that a
run may end far above chance and count as not diverged. In that run none learned, at any
rate of either arm: what is judged is divergence alone.

Both arms of a run begin with the same params and see the same sequences, at every rate
of RATES, which are all shown. Each arm has the rate of its lowest median loss on
validation sequences: `python -m experiments.gradient_vanishing.clipping_tuning`. The
unclipped arm is judged twice: at the rate of the clipped one, where clipping is all
that differs, and at its own, which is what somebody without clipping would take.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from cnn_jax.training.classification import cross_entropy
from experiments.gradient_vanishing.near_steps import log_gradients
from experiments.gradient_vanishing.recall import (
    BATCH,
    KINDS,
    LARGEST_NORM,
    LENGTH,
    TASKS,
    WIDTH,
    Net,
    logits_of,
    sequences,
)
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import over_seeds

NET = Net("rnn", (("activation", "relu"),))
GAIN = 1.2
GROWTH = 10  # times the first loss
EXPLODED_RATIO = 10  # of the first gradient to the last
ARMS = {"clipped": LARGEST_NORM, "unclipped": np.inf}
RATES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
LEARNING_RATES = {"clipped": 1.0, "unclipped": 1e-6}  # chosen by `clipping_tuning`
# What is judged: an arm, and the arm whose rate it has.
JUDGED = {
    "clipped": ("clipped", "clipped"),
    "unclipped": ("unclipped", "clipped"),
    "unclipped-own-rate": ("unclipped", "unclipped"),
}
LEAST_RUNS = 100  # of all seeds, below which no share is judged
LEARNED = 0.9  # times the loss of chance
STEPS = 60
HELD_OUT = 4, 64  # seed and number of sequences
VALIDATION = 3, 64  # those that the learning rate is chosen on


class Run(NamedTuple):
    """One training: params [P], and what it is trained with."""

    params: Any
    step: Array
    key: Array
    learning_rate: Array
    largest_norm: Array


def drawn(key: Array) -> Array:
    """The params [P] of one net, with the gain."""
    draw, kernel_key = jax.random.split(key)
    params = NET.draw(draw)
    kernel = jax.random.normal(kernel_key, (WIDTH, WIDTH))
    params["cell"]["h"]["kernel"] = GAIN * (2 / WIDTH) ** 0.5 * kernel
    return ravel_pytree(params)[0]


def loss_of(params: Array, symbols: Array) -> Array:
    """Of first-symbol recall, mean of the sequences [N, T]."""
    tree = NET.tree(params)
    logits = logits_of(tree, NET.outputs(tree, symbols)[:, -1])
    return cross_entropy(logits, symbols[:, TASKS["needed"]])[0]


def chunk(run: Run, _: None) -> tuple[Run, dict[str, Array]]:
    """STEPS steps of gradient descent."""

    def advance(now: Run, _: None) -> tuple[Run, dict[str, Array]]:
        key = jax.random.fold_in(now.key, now.step)
        symbols = jax.random.randint(key, (BATCH, LENGTH), 0, KINDS)
        loss, gradient = jax.value_and_grad(loss_of)(now.params, symbols)
        clip = optax.clip_by_global_norm(now.largest_norm)
        clipped, nothing = clip.update(gradient, clip.init(gradient))
        del nothing  # clipping keeps no state
        updates = jax.tree.map(lambda leaf: -now.learning_rate * leaf, clipped)
        params = optax.apply_updates(now.params, updates)
        return now._replace(params=params, step=now.step + 1), {"loss": loss}

    return lax.scan(advance, run, length=STEPS)


def started(keys: Array, rates: tuple[float, ...]) -> Run:
    """Every run before its first step, [rates · arms · runs, ...]."""
    draws, streams = zip(*(jax.random.split(key) for key in keys), strict=True)
    params = over_seeds(drawn, brief)(jnp.stack(draws))
    settings = [(rate, norm) for rate in rates for norm in ARMS.values()]
    repeats = len(settings)
    return Run(
        jnp.tile(params, (repeats, 1)),
        jnp.zeros(repeats * len(keys), int),
        jnp.tile(jnp.stack(streams), repeats),
        *(
            jnp.repeat(jnp.asarray(each), len(keys))
            for each in zip(*settings, strict=True)
        ),
    )


def losses(
    keys: Array,
    lab: Lab,
    rates: tuple[float, ...],
    watched: tuple[int, int] = HELD_OUT,
) -> tuple[np.ndarray, np.ndarray]:
    """Losses on watched sequences before and after training, [rates, arms, runs]."""
    before = started(keys, rates)
    after = lab.fit(
        over_seeds(chunk),
        before,
        None,
        num_chunks=1,
        label="clipping",
        on_nonfinite="record",
    )
    symbols = jnp.asarray(sequences(*watched))
    shape = len(rates), len(ARMS), len(keys)
    look = over_seeds(loss_of, brief)
    first, last = (
        np.asarray(look(each.params, symbols)).reshape(shape)
        for each in (before, after)
    )
    return first, last


def diverged(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Where the last loss is not finite or above GROWTH times the first."""
    return ~(last <= GROWTH * first)


def learned(last: np.ndarray) -> np.ndarray:
    """Where the last loss is below LEARNED times that of chance, ln KINDS."""
    return last < LEARNED * np.log(KINDS)


def exploded(params: Array, symbols: Array) -> Array:
    """Whether ‖∂L/∂h_0‖ is more than EXPLODED_RATIO times ‖∂L/∂h_T-1‖."""
    tree = NET.tree(params)
    profile = log_gradients(NET, tree, symbols, TASKS["needed"])
    return profile[0] - profile[-1] > np.log10(EXPLODED_RATIO)


def clipping(keys: Array, lab: Lab, runs: int) -> Metrics:
    """clipping-fixes-explosion: how many runs diverge.

    Returns:
        diverged/{clipped, unclipped, unclipped-own-rate} and exploded/relu [seeds ·
        runs, 2]: hits and 1.
    """
    keys = jax.vmap(lambda key: jax.random.split(key, runs))(keys).reshape(-1)
    first, last = losses(keys, lab, RATES)
    hits = diverged(first, last)  # [rate, arm, run]
    places = {arm: place for place, arm in enumerate(ARMS)}
    params = started(keys, RATES[:1]).params[: len(keys)]
    grows = over_seeds(exploded, brief)(params, jnp.asarray(sequences(*HELD_OUT)))
    shares = {
        f"diverged/{name}": hits[RATES.index(LEARNING_RATES[tuned]), places[arm]]
        for name, (arm, tuned) in JUDGED.items()
    }
    shares["exploded/relu"] = np.asarray(grows)
    axes = "[learning rate " + ", ".join(map(str, RATES)) + "; clipped, unclipped; run]"
    return {
        **{
            name: np.stack([each, np.ones(len(each))], axis=1)
            for name, each in shares.items()
        },
        "clipping-first": Shown(first, f"held-out loss before training {axes}"),
        "clipping-last": Shown(last, f"held-out loss after training {axes}"),
        "clipping-diverged": Shown(
            100 * hits.mean(-1), f"runs that have diverged {axes[:-6]}]", "%"
        ),
        "clipping-learned": Shown(
            100 * learned(last).mean(-1),
            f"runs whose loss ends below {LEARNED:g} of chance; what has neither "
            f"diverged nor that has learned nothing {axes[:-6]}]",
            "%",
        ),
    }
