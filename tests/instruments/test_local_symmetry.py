"""Local errors of functions that commute, anticommute, or fail by a known amount."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import conv, max_pool
from cnn_jax.instruments import (
    band_limit,
    central_difference,
    fourier_shift,
    layer_contributions,
    local_equivariance_error,
    local_equivariance_sides,
    rotation_generator,
    scaling_generator,
    translation_generator,
)

right = partial(translation_generator, direction=(0.0, 1.0))
diagonal = partial(translation_generator, direction=(1.0, -0.5))
local = partial(
    translation_generator, direction=(0.0, 1.0), derivative=central_difference
)
mirrored = partial(
    translation_generator,
    direction=(0.0, 1.0),
    derivative=partial(central_difference, border="REFLECT"),
)


def sides(apply, params, inputs, generator):
    """`local_equivariance_sides`, compiled whole."""

    @jax.jit
    def compiled(params, inputs):
        return local_equivariance_sides(apply, params, inputs, generator)

    return compiled(params, inputs)


def errors_of(apply, params, inputs, generator, **keywords):
    """`local_equivariance_error`, compiled whole."""

    @jax.jit
    def compiled(params, inputs):
        return local_equivariance_error(apply, params, inputs, generator, **keywords)

    return compiled(params, inputs)


@pytest.fixture
def images():
    return jax.random.normal(jax.random.key(0), (2, 6, 7, 2))


@pytest.fixture
def kernel():
    return 0.5 * jax.random.normal(jax.random.key(1), (3, 3, 2, 2))


def circular(kernel, inputs):
    return conv(inputs, kernel, padding="CIRCULAR")


def test_a_circular_convolution_commutes_with_translation(images, kernel):
    error = errors_of(circular, kernel, images, diagonal)
    assert error.absolute.shape == error.square.shape == error.scale.shape == (2,)
    assert jnp.all(error.square < 1e-11 * error.scale)
    turned = errors_of(circular, kernel, images, rotation_generator)
    assert jnp.all(turned.square > 0.1 * turned.scale)


def test_zero_padding_is_seen_at_the_border_alone(images, kernel):
    def padded(kernel, inputs):
        return conv(inputs, kernel, padding="SAME")

    inner = errors_of(padded, kernel, images, mirrored, margin=2)
    assert jnp.all(inner.square < 1e-12)
    whole = errors_of(padded, kernel, images, mirrored)
    assert jnp.all(whole.square > 1e-2)


def test_a_ramp_fails_by_the_mean_of_the_neighbors(images):
    """c·x[c] moved is less by x: the discrete product rule."""
    columns = jnp.arange(7.0)[None, None, :, None]
    error = errors_of(
        lambda ramp, inputs: ramp * inputs, columns, images, local, margin=1
    )
    neighbors = np.asarray(images[:, 1:-1, 2:] + images[:, 1:-1, :-2], np.float64) / 2
    absolute, square = np.abs(neighbors), neighbors**2
    np.testing.assert_allclose(error.absolute, absolute.mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(error.square, square.mean((1, 2, 3)), rtol=1e-5)
    output = np.asarray(columns * images)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(error.scale, (output**2).mean((1, 2, 3)), rtol=1e-5)


def test_quarter_turns_commute_with_rotation_and_mirrors_turn_it_around():
    square = jax.random.normal(jax.random.key(2), (2, 5, 5, 1))

    def turn(_, inputs):
        return jnp.rot90(inputs, axes=(1, 2))

    def mirror(_, inputs):
        return jnp.flip(inputs, 2)

    left, generated = sides(turn, None, square, rotation_generator)
    np.testing.assert_allclose(left, generated, atol=2e-6)
    left, generated = sides(mirror, None, square, rotation_generator)
    np.testing.assert_allclose(left, -generated, atol=2e-6)
    assert jnp.max(jnp.abs(generated)) > 1
    left, generated = sides(mirror, None, square, scaling_generator)
    np.testing.assert_allclose(left, generated, atol=2e-6)


def test_the_lie_derivative_is_that_of_moving_in_and_moving_back(images, kernel):
    with jax.enable_x64(True):
        limited = band_limit(images.astype(jnp.float64))
        weights = kernel.astype(jnp.float64)
        along = jnp.asarray((1.0, -0.5))

        def apply(kernel, inputs):
            return band_limit(jnp.tanh(conv(inputs, kernel, padding="CIRCULAR")))

        @jax.jit
        def there_and_back(t):
            moved = apply(weights, fourier_shift(limited, t * along))
            return fourier_shift(moved, -t * along)

        _, derivative = jax.jvp(there_and_back, (0.0,), (1.0,))
        left, generated = sides(apply, weights, limited, diagonal)
        np.testing.assert_allclose(left - generated, derivative, atol=1e-12)
        assert np.abs(derivative).max() > 0.01


def test_a_nonlinearity_commutes_where_it_makes_no_new_frequencies_alias():
    columns = np.arange(32)

    def error(cycles):
        wave = np.cos(2 * np.pi * cycles * columns / 32).reshape(1, 1, 32, 1)
        wave = jnp.asarray(wave, jnp.float32)
        measured = errors_of(lambda _, x: x**3, None, wave, right)
        return float(measured.square[0] / measured.scale[0])

    assert error(5) < 1e-10  # three times 5 is below 16
    assert error(6) > 1e-2  # three times 6 folds back to 14


def test_logits_have_the_derivative_along_the_motion(images):
    with jax.enable_x64(True):
        limited = band_limit(images.astype(jnp.float64))
        dense = jax.random.normal(jax.random.key(3), (84, 3), jnp.float64)

        def apply(params, inputs):
            mean = jnp.mean(inputs, axis=(1, 2))
            logits = jnp.tanh(inputs.reshape(2, -1) @ params)
            return logits, {"mean": mean}

        step = 1e-5
        ahead, _ = apply(dense, fourier_shift(limited, (step, -step / 2)))
        behind, _ = apply(dense, fourier_shift(limited, (-step, step / 2)))
        expected = (ahead - behind) / (2 * step)
        left, generated = sides(apply, dense, limited, diagonal)
        np.testing.assert_allclose(left[0], expected, atol=1e-7)
        np.testing.assert_array_equal(generated[0], 0)
        error = errors_of(apply, dense, limited, diagonal)
        np.testing.assert_allclose(
            error[0].absolute, np.abs(expected).mean(1), rtol=1e-5
        )
        assert jnp.all(error[1]["mean"].absolute < 1e-14)


def test_every_output_has_its_own_stride_and_center():
    rows, columns = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    wave = np.cos(2 * np.pi * (2 * rows - columns) / 16)[None, ..., None]
    wave = jnp.asarray(wave, jnp.float32)

    def apply(_, inputs):
        return {"half": inputs[:, ::2, ::2], "wide": inputs[:, ::2], "same": inputs}

    strides = {"half": 2, "wide": (2, 1), "same": 1}
    centers = {"half": 3.75, "wide": (3.75, 7.5), "same": None}
    motion = {"strides": strides, "centers": centers}
    for generator in (diagonal, rotation_generator, scaling_generator):
        errors = errors_of(apply, None, wave, generator, **motion)
        for error in errors.values():
            assert jnp.all(error.square < 1e-8)
    errors = errors_of(apply, None, wave, diagonal)
    assert errors["half"].square[0] > 0.01
    errors = errors_of(apply, None, wave, rotation_generator, strides=strides)
    assert errors["half"].square[0] > 0.01


def test_contributions_of_the_layers_add_up_to_the_error_of_the_stack(images, kernel):
    with jax.enable_x64(True):
        inputs = images[:, :, :6].astype(jnp.float64)
        weights = kernel.astype(jnp.float64)
        dense = jax.random.normal(jax.random.key(4), (18, 3), jnp.float64)
        layers = (
            circular,
            lambda _, x: jnp.tanh(x),
            lambda _, x: max_pool(x, (2, 2), (2, 2)),
            lambda params, x: x.reshape(2, -1) @ params,
        )
        params = (weights, None, None, dense)

        def stack(params, x):
            for layer, own in zip(layers, params, strict=True):
                x = layer(own, x)
            return x

        @jax.jit
        def contributions(params, x):
            return layer_contributions(
                layers, params, x, diagonal, strides=(1, 1, 2, 2)
            )

        each = contributions(params, inputs)
        left, generated = sides(stack, params, inputs, diagonal)
        assert [part.shape for part in each] == [(2, 3)] * 4
        np.testing.assert_allclose(sum(each), left - generated, atol=1e-12)
        assert np.abs(each[0]).max() < 1e-12  # the circular convolution
        for part in each[1:]:
            assert np.abs(part).max() > 1e-3


def test_the_last_contribution_is_the_layers_own_error(images, kernel):
    layers = (circular, lambda ramp, x: ramp * x)
    ramp = jnp.arange(7.0)[None, None, :, None]
    params = (kernel, ramp)
    contributions = jax.jit(lambda p, x: layer_contributions(layers, p, x, right))
    first, last = contributions(params, images)
    assert jnp.max(jnp.abs(first)) < 1e-4
    left, generated = sides(layers[1], ramp, circular(kernel, images), right)
    np.testing.assert_allclose(last, left - generated, atol=1e-4)


def test_half_precision_is_measured_in_single(images):
    half = images.astype(jnp.bfloat16)
    error = errors_of(lambda _, x: jnp.tanh(x), None, half, right)
    assert error.square.dtype == jnp.float32
    assert jnp.all(jnp.isfinite(error.square))


def test_integers_are_measured_in_single(images):
    whole = jnp.round(100 * images).astype(jnp.int16)
    wide = whole.astype(jnp.float32)

    def square(_, x):
        return jnp.square(x)

    for measured in (
        lambda x: errors_of(square, None, x, right),
        lambda x: layer_contributions((square,), (None,), x, right),
    ):
        pairs = zip(*map(jax.tree.leaves, map(measured, (whole, wide))), strict=True)
        for found, expected in pairs:
            assert jnp.any(expected != 0)
            np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit_is_refused(images):
    def apply(_, inputs):
        return {"a": inputs, "b": inputs}

    with pytest.raises(ValueError, match="strides: expected one value, or a pytree"):
        local_equivariance_sides(apply, None, images, right, strides={"a": 1})
    with pytest.raises(ValueError, match="the 2 spatial axes of the inputs, got shape"):
        local_equivariance_sides(lambda _, x: x[:, 0], None, images, right)
    with pytest.raises(ValueError, match="margin that leaves a pixel"):
        local_equivariance_error(apply, None, images, right, margin=3)
    with pytest.raises(ValueError, match="of 1 layers, got 2, 1 and 1"):
        layer_contributions([lambda _, x: x], [None, None], images, right)
