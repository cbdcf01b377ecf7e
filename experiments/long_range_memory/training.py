"""Training one net on one task: Adam, clipped gradients, held-out losses on the way.

Every step of copy memory and adding has a batch of its own, digits are drawn with
replacement; step t of a seed draws the same for every net. Gradients longer than 1 are
shortened to 1. Validation losses are taken 20 times, so the last tenth of the budget is
the last two; test sequences are looked at once, after the last step. A seed whose loss
leaves the finite numbers has no look from there on.

Shape letters: N sequences, P parameters, C held-out looks, S steps between two.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import over_seeds
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import CONVOLUTIONAL, Net, apply_flat, initial
from experiments.long_range_memory.tasks import Examples, Sets, Task, blind_losses

BATCH = 32
LOOKS = 20
CLIP = 1.0
MOST_AT_ONCE = 100  # sequences of one pass
# Time steps of one pass of a CNN: what it keeps of them fits into the cache, which at
# T = 1,000 halves the time of an update, although activations are computed twice.
MOST_STEPS = 4096
BRIEF_STEPS = 500  # which take less time than compiling them well
FALL = 0.05  # of the validation loss, over the last tenth, that censors
# Those with a star in `python -m experiments.long_range_memory.tuning`.
LONG = 500  # from this length on, where another rate stands below
LEARNING_RATES = {
    "copy": {"rnn": 3e-2, "orthogonal": 1e-2, "lstm": 1e-1, "gru": 1e-1}
    | {"shallow": 1e-1, "dilated": 1e-3},
    "adding": {"rnn": 1e-4, "orthogonal": 1e-3, "lstm": 1e-2, "gru": 1e-1}
    | {"shallow": 3e-2, "dilated": 1e-2},
    "adding-500": {"gru": 3e-2},  # where 0.1 leaves the finite numbers
    "digits": {"rnn": 3e-3, "orthogonal": 3e-3, "lstm": 3e-2, "gru": 3e-2}
    | {"shallow": 3e-3, "dilated": 3e-3},
    "mnist": {"rnn": 1e-3, "orthogonal": 1e-3, "lstm": 1e-3, "gru": 3e-3}
    | {"shallow": 1e-3, "dilated": 1e-2},
}
OPTIMIZER = optax.chain(optax.clip_by_global_norm(CLIP), optax.scale_by_adam())


def learning_rate(net: str, task: Task, data: str) -> float:
    """The tuned rate of a net; on images, in any order, that of the data set."""
    if task.name not in MADE:
        return LEARNING_RATES[data][net]
    rates = LEARNING_RATES[task.name]
    if task.length >= LONG:
        rates = rates | LEARNING_RATES.get(f"{task.name}-{LONG}", {})
    return rates[net]


@dataclass(frozen=True)
class Config:
    """What is compiled in."""

    net: Net
    task: Task


class State(NamedTuple):
    """After `step` steps; params [P], `key` draws the batches.

    looks: [C, 2, 2], validation and test, their mean loss and percent right; those of
    the test are NaN but for the last.
    """

    params: Array
    opt_state: Any
    step: Array
    key: Array
    looks: Array


class Data(NamedTuple):
    """The task's examples and the learning rate, so that rates share a program."""

    sets: Sets
    learning_rate: Array


class Trained(NamedTuple):
    """One net after training, over seeds.

    params: [seeds, P]; losses, right: [seeds, C, 2], validation and test, of which the
    test is NaN but at the last look, and both once a seed has diverged; right in
    percent; blind: [2], losses of the best blind guess on the same sequences.
    """

    params: np.ndarray
    losses: np.ndarray
    right: np.ndarray
    blind: np.ndarray

    @property
    def final_loss(self) -> np.ndarray:
        """Of the test sequences after the last step, [seeds]."""
        return self.losses[:, -1, 1]

    @property
    def ratios(self) -> np.ndarray:
        """Losses over the blind guess's, [seeds, C, 2].

        On the same sequences: the noise of a few hundred of them is in both.
        """
        return self.losses / self.blind

    @property
    def falling(self) -> bool:
        """Whether the budget ended too early to tell."""
        return is_falling(self.losses[..., 0])


def is_falling(validation: np.ndarray) -> bool:
    """Whether losses [seeds, C] fell by more than 5 % over the last tenth.

    Judged is their geometric mean over seeds, as the claims are: one seed whose loss
    jitters says nothing about the budget. With a diverged seed there is no such mean,
    and no budget that would have been enough.
    """
    tenth = validation.shape[1] // 10
    change = np.log(validation[:, -1] / validation[:, -1 - tenth])
    return bool(change.mean() < np.log(1 - FALL))


def init(keys: Array, config: Config) -> State:
    """The states before the first step, for keys [seeds]."""
    params = jnp.stack([jnp.asarray(initial(key, config.net)) for key in keys])
    zeros = jnp.zeros(len(keys), int)
    opt_state = jax.vmap(OPTIMIZER.init)(params)
    return State(params, opt_state, zeros, keys, jnp.zeros((len(keys), LOOKS, 2, 2)))


@partial(jax.jit, static_argnums=(2,))
def numbers(keys: Array, first_step: Array, shape: tuple[int, int, int]) -> Array:
    """What makes the batches of steps first_step, ...: [seeds, S, N, num_draws]."""

    def of(key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, first_step), shape)

    return jax.lax.map(of, keys)


def step(state: State, drawn: Array, data: Data, config: Config) -> tuple[State, Array]:
    """One update on the batch that `drawn` [N, num_draws] makes; and its loss."""
    task = config.task
    batch = task.make(drawn, data.sets.train)

    def objective(params: Array) -> Array:
        return jnp.mean(judged(params, batch, config)[0])

    loss, gradients = jax.value_and_grad(objective)(state.params)
    updates, opt_state = OPTIMIZER.update(gradients, state.opt_state)
    params = state.params - data.learning_rate * jnp.asarray(updates)
    return State(params, opt_state, state.step + 1, state.key, state.looks), loss


def chunk(
    state: State, drawn: Array, data: Data, config: Config
) -> tuple[State, dict[str, Array]]:
    """Steps on `drawn` [S, N, num_draws], then a look at the held-out sequences."""
    num_steps = len(drawn)
    state, losses = jax.lax.scan(
        lambda now, each: step(now, each, data, config), state, drawn
    )
    place = state.step // num_steps - 1
    num_sets = jnp.where(place == LOOKS - 1, 2, 1)
    look = held_out(state.params, data.sets.held_out, config, num_sets)
    state = state._replace(looks=state.looks.at[place].set(look))
    return state, {"loss": losses, "validation": look[:1, 0]}


def held_out(
    params: Array, examples: Examples, config: Config, num_sets: Array
) -> Array:
    """Mean loss and percent right of the first sets of examples [2, N, ...]: [2, 2].

    Sets from `num_sets` on are left out, which gives NaN.
    """

    def look(index: Array, found: Array) -> Array:
        of_set = jax.tree.map(lambda each: each[index], examples)
        losses, right = judged(params, of_set, config)
        return found.at[index].set(jnp.stack([losses.mean(), 100 * right.mean()]))

    return jax.lax.fori_loop(0, num_sets, look, jnp.full((2, 2), jnp.nan))


def judged(params: Array, examples: Examples, config: Config) -> tuple[Array, Array]:
    """Losses and shares right of examples [N, ...], part by part: [N], [N]."""
    number = len(examples.targets)
    size = part(number, config)

    def judge(batch: Examples) -> tuple[Array, Array]:
        outputs = apply_flat(config.net, params, batch.inputs)
        return config.task.judge(outputs, batch.targets)

    if size == number:
        return judge(examples)
    parts = jax.tree.map(lambda e: e.reshape(-1, size, *e.shape[1:]), examples)
    losses, right = jax.lax.map(jax.checkpoint(judge), parts)
    return losses.ravel(), right.ravel()


def part(number: int, config: Config) -> int:
    """How many of a number of sequences go through the net at once."""
    most = MOST_AT_ONCE
    if config.net.name in CONVOLUTIONAL:
        most = max(1, min(most, MOST_STEPS // config.task.length))
    return max(n for n in range(1, most + 1) if number % n == 0)


@lru_cache
def _program(config: Config, is_brief: bool):
    """One compilation for all tasks and rates of a net that have the same shapes."""

    def one(per_seed: tuple[State, Array], data: Data):
        return chunk(*per_seed, data, config)

    return over_seeds(one, brief if is_brief else jax.jit)


def train(
    keys: Array,
    lab: Lab,
    net: Net,
    task: Task,
    sets: Sets,
    steps: int,
    learning_rate: float,
    label: str,
) -> Trained:
    """Trains a net from every key for `steps` steps, rounded up to a multiple of 20.

    The label is the training's own in a run: images in two orders are one task.
    """
    config = Config(net, task)
    chunk_steps = -(-steps // LOOKS)
    program = _program(config, steps * len(keys) <= BRIEF_STEPS)
    shape = (chunk_steps, BATCH, task.num_draws)

    def advance(states: State, data: Data):
        return program((states, numbers(keys, states.step[0], shape)), data)

    states = lab.fit(
        advance,
        init(keys, config),
        Data(sets, jnp.asarray(learning_rate)),
        num_chunks=LOOKS,
        label=label,
        on_nonfinite="record",
    )
    looks = np.asarray(states.looks)
    looks = np.where(np.isfinite(looks).all(-1, keepdims=True), looks, np.nan)
    blind = blind_losses(task, sets.held_out)
    return Trained(np.asarray(states.params), looks[..., 0], looks[..., 1], blind)
