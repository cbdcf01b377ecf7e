"""Supervised classification, in chunks of a fixed number of steps.

The whole state of a training is one pytree, and the step number is the whole
state of its data iterator: the order of epoch e is a permutation drawn from
fold_in(data_key, e), so a training goes on from any step without replaying those
before it. Data is an argument, never closed over, and so is whatever may differ
between arms that should share one compilation (`max_shift`, `num_steps`).

Inside `jax.shard_map` over the axis "data" (see `meshes`) its devices share every batch
and average the gradients. That is the training of one device, up to rounding, where the
objective is a mean over examples and the model treats each alone: batch norm does not.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from cnn_jax.training.meshes import mean_over_shares, num_shares, own_share


def cross_entropy(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean cross-entropy and accuracy of logits [N, ..., classes], labels [N, ...]."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(losses), jnp.mean(jnp.argmax(logits, -1) == labels)


@dataclasses.dataclass(frozen=True)
class Config:
    """What is compiled in: the model, its optimizer and the size of a chunk.

    The model returns (logits, activations). `image_shape` is [*spatial, C];
    `objective` maps (logits, labels) to (loss, accuracy).
    """

    model: nn.Module
    image_shape: tuple[int, ...]
    learning_rate: float = 2e-3
    batch_size: int = 64
    chunk_steps: int = 50
    objective: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]] = (
        cross_entropy
    )

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)


class State(NamedTuple):
    """params and opt_state after `step` steps; `key` draws order and augmentation."""

    params: Any
    opt_state: Any
    step: jax.Array
    key: jax.Array


class Data(NamedTuple):
    """Images [N, *spatial, C], labels [N, ...], and the traced settings of an arm.

    max_shift: augmentation by uniform shifts of max-norm up to this many pixels,
    zero fill; num_steps: steps beyond this one leave the state as it is.
    """

    images: jax.Array
    labels: jax.Array
    max_shift: jax.Array
    num_steps: jax.Array


def init(key: jax.Array, config: Config) -> State:
    """The state before the first step.

    Args:
        key: typed PRNG key; initial params and the data order come from it.
        config: static settings.

    Returns:
        State at step 0.
    """
    init_key, data_key = jax.random.split(key)
    images = jnp.zeros((1, *config.image_shape))
    params = config.model.init(init_key, images)["params"]
    step = jnp.zeros((), jnp.int32)
    return State(params, config.optimizer.init(params), step, data_key)


def _random_shifts(key: jax.Array, images: jax.Array, max_shift: jax.Array):
    """Each image moved by its own uniform shift, zero fill: one gather per axis."""
    num_images, *spatial, _ = images.shape
    drawn = num_shares() * num_images, len(spatial)  # of the whole batch
    shifts = own_share(jax.random.randint(key, drawn, -max_shift, max_shift + 1))
    for axis, size in enumerate(spatial, start=1):
        source = jnp.arange(size)[None] - shifts[:, axis - 1, None]
        inside = (source >= 0) & (source < size)
        index_shape = [num_images] + [1] * (images.ndim - 1)
        index_shape[axis] = size
        taken = jnp.take_along_axis(
            images, jnp.clip(source, 0, size - 1).reshape(index_shape), axis
        )
        images = jnp.where(inside.reshape(index_shape), taken, 0.0)
    return images


def _augmented(key: jax.Array, images: jax.Array, max_shift: jax.Array) -> jax.Array:
    """The images, shifted if they are to be: drawing shifts by 0 would be a cost."""
    return jax.lax.cond(
        max_shift > 0, _random_shifts, lambda key, same, _: same, key, images, max_shift
    )


def _batch(state: State, order: jax.Array, data: Data, batch_size: int):
    """The images and labels of one step, augmented: this device's share of them."""
    steps_per_epoch = len(order) // batch_size
    start = (state.step % steps_per_epoch) * batch_size
    index = own_share(jax.lax.dynamic_slice(order, (start,), (batch_size,)))
    key = jax.random.fold_in(jax.random.fold_in(state.key, 1), state.step)
    return _augmented(key, data.images[index], data.max_shift), data.labels[index]


def _order(key: jax.Array, epoch: jax.Array, num_examples: int) -> jax.Array:
    """The order in which epoch `epoch` visits the examples."""
    order_key = jax.random.fold_in(jax.random.fold_in(key, 0), epoch)
    return jax.random.permutation(order_key, num_examples)


def _update(state: State, batch, config: Config) -> tuple[State, dict]:
    images, labels = batch

    def objective(params):
        logits, _ = config.model.apply({"params": params}, images)
        return config.objective(logits, labels)

    gradient = jax.value_and_grad(objective, has_aux=True)
    (loss, accuracy), gradients = mean_over_shares(gradient(state.params))
    updates, opt_state = config.optimizer.update(
        gradients, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    log = {"loss": loss, "accuracy": accuracy}
    return State(params, opt_state, state.step + 1, state.key), log


def chunk(state: State, data: Data, config: Config) -> tuple[State, dict]:
    """`config.chunk_steps` steps of Adam on the cross-entropy, as one scan.

    Each epoch visits every example once but for the last incomplete batch. The
    order is drawn anew only where an epoch begins.

    Args:
        state: from `init` or an earlier chunk.
        data: images, labels, and the traced settings of the arm.
        config: static settings.

    Returns:
        (state, log): log holds loss and batch accuracy, [chunk_steps]; steps after
        `data.num_steps` do nothing and repeat the last values (0 if none was taken).

    Raises:
        ValueError: fewer examples than one batch.
    """
    num_examples = len(data.labels)
    if num_examples < config.batch_size:
        raise ValueError(
            f"expected at least one batch of {config.batch_size} examples, got "
            f"{num_examples}"
        )
    steps_per_epoch = num_examples // config.batch_size

    def order_at(step: jax.Array) -> jax.Array:
        return _order(state.key, step // steps_per_epoch, num_examples)

    return _scan(state, data, config, order_at)


def chunk_in_order(state: State, data: Data, config: Config) -> tuple[State, dict]:
    """`chunk` on the examples that it visits, which lie in that order already.

    What streams give, see `cnn_jax.data.stream`; the same bits as `chunk` gives that
    has all examples. Chunks begin at multiples of `config.chunk_steps`.

    Args:
        state: from `init` or an earlier chunk.
        data: as of `chunk`, but of this chunk alone: images [chunk_steps, batch_size,
            *spatial, C], labels [chunk_steps, batch_size, ...].
        config: static settings.

    Returns:
        As `chunk`.

    Raises:
        ValueError: another number of batches, or batches of another size.
    """
    expected, found = (config.chunk_steps, config.batch_size), data.labels.shape[:2]
    if found != expected:
        raise ValueError(f"expected batches of shape {expected}, got {found}")
    images, labels = (
        each.reshape(-1, *each.shape[2:]) for each in (data.images, data.labels)
    )
    data = data._replace(images=images, labels=labels)
    return _scan(state, data, config, lambda step: jnp.arange(len(labels)))


def _scan(
    state: State,
    data: Data,
    config: Config,
    order_at: Callable[[jax.Array], jax.Array],
) -> tuple[State, dict]:
    """The steps of a chunk; `order_at(step)` is the order of the step's epoch."""
    steps_per_epoch = len(data.labels) // config.batch_size

    def advance(carry):
        now, order, _ = carry
        begins = (now.step % steps_per_epoch == 0) & (now.step > state.step)
        order = jax.lax.cond(begins, order_at, lambda _: order, now.step)
        batch = _batch(now, order, data, config.batch_size)
        updated, log = _update(now, batch, config)
        return updated, order, log

    def body(carry, _):
        running = carry[0].step < data.num_steps
        carry = jax.lax.cond(running, advance, lambda same: same, carry)
        return carry, carry[2]

    nothing = {"loss": jnp.zeros(()), "accuracy": jnp.zeros(())}
    carry = (state, order_at(state.step), nothing)
    (state, _, _), log = jax.lax.scan(body, carry, length=config.chunk_steps)
    return state, log
