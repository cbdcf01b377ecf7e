"""Generators against closed forms and the motions whose derivatives they are."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    band_limit,
    central_difference,
    fourier_derivative,
    fourier_shift,
    rescale,
    rotate,
    rotation_generator,
    scaling_generator,
    translation_generator,
)

GENERATORS = {
    "translation": partial(translation_generator, direction=(1.0, -0.5)),
    "rotation": rotation_generator,
    "scaling": scaling_generator,
}


@pytest.fixture
def images():
    return jax.random.normal(jax.random.key(0), (2, 7, 6, 2))


def wave(shape, cycles, center=None):
    """(x, ∂x/∂row, ∂x/∂column, row, column) of a plane wave, in float64."""
    middle = [(size - 1) / 2 for size in shape] if center is None else center
    rows, columns = np.meshgrid(*map(np.arange, shape), indexing="ij")
    rates = [2 * np.pi * k / size for k, size in zip(cycles, shape, strict=True)]
    phase = rates[0] * rows + rates[1] * columns + 0.3
    slope = -np.sin(phase)
    return (
        jnp.asarray(np.cos(phase), jnp.float32)[None, ..., None],
        rates[0] * slope,
        rates[1] * slope,
        rows - middle[0],
        columns - middle[1],
    )


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(7, 6), (9, 1)])
def test_the_fourier_derivative_of_a_wave_is_its_slope(shape, axis):
    inputs, *slopes, _, _ = wave(shape, (2, 1 if shape[1] > 1 else 0))
    derivative = fourier_derivative(inputs, axis)[0, ..., 0]
    np.testing.assert_allclose(derivative, slopes[axis], atol=3e-6)


def test_the_nyquist_frequency_has_no_slope_at_the_pixels():
    nyquist = jnp.asarray([1.0, -1, 1, -1]).reshape(1, 4, 1)
    np.testing.assert_array_equal(fourier_derivative(nyquist, 0), 0)


@pytest.mark.parametrize(
    ("border", "mode"),
    [
        ("ZERO", "constant"),
        ("REFLECT", "reflect"),
        ("REPLICATE", "edge"),
        ("CIRCULAR", "wrap"),
    ],
)
def test_the_central_difference_is_half_of_that_of_the_neighbors(images, border, mode):
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode=mode)
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    right = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    for axis, expected in enumerate((down, right)):
        difference = central_difference(images, axis, border=border)
        np.testing.assert_allclose(difference, expected, atol=1e-6)


def test_derivatives_keep_the_dtype(images):
    half = images.astype(jnp.bfloat16)
    for derivative in (fourier_derivative, central_difference):
        assert jax.eval_shape(lambda x, d=derivative: d(x, 1), half).dtype == half.dtype
        with jax.enable_x64(True):
            double = jnp.asarray(np.sin(np.arange(6.0)).reshape(1, 1, 6, 1))
            assert derivative(double, 1).dtype == jnp.float64


@pytest.mark.parametrize("shape", [(8, 8), (9, 6)])
def test_the_generators_of_a_wave_are_known(shape):
    inputs, down, right, rows, columns = wave(shape, (2, -1))
    expected = {
        "translation": -down + 0.5 * right,
        "rotation": columns * down - rows * right,
        "scaling": -rows * down - columns * right,
    }
    for name, generator in GENERATORS.items():
        np.testing.assert_allclose(
            generator(inputs)[0, ..., 0], expected[name], atol=3e-5
        )


def test_translation_is_generated_by_the_derivative_of_the_fourier_shift(images):
    with jax.enable_x64(True):
        limited = band_limit(images.astype(jnp.float64))
        direction = jnp.asarray((1.0, -0.5))
        move = jax.jit(lambda t: fourier_shift(limited, t * direction))
        _, derivative = jax.jvp(move, (0.0,), (1.0,))
        generated = jax.jit(GENERATORS["translation"])(limited)
        np.testing.assert_allclose(generated, derivative, atol=1e-12)


@pytest.mark.parametrize("border", ["ZERO", "REFLECT", "REPLICATE", "CIRCULAR"])
def test_rotation_and_scaling_are_generated_by_differences_of_the_warps(images, border):
    """The mean of the derivatives to either side, for interpolation has a kink."""
    step = 1e-6
    derivative = partial(central_difference, border=border)
    with jax.enable_x64(True):
        double = images.astype(jnp.float64)
        turn = jax.jit(partial(rotate, border=border))
        grow = jax.jit(partial(rescale, border=border))
        angle = np.rad2deg(step)
        turned = (turn(double, angle) - turn(double, -angle)) / (2 * step)
        grown = (grow(double, np.exp(step)) - grow(double, np.exp(-step))) / (2 * step)
        for generator, expected in (
            (rotation_generator, turned),
            (scaling_generator, grown),
        ):
            generated = jax.jit(partial(generator, derivative=derivative))(double)
            np.testing.assert_allclose(generated, expected, atol=1e-4)


@pytest.mark.parametrize("derivative", [fourier_derivative, central_difference])
def test_a_round_spot_turns_into_itself_about_its_center(derivative):
    rows, columns = np.meshgrid(np.arange(17.0), np.arange(17.0), indexing="ij")
    spot = np.exp(-((rows - 7) ** 2 + (columns - 9) ** 2) / 4)[None, ..., None]
    spot = jnp.asarray(spot, jnp.float32)
    about = rotation_generator(spot, center=(7, 9), derivative=derivative)
    elsewhere = rotation_generator(spot, derivative=derivative)
    # The central difference turns a circle into one to second order only.
    assert jnp.max(jnp.abs(about)) < (
        0.05 if derivative is central_difference else 1e-4
    )
    assert jnp.max(jnp.abs(elsewhere)) > 0.3


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("stride", [(2, 2), (1, 2)])
def test_generators_of_subsampled_maps_are_subsampled_generators(name, stride):
    inputs = wave((16, 16), (2, -3))[0]
    generator = GENERATORS[name]
    every = (slice(None), slice(None, None, stride[0]), slice(None, None, stride[1]))
    center = (7.5 / stride[0], 7.5 / stride[1])
    act = jax.jit(partial(generator, stride=stride, center=center))
    generated = act(inputs[every])
    expected = jax.jit(generator)(inputs)[every]
    np.testing.assert_allclose(generated, expected, atol=3e-5)


def test_the_motions_of_other_numbers_of_axes():
    line = jax.random.normal(jax.random.key(1), (1, 5, 1))
    moved = translation_generator(line, direction=(2.0,))
    np.testing.assert_allclose(moved, -2 * fourier_derivative(line, 0), rtol=1e-6)
    offsets = (np.arange(5.0) - 2).reshape(1, 5, 1)
    grown = -offsets * fourier_derivative(line, 0)
    np.testing.assert_allclose(scaling_generator(line), grown, rtol=1e-6)


def test_what_generators_cannot_take_is_refused(images):
    with pytest.raises(ValueError, match="a spatial axis of 0 to 1, got 2"):
        fourier_derivative(images, 2)
    with pytest.raises(ValueError, match="a spatial axis of 0 to 1, got -1"):
        central_difference(images, -1)
    with pytest.raises(ValueError, match="direction: expected 2 numbers"):
        translation_generator(images, direction=(1.0,))
    with pytest.raises(ValueError, match="stride: expected 2 numbers"):
        rotation_generator(images, stride=(1, 2, 3))
    with pytest.raises(ValueError, match="center: expected 2 numbers"):
        scaling_generator(images, center=(1.0,))
    with pytest.raises(ValueError, match=r"expected inputs \[N, H, W, C\]"):
        rotation_generator(images[..., 0])


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("derivative", [fourier_derivative, central_difference])
def test_integers_are_differentiated_in_single_precision(name, derivative):
    whole = jax.random.randint(jax.random.key(5), (2, 6, 5, 1), 0, 256)
    whole = whole.astype(jnp.uint8)  # differences of which wrap
    generator = partial(GENERATORS[name], derivative=derivative)
    found = generator(whole)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, generator(whole.astype(jnp.float32)))


@pytest.mark.parametrize("derivative", [fourier_derivative, central_difference])
def test_a_derivative_of_integers_alone_is_no_integer(derivative):
    ramp = jnp.arange(8, 0, -1, dtype=jnp.uint8).reshape(1, 8, 1)
    found = derivative(ramp, 0)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, derivative(ramp.astype(jnp.float32), 0))
