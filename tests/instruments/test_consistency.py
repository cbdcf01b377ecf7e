"""What moving costs, on predictions whose cost is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    accuracy_interval,
    agreement,
    logit_change,
    logits_moved,
    lost_by_moving,
    predict_shifted,
    rescale,
    roll,
    rotate,
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


def test_steps_of_half_a_pixel_keep_the_order_and_the_reach():
    grid = shift_grid(2, steps_per_pixel=2)
    assert grid.shape == (81, 2)
    np.testing.assert_array_equal(2 * grid, shift_grid(4))
    with pytest.raises(ValueError, match="1 step per pixel or more, got 0"):
        shift_grid(1, steps_per_pixel=0)


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


@pytest.mark.parametrize(
    ("move", "motions"), [(rotate, [0.0, 20.0, -45.0]), (rescale, [1.0, 1.5])]
)
def test_logits_are_those_of_each_moved_batch(move, motions):
    images = jax.random.normal(jax.random.key(0), (4, 5, 5, 1))
    kernel = jax.random.normal(jax.random.key(1), (25, 3))

    def apply(params, inputs):
        return inputs.reshape(len(inputs), -1) @ params

    logits = logits_moved(apply, kernel, images, np.asarray(motions), move=move)
    assert logits.shape == (len(motions), 4, 3)
    move_one = jax.jit(move)
    for motion, each in zip(motions, logits, strict=True):
        expected = apply(kernel, move_one(images, motion))
        np.testing.assert_allclose(each, expected, atol=1e-5)


def test_a_quarter_turn_loses_what_tells_rows_from_columns():
    bars = jnp.zeros((2, 5, 5, 1)).at[0, 2].set(1.0).at[1, :, 2].set(1.0)

    def apply(_, inputs):
        rows, columns = jnp.sum(inputs, axis=2), jnp.sum(inputs, axis=1)
        return jnp.stack([jnp.max(rows, (1, 2)), jnp.max(columns, (1, 2))], -1)

    logits = logits_moved(apply, None, bars, np.asarray([90.0, 180.0]), move=rotate)
    moved, clean = jnp.argmax(logits, -1), jnp.argmax(apply(None, bars), -1)
    np.testing.assert_array_equal(
        lost_by_moving(clean, moved, np.asarray([0, 1])), [0.5, 0.5]
    )
    np.testing.assert_array_equal(moved, [[1, 0], [0, 1]])


def test_the_change_of_logits_is_in_units_of_their_spread():
    clean = np.asarray([[3.0, 0.0], [-3.0, 0.0]])  # 3 from their mean
    moved = np.asarray([[[3.0, 4.0], [-3.0, 0.0]], [[5.0, 0.0], [-3.0, -1.0]]])
    change = logit_change(clean, moved)
    np.testing.assert_allclose(change, [(4 + 2) / 2 / 3, 1 / 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(logit_change(5 * clean, 5 * moved), change, rtol=1e-6)
    still = np.ones((2, 3))
    np.testing.assert_array_equal(logit_change(still, still[None]), 0)
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 3\)"):
        logit_change(still, still)


def test_the_cost_of_moving_has_an_interval_over_seeds_and_images():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    clean, moved = labels, generator.integers(0, 3, (5, 4, 200))
    lost = np.stack([lost_by_moving(clean, each, labels) for each in moved])
    low, high = accuracy_interval(100 * lost)
    assert low < 100 * lost.mean() < high
    assert low < 100 * 2 / 3 < high
    with pytest.raises(ValueError, match=r"R >= 2 replicates, got shape \(1, 200\)"):
        accuracy_interval(lost[:1])


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
