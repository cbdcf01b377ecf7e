"""The instruments against numpy loops and functions whose symmetry is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    equivariance_error,
    equivariance_sides,
    fourier_shift,
    invariance_error,
    peak_displacement,
    realigned_sides,
    relative_error,
    roll,
    rotate,
    slide,
)


@pytest.fixture
def images():
    return jax.random.normal(jax.random.key(0), (3, 7, 6, 2))


def test_relative_error_is_the_norm_of_the_difference_per_example():
    left = jnp.asarray([[3.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    right = jnp.asarray([[0.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(relative_error(left, right), [0.75, 0, 0])
    scale = jnp.asarray([[6.0, 8.0], [1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(relative_error(left, right, scale), [0.3, 0, 0])


def test_relative_error_of_a_change_from_nothing_is_infinite():
    assert jnp.isinf(relative_error(jnp.ones((1, 2)), jnp.zeros((1, 2))))[0]


def test_the_norms_of_half_precision_are_single_precision():
    right = jnp.ones((1, 300), jnp.bfloat16)
    error = relative_error(right.at[0, 7].set(2), right)
    np.testing.assert_allclose(error, 300**-0.5, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, bool])
def test_differences_of_integers_do_not_wrap(dtype):
    left, right = jnp.asarray([[1, 0, 100]]), jnp.asarray([[0, 1, 100]])
    found = relative_error(left.astype(dtype), right.astype(dtype))
    wide = (each.astype(dtype).astype(jnp.float32) for each in (left, right))
    np.testing.assert_array_equal(found, relative_error(*wide))


def test_sides_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(1, 2\) and \(1, 3\)"):
        relative_error(jnp.ones((1, 2)), jnp.ones((1, 3)))


def test_a_pointwise_function_commutes_and_a_positional_one_does_not(images):
    ramp = jnp.arange(7.0)[None, :, None, None]

    def positional(params, inputs):
        return inputs * ramp + params

    error = equivariance_error(lambda _, x: jnp.tanh(x), None, images, (1, 2))
    np.testing.assert_array_equal(error, 0)
    assert jnp.all(equivariance_error(positional, 0.0, images, (1, 2)) > 0.1)


def test_subsampling_commutes_with_multiples_of_its_stride():
    images = jax.random.normal(jax.random.key(4), (2, 8, 8, 1))

    def subsample(_, inputs):
        return inputs[:, ::2, ::2]

    left, right = equivariance_sides(subsample, None, images, (2, -4), stride=2)
    np.testing.assert_array_equal(left, right)
    shift = {"shift": (2, -4), "stride": 2, "translate": fourier_shift}
    left, right = equivariance_sides(subsample, None, images, **shift)
    np.testing.assert_allclose(left, right, atol=2e-6)
    with pytest.raises(ValueError, match=r"multiples of the stride 2, got \(1, 0\)"):
        equivariance_sides(subsample, None, images, (1, 0), stride=2)


def test_a_turn_commutes_with_the_function_that_turns_and_not_with_a_shift():
    square = jax.random.normal(jax.random.key(6), (2, 5, 5, 1))

    def turn(_, inputs):
        return jnp.rot90(inputs, axes=(1, 2))

    error = equivariance_error(turn, None, square, 90.0, translate=rotate)
    np.testing.assert_array_equal(error, 0)

    def move(_, inputs):
        return roll(inputs, (1, 0))

    assert jnp.all(equivariance_error(move, None, square, 90.0, translate=rotate) > 0.5)


def test_the_error_is_relative_to_the_outputs_that_did_not_move():
    images = jnp.zeros((1, 4, 4, 1)).at[0, jnp.asarray([0, 3]), 0, 0].set(2.0)

    def ramp(_, inputs):
        return inputs * (1 + jnp.arange(4.0))[None, :, None, None]

    # Rows of f(x): 2 0 0 8; f(Tx): 0 4 0 0, the last slid out; Tf(x): 0 2 0 0.
    error = equivariance_error(ramp, None, images, (1, 0), translate=slide)
    np.testing.assert_allclose(error, [(4 / 68) ** 0.5], rtol=1e-6)
    error = invariance_error(ramp, None, images, (1, 0), translate=slide)
    np.testing.assert_allclose(error, [(84 / 68) ** 0.5], rtol=1e-6)
    # f(Tx): 0 0 6 0, the first slid out.
    error = invariance_error(ramp, None, images, (-1, 0), translate=slide)
    np.testing.assert_allclose(error, [(104 / 68) ** 0.5], rtol=1e-6)


def test_a_global_mean_is_invariant_and_the_identity_is_not(images):
    def mean(_, inputs):
        return jnp.mean(inputs, axis=(1, 2))

    assert jnp.max(invariance_error(mean, None, images, (3, 1))) < 1e-5
    assert jnp.min(invariance_error(lambda _, x: x, None, images, (3, 1))) > 0.5


def test_realignment_undoes_any_roll_exactly(images):
    left, right = realigned_sides(roll(images, (3, -2)), images)
    np.testing.assert_array_equal(left, right)


def test_realignment_finds_each_example_its_own_shift(images):
    moved = jnp.concatenate([roll(images[:1], (1, 0)), roll(images[1:], (0, 2))])
    left, right = realigned_sides(moved, images)
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-3, 2), (2, -3)])
def test_the_peak_tells_the_displacement_and_its_sign(images, shift):
    displacement, peak = peak_displacement(3 * roll(images, shift) + 5, images)
    wrapped = (np.add(shift, 3)) % [7, 6] - 3
    np.testing.assert_array_equal(displacement, np.broadcast_to(wrapped, (3, 2)))
    np.testing.assert_allclose(peak, 1, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_constant_maps_have_no_peak(images, value):
    """Less its mean, a constant is rounding, which would fit itself."""
    constant = jnp.full_like(images, value)
    for left, right in ((constant, constant), (constant, images), (images, constant)):
        np.testing.assert_array_equal(peak_displacement(left, right)[1], 0)


def test_unrelated_maps_have_no_high_peak():
    left, right = jax.random.normal(jax.random.key(5), (2, 4, 16, 16, 3))
    _, peak = peak_displacement(left, right)
    assert jnp.all(peak < 0.5)
