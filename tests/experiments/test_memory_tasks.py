"""The tasks of the long-range memory experiment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Dataset, Split
from experiments.long_range_memory import nets, tasks
from experiments.long_range_memory.tasks import (
    BLANK,
    DELIMITER,
    KINDS,
    Examples,
    adding,
    blind_losses,
    copy_memory,
    digit_sets,
    made_sets,
)
from experiments.long_range_memory.training import Config, Trained, held_out
from tests.experiments.memory_cases import ADDING, COPY, drawn


def test_copy_memory_asks_for_every_symbol_t_and_ten_steps_later():
    inputs, targets = drawn(copy_memory(7), 500)
    assert inputs.shape == (500, 27, KINDS)
    np.testing.assert_array_equal(inputs.sum(-1), 1)
    kinds = np.asarray(jnp.argmax(inputs, -1))
    np.testing.assert_array_equal(kinds[:, :10], targets[:, 17:])
    assert set(kinds[:, :10].ravel()) == set(range(1, 9))
    np.testing.assert_array_equal(kinds[:, 10:16], BLANK)
    np.testing.assert_array_equal(kinds[:, 16:], DELIMITER)
    np.testing.assert_array_equal(targets[:, :17], BLANK)


def test_adding_asks_for_the_sum_of_one_number_of_each_half():
    inputs, sums = drawn(adding(9), 500)
    values, markers = np.moveaxis(np.asarray(inputs), -1, 0)
    np.testing.assert_array_equal(markers[:, :4].sum(1), 1)
    np.testing.assert_array_equal(markers[:, 4:].sum(1), 1)
    assert (markers.sum(0) > 0).all()
    np.testing.assert_allclose(np.sum(values * markers, 1), sums, rtol=1e-6)
    assert values.min() >= 0
    assert values.max() < 1


def test_chance_is_what_the_blind_guess_loses():
    targets = drawn(COPY, 4000).targets
    blind = np.full((4000, 120, 9), -50.0)
    blind[:, :110, BLANK] = 50
    blind[:, 110:, 1:] = 0
    losses, _ = COPY.judge(jnp.asarray(blind), targets)
    np.testing.assert_allclose(losses.mean(), COPY.chance, rtol=1e-4)
    sums = drawn(ADDING, 40_000).targets
    losses, right = ADDING.judge(jnp.ones((40_000, 1)), sums)
    np.testing.assert_allclose(losses.mean(), ADDING.chance, rtol=0.02)
    np.testing.assert_allclose(100 * right.mean(), ADDING.chance_right, atol=0.6)


def guesser(task):
    """A net whose output is 1, whatever it reads, and its parameters."""
    net = nets.build("shallow", task)
    shapes = nets._leaves(net)[0].items()
    leaves = [np.full(shape, name == "logits/bias").ravel() for name, shape in shapes]
    return net, jnp.asarray(np.concatenate(leaves), jnp.float32)


@pytest.mark.parametrize("length", [300, 600])
def test_a_blind_guesser_has_a_ratio_of_1_on_any_few_sequences(length):
    task = adding(length)
    sets = made_sets(task, 250)
    net, params = guesser(task)
    look = jax.jit(held_out, static_argnums=2)
    losses, _ = look(params, sets.held_out, Config(net, task), jnp.asarray(2)).T
    blind = blind_losses(task, sets.held_out)
    looks = np.asarray(losses)[None, None]
    trained = Trained(np.zeros((1, 1)), looks, looks, blind)
    np.testing.assert_allclose(trained.ratios, 1, rtol=1e-6)
    assert abs(blind / task.chance - 1).max() > 0.05  # a twentieth, by chance alone


def test_on_copy_memory_the_blind_guess_loses_the_same_on_any_sequences():
    blind = blind_losses(COPY, made_sets(COPY, 5).held_out)
    assert blind.tolist() == [COPY.chance] * 2


def test_recalled_symbols_alone_are_right_or_wrong():
    targets = drawn(COPY, 50).targets
    answer = jax.nn.one_hot(targets, 9)
    assert COPY.judge(answer, targets)[1].tolist() == [1.0] * 50
    half = answer.at[:, -5:].set(jax.nn.one_hot(BLANK, 9))
    assert COPY.judge(half, targets)[1].tolist() == [0.5] * 50


def test_held_out_sequences_are_fixed_and_two_sets():
    first, second = (made_sets(ADDING, 30) for _ in range(2))
    assert first.train == ()
    assert first.held_out.inputs.shape == (2, 30, 100, 2)
    np.testing.assert_array_equal(first.held_out.inputs, second.held_out.inputs)
    validation, test = first.held_out.targets
    assert not np.intersect1d(validation, test).size


@pytest.fixture(scope="module")
def images():
    """Every pixel of every image has a value of its own."""
    values = np.arange(24 * 16, dtype=np.float32).reshape(24, 4, 4, 1)
    train = Split(values[:16], np.arange(16, dtype=np.int32))
    return Dataset(
        "digits", train, Split(values[16:], np.arange(8, dtype=np.int32)), 10, ""
    )


def test_digits_are_read_in_rows_or_in_one_order_and_split_once(images):
    rows, mixed = (digit_sets(images, permuted) for permuted in (False, True))
    assert rows.train.inputs.shape == (8, 16, 1)
    assert rows.held_out.inputs.shape == (2, 8, 16, 1)
    np.testing.assert_array_equal(
        rows.held_out.inputs[1].ravel(), images.test.images.ravel()
    )
    both = np.concatenate([rows.train.targets, rows.held_out.targets[0]])
    assert sorted(both.tolist()) == list(range(16))
    order = np.asarray(mixed.train.inputs[0] - 16 * mixed.train.targets[0]).ravel()
    assert sorted(order) == list(range(16))
    assert list(order) != list(range(16))
    for each in (mixed.train, Examples(*(e[0] for e in mixed.held_out))):
        moved = np.asarray(each.inputs)[..., 0] - 16 * np.asarray(each.targets)[:, None]
        np.testing.assert_array_equal(moved, np.broadcast_to(order, moved.shape))


def test_of_many_images_some_are_held_out_in_pairs_with_their_labels(
    images, monkeypatch
):
    monkeypatch.setattr(tasks, "MOST_IMAGES", 3)
    sets = digit_sets(images, permuted=False)
    assert sets.train.inputs.shape == (8, 16, 1)
    assert sets.held_out.inputs.shape == (2, 3, 16, 1)
    first = np.asarray(sets.held_out.inputs)[..., 0, 0] / 16  # 16 pixels an image
    labels = np.asarray(sets.held_out.targets)
    np.testing.assert_array_equal(first - [[0], [16]], labels)
    assert not np.isin(labels[0], sets.train.targets).any()


def test_stored_digits_are_drawn_with_their_labels(images):
    sets = digit_sets(images, permuted=False)
    task = tasks.digits(16)
    draws = jnp.asarray([[0.0], [0.51], [0.999]])
    inputs, labels = task.make(draws, sets.train)
    assert labels.tolist() == sets.train.targets[jnp.array([0, 4, 7])].tolist()
    np.testing.assert_array_equal(inputs[1], sets.train.inputs[4])
