"""Training is a pure function of state and data, whatever the chunks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from cnn_jax.instruments import slide
from cnn_jax.models import LeNet
from cnn_jax.training import Config, Data, chunk, chunk_in_order, init
from cnn_jax.training.classification import _batch, _order, _random_shifts
from tests.trees import assert_same_trees


class Linear(nn.Module):
    @nn.compact
    def __call__(self, images):
        return nn.Dense(3)(images.reshape(len(images), -1)), {}


CONFIG = Config(Linear(), (4, 4, 1), learning_rate=0.05, batch_size=5, chunk_steps=6)


@pytest.fixture
def data():
    images = jax.random.normal(jax.random.key(0), (17, 4, 4, 1))
    labels = jnp.arange(17) % 3
    return Data(images, labels, jnp.asarray(0), jnp.asarray(100))


compiled_chunk = jax.jit(chunk, static_argnames="config")


def train(config, data, num_chunks):
    state, logs = init(jax.random.key(1), config), []
    for _ in range(num_chunks):
        state, log = compiled_chunk(state, data, config=config)
        logs.append(log)
    return state, jax.tree.map(lambda *each: jnp.concatenate(each), *logs)


def test_chunks_of_any_size_give_the_same_bits(data):
    one, log_one = train(dataclasses.replace(CONFIG, chunk_steps=12), data, 1)
    many, log_many = train(dataclasses.replace(CONFIG, chunk_steps=4), data, 3)
    assert_same_trees(one.params, many.params)
    np.testing.assert_array_equal(log_one["loss"], log_many["loss"])


def test_another_objective_is_minimized_and_logged_in_its_place(data):
    def squares(logits, labels):
        return jnp.mean(jnp.square(logits)), jnp.mean(labels == 1)

    config = dataclasses.replace(CONFIG, objective=squares)
    state, log = train(config, data, 3)
    assert log["loss"][-1] < 0.2 * log["loss"][0]
    batch_labels = data.labels[_order(state.key, jnp.asarray(0), 17)[:5]]
    np.testing.assert_allclose(log["accuracy"][0], np.mean(batch_labels == 1))


def test_a_step_is_adam_on_the_mean_cross_entropy_of_its_batch(data):
    state = init(jax.random.key(1), CONFIG)
    images, labels = _batch(state, _order(state.key, jnp.asarray(0), 17), data, 5)

    def objective(params):
        logits = CONFIG.model.apply({"params": params}, images)[0]
        logs = jax.nn.log_softmax(logits)
        return -jnp.mean(logs[jnp.arange(5), labels])

    @jax.jit
    def step(params):
        loss, gradients = jax.value_and_grad(objective)(params)
        optimizer = optax.adam(0.05)
        updates, _ = optimizer.update(gradients, optimizer.init(params))
        return loss, optax.apply_updates(params, updates)

    loss, expected = step(state.params)
    after, log = train(dataclasses.replace(CONFIG, chunk_steps=1), data, 1)
    np.testing.assert_allclose(log["loss"][0], loss, rtol=1e-6)
    assert_same_trees(after.params, expected, 1e-7, 1e-6)


def test_an_epoch_visits_every_example_at_most_once_and_the_next_in_another_order():
    orders = [np.asarray(_order(jax.random.key(2), jnp.asarray(e), 17)) for e in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(17))
    assert np.any(orders[0] != orders[1])


def test_the_batches_of_an_epoch_are_disjoint(data):
    data = data._replace(images=jnp.arange(17.0)[:, None, None, None] + 0 * data.images)
    state = init(jax.random.key(1), CONFIG)
    order = _order(state.key, jnp.asarray(0), 17)
    seen = [
        np.asarray(_batch(state._replace(step=jnp.asarray(i)), order, data, 5)[0])
        for i in range(3)
    ]
    assert len({float(v) for v in np.concatenate(seen)[:, 0, 0, 0]}) == 15


def test_every_epoch_has_its_own_order_and_every_step_its_batch_and_its_log(data):
    data = data._replace(max_shift=jnp.asarray(1))
    _, log = train(dataclasses.replace(CONFIG, learning_rate=0.0), data, 1)
    state = init(jax.random.key(1), CONFIG)
    for step in range(CONFIG.chunk_steps):
        epoch, place = divmod(step, 3)
        order = _order(state.key, jnp.asarray(epoch), 17)
        rows = order[5 * place : 5 * place + 5]
        key = jax.random.fold_in(jax.random.fold_in(state.key, 1), step)
        images = _random_shifts(key, data.images[rows], data.max_shift)
        logits = CONFIG.model.apply({"params": state.params}, images)[0]
        logs = jax.nn.log_softmax(logits)[jnp.arange(5), data.labels[rows]]
        np.testing.assert_allclose(log["loss"][step], -jnp.mean(logs), rtol=1e-5)
        right = jnp.argmax(logits, -1) == data.labels[rows]
        np.testing.assert_allclose(log["accuracy"][step], np.mean(right))


def test_a_resumed_training_goes_on_in_the_order_of_its_epoch(data):
    whole, _ = train(dataclasses.replace(CONFIG, chunk_steps=12), data, 1)
    config = dataclasses.replace(CONFIG, chunk_steps=4)
    part, _ = train(config, data, 1)
    for _ in range(2):
        part, _ = compiled_chunk(part, data, config=config)
    assert_same_trees(whole.params, part.params)


def test_examples_in_order_give_the_bits_of_a_training_that_has_them_all():
    config = Config(LeNet(), (16, 16, 1), batch_size=8, chunk_steps=4)
    images = jax.random.normal(jax.random.key(0), (43, 16, 16, 1))
    labels = jnp.arange(43) % 10
    data = Data(images, labels, jnp.asarray(2), jnp.asarray(11))
    step = jax.jit(chunk_in_order, static_argnames="config")
    before = after = init(jax.random.key(1), config)
    for first in (0, 4, 8):
        visits = []
        for now in range(first, first + 4):
            epoch, place = divmod(now, 5)
            order = _order(after.key, jnp.asarray(epoch), 43)
            visits.append(order[8 * place : 8 * place + 8])
        rows = jnp.stack(visits)
        ordered = data._replace(images=images[rows], labels=labels[rows])
        after, log_after = step(after, ordered, config=config)
        before, log_before = compiled_chunk(before, data, config=config)
        np.testing.assert_array_equal(log_after["loss"], log_before["loss"])
    assert after.step == 11
    assert_same_trees(after[:3], before[:3])
    with pytest.raises(ValueError, match=r"shape \(4, 8\), got \(43,\)"):
        chunk_in_order(after, data, config)


def test_steps_beyond_the_last_leave_the_state_alone(data):
    short, _ = train(CONFIG, data._replace(num_steps=jnp.asarray(4)), 2)
    exact, _ = train(dataclasses.replace(CONFIG, chunk_steps=4), data, 1)
    assert short.step == 4
    assert_same_trees(short.params, exact.params)


def test_training_learns(data):
    _, log = train(CONFIG, data, 10)
    assert log["loss"][-5:].mean() < 0.5 * log["loss"][:5].mean()


def test_augmentation_moves_each_image_by_its_own_zero_fill_shift():
    images = jax.random.uniform(jax.random.key(3), (64, 6, 5, 1), minval=0.1)
    shifted = jax.jit(_random_shifts)(jax.random.key(4), images, jnp.asarray(2))
    moved = np.asarray(shifted)
    shifts = [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
    slid = jax.jit(jax.vmap(lambda shift: slide(images, shift)))(jnp.asarray(shifts))
    by_shift = (np.asarray(slid) == moved).all((2, 3, 4))  # [shift, image]
    assert (by_shift.sum(0) == 1).all()
    found = {shift for shift, used in zip(shifts, by_shift.any(1), strict=True) if used}
    assert {y for y, _ in found} == {x for _, x in found} == set(range(-2, 3))


def test_no_augmentation_leaves_the_images_as_they_are():
    images = jax.random.normal(jax.random.key(5), (8, 6, 5, 1))
    same = jax.jit(_random_shifts)(jax.random.key(6), images, jnp.asarray(0))
    np.testing.assert_array_equal(same, images)


def test_arms_that_differ_in_augmentation_share_one_compilation(data):
    traces = []

    def traced(state, data):
        traces.append(1)
        return chunk(state, data, CONFIG)

    step = jax.jit(traced)
    for max_shift in (0, 1, 2):
        step(
            init(jax.random.key(0), CONFIG),
            data._replace(max_shift=jnp.asarray(max_shift)),
        )
    assert len(traces) == 1


def test_fewer_examples_than_a_batch_are_refused(data):
    few = Data(data.images[:3], data.labels[:3], data.max_shift, data.num_steps)
    with pytest.raises(ValueError, match="at least one batch of 5 examples, got 3"):
        chunk(init(jax.random.key(0), CONFIG), few, CONFIG)
