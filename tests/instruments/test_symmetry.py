"""The instruments against numpy loops and functions whose symmetry is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    band_limit,
    equivariance_error,
    equivariance_sides,
    fourier_shift,
    invariance_error,
    peak_displacement,
    realigned_sides,
    relative_error,
    roll,
    slide,
)


@pytest.fixture
def images():
    return jax.random.normal(jax.random.key(0), (3, 7, 6, 2))


def test_roll_moves_every_pixel_and_wraps(images):
    moved = roll(images, (2, -1))
    for row in range(7):
        for column in range(6):
            source = images[:, (row - 2) % 7, (column + 1) % 6]
            np.testing.assert_array_equal(moved[:, row, column], source)


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 4), (7, 0), (-9, 2)])
def test_slide_moves_every_pixel_and_fills_with_zeros(images, shift):
    moved = np.asarray(slide(images, shift))
    for row in range(7):
        for column in range(6):
            y, x = row - shift[0], column - shift[1]
            inside = 0 <= y < 7 and 0 <= x < 6
            expected = images[:, y, x] if inside else np.zeros((3, 2))
            np.testing.assert_array_equal(moved[:, row, column], expected)


def test_shifts_may_be_traced_and_mapped(images):
    shifts = jnp.asarray([(0, 1), (2, -3)])
    moved = jax.jit(jax.vmap(slide, in_axes=(None, 0)))(images, shifts)
    np.testing.assert_array_equal(moved[1], slide(images, (2, -3)))


@pytest.mark.parametrize("rank", [1, 3])
def test_translations_work_on_other_numbers_of_spatial_axes(rank):
    inputs = jax.random.normal(jax.random.key(1), (2, *(5, 4, 3)[:rank], 2))
    shift = (1, -1, 2)[:rank]
    expected = np.roll(inputs, shift, tuple(range(1, rank + 1)))
    np.testing.assert_array_equal(roll(inputs, shift), expected)


def test_a_shift_of_the_wrong_length_is_refused(images):
    with pytest.raises(ValueError, match=r"expected a shift of 2 numbers.*got shape"):
        roll(images, (1, 2, 3))


def test_inputs_without_spatial_axes_are_refused():
    with pytest.raises(ValueError, match=r"expected inputs \[N, \*spatial, C\]"):
        slide(jnp.zeros((3, 4)), ())


def test_a_whole_fourier_shift_is_a_roll(images):
    np.testing.assert_allclose(
        fourier_shift(images, (2, -1)), roll(images, (2, -1)), atol=2e-6
    )


def test_a_half_pixel_shift_moves_a_sine_by_half_a_pixel():
    positions = np.arange(16.0)
    wave = np.sin(2 * np.pi * 3 * positions / 16)[None, None, :, None]
    expected = np.sin(2 * np.pi * 3 * (positions - 0.5) / 16)
    inputs = jnp.asarray(np.broadcast_to(wave, (1, 4, 16, 1)), jnp.float32)
    moved = fourier_shift(inputs, (0, 0.5))
    np.testing.assert_allclose(moved[0, 2, :, 0], expected, atol=1e-6)


def test_two_half_pixel_shifts_are_one_pixel_for_band_limited_images():
    images = jax.random.normal(jax.random.key(2), (2, 8, 8, 1))
    twice = fourier_shift(fourier_shift(images, (0.5, 0)), (0.5, 0))
    assert jnp.max(jnp.abs(twice - roll(images, (1, 0)))) > 0.01
    limited = band_limit(images)
    twice = fourier_shift(fourier_shift(limited, (0.5, 0)), (0.5, 0))
    np.testing.assert_allclose(twice, roll(limited, (1, 0)), atol=2e-6)


@pytest.mark.parametrize("cutoff", [0.5, 0.3])
def test_band_limit_removes_the_frequencies_from_the_cutoff_on_and_no_others(cutoff):
    images = jax.random.normal(jax.random.key(3), (1, 8, 6, 1))
    before = np.fft.fft2(np.asarray(images), axes=(1, 2))
    after = np.fft.fft2(np.asarray(band_limit(images, cutoff)), axes=(1, 2))
    before[:, np.abs(np.fft.fftfreq(8)) >= cutoff] = 0
    before[:, :, np.abs(np.fft.fftfreq(6)) >= cutoff] = 0
    np.testing.assert_allclose(after, before, atol=1e-5)


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
