"""What moving costs, on predictions whose cost is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    agreement,
    consistency_of_batch_pairs,
    lost_by_moving,
    predict_shifted,
    roll,
    shift_consistency,
    shift_grid,
    slide,
)


def test_the_grid_holds_every_shift_once_nearest_first():
    grid = shift_grid(2)
    assert grid.shape == (25, 2)
    assert len({tuple(shift) for shift in grid.tolist()}) == 25
    np.testing.assert_array_equal(grid[0], (0, 0))
    assert np.all(np.diff(np.abs(grid).max(1)) >= 0)
    assert shift_grid(1, rank=3).shape == (27, 3)
    assert shift_grid(0).tolist() == [[0, 0]]


def test_shifts_of_one_reach_come_short_before_diagonal_and_positive_first():
    near = [(1, 0), (0, 1), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]
    np.testing.assert_array_equal(shift_grid(1), [(0, 0), *near])


def test_a_negative_grid_is_refused():
    with pytest.raises(ValueError, match="expected max_shift of 0 or more, got -1"):
        shift_grid(-1)


@pytest.mark.parametrize("translate", [slide, roll])
def test_predictions_are_those_of_each_moved_batch(translate):
    images = jax.random.normal(jax.random.key(0), (4, 5, 5, 1))
    kernel = jax.random.normal(jax.random.key(1), (25, 3))

    def apply(params, inputs):
        return inputs.reshape(len(inputs), -1) @ params

    shifts = shift_grid(1)
    predictions = predict_shifted(apply, kernel, images, shifts, translate=translate)
    for shift, predicted in zip(shifts, predictions, strict=True):
        expected = jnp.argmax(apply(kernel, translate(images, shift)), -1)
        np.testing.assert_array_equal(predicted, expected)


def test_lost_by_moving_is_clean_accuracy_less_right_at_both():
    labels = np.asarray([0, 1, 2, 0])
    clean = np.asarray([0, 1, 0, 0])
    moved = np.asarray([[0, 0, 2, 1], [0, 1, 2, 1]])
    lost = lost_by_moving(clean, moved, labels)
    np.testing.assert_allclose(lost, [0, 0.5, 0, 1])
    right = clean == labels
    both = right & (moved == labels)
    np.testing.assert_allclose(lost.mean(), right.mean() - both.mean())


def test_a_constant_classifier_loses_nothing_and_agrees_always():
    constant = np.zeros((5, 10), int)
    labels = np.arange(10)
    assert lost_by_moving(constant[0], constant, labels).max() == 0
    assert agreement(constant[0], constant).min() == 1


def test_agreement_counts_equal_classes_whatever_the_label():
    clean = np.asarray([3, 1])
    moved = np.asarray([[3, 0], [2, 1], [3, 2]])
    np.testing.assert_allclose(agreement(clean, moved), [2 / 3, 1 / 3])


def test_exhaustive_consistency_is_the_share_of_agreeing_pairs():
    predictions = np.asarray([[0, 1], [0, 2], [1, 3]])
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    expected = [
        np.mean([predictions[a, n] == predictions[b, n] for a, b in pairs])
        for n in range(2)
    ]
    np.testing.assert_allclose(shift_consistency(predictions), expected)


def test_consistency_of_one_shift_is_refused():
    with pytest.raises(ValueError, match="2 shifts or more, got 1"):
        shift_consistency(jnp.zeros((1, 3), int))


def test_sampled_pairs_average_to_the_share_with_identical_pairs_counted():
    predictions = jax.random.randint(jax.random.key(2), (9, 64), 0, 3)
    equal = np.asarray(predictions)[:, None] == np.asarray(predictions)[None]

    def sample(key):
        return consistency_of_batch_pairs(key, predictions, np.arange(9), batch_size=8)

    drawn = jax.vmap(sample)(jax.random.split(jax.random.key(3), 2000))
    np.testing.assert_allclose(drawn.mean(), equal.mean(), atol=0.01)


def test_one_batch_shares_one_pair_and_candidates_limit_the_draw():
    predictions = jnp.arange(5)[:, None] * jnp.ones((1, 10), int)
    drawn = [
        float(consistency_of_batch_pairs(key, predictions, np.asarray([1, 3])))
        for key in jax.random.split(jax.random.key(4), 20)
    ]
    assert set(drawn) == {0.0, 1.0}
    # Two batches of five, and only the first depends on the shift.
    predictions = predictions.at[:, 5:].set(0)

    def sample(key):
        return consistency_of_batch_pairs(key, predictions, np.arange(5), batch_size=5)

    drawn = jax.vmap(sample)(jax.random.split(jax.random.key(6), 20))
    assert set(drawn.tolist()) == {0.5, 1.0}
    only = consistency_of_batch_pairs(jax.random.key(5), predictions, np.asarray([2]))
    assert only == 1
