"""Gradient maps, supports and spreads of functions whose Jacobians are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    bounding_box,
    coverage,
    effective_receptive_field,
    field_spread,
    gradient_map,
    gradient_support,
)
from cnn_jax.ops import conv, max_pool


def linear(params, inputs):
    """[N, 4, 3, 2] -> [N, 2, 5] by a dense matrix: any Jacobian."""
    return jnp.einsum("nhwc,hwcpo->npo", inputs, params)


@pytest.fixture
def matrix():
    return jax.random.normal(jax.random.key(0), (4, 3, 2, 2, 5))


@pytest.mark.parametrize("position", [(0,), (1,)])
def test_a_map_sums_the_squares_over_channels_in_and_out(matrix, position):
    inputs = jax.random.normal(jax.random.key(1), (3, 4, 3, 2))
    found = jax.jit(gradient_map, static_argnums=(0, 3))(
        linear, matrix, inputs, position
    )
    expected = np.square(np.asarray(matrix)[..., position[0], :]).sum((2, 3))
    assert found.shape == (3, 4, 3)
    np.testing.assert_allclose(found, np.stack([expected] * 3), rtol=1e-5)


def test_the_middle_is_the_position_unless_one_is_given(matrix):
    inputs = jnp.zeros((1, 4, 3, 2))
    middle = gradient_map(linear, matrix, inputs)
    np.testing.assert_array_equal(middle, gradient_map(linear, matrix, inputs, (1,)))


def test_a_function_without_spatial_outputs_has_one_position(matrix):
    def flat(params, inputs):
        return linear(params, inputs)[:, 0]

    inputs = jnp.zeros((1, 4, 3, 2))
    found = gradient_map(flat, matrix, inputs)
    np.testing.assert_allclose(
        found, gradient_map(linear, matrix, inputs, (0,)), rtol=1e-6
    )


def test_the_effective_field_is_the_mean_over_images():
    def square(params, inputs):
        return jnp.sum(params * jnp.square(inputs), axis=1)

    inputs = jnp.asarray([[1.0, 2.0], [3.0, 0.0]])[..., None]
    params = jnp.ones((2, 2, 1))
    maps = gradient_map(square, params, inputs)
    np.testing.assert_allclose(maps, [[4, 16], [36, 0]])
    np.testing.assert_allclose(
        effective_receptive_field(square, params, inputs), [20, 8]
    )


def test_the_effective_field_is_that_of_the_position(matrix):
    inputs = jnp.zeros((1, 4, 3, 2))
    (expected,) = gradient_map(linear, matrix, inputs, (0,))
    found = effective_receptive_field(linear, matrix, inputs, (0,))
    np.testing.assert_array_equal(found, expected)


def test_a_support_is_found_in_any_channel_of_any_image():
    def apply(params, inputs):
        del params
        return jnp.maximum(inputs, 0)[:, :1] * jnp.asarray([[[0.0, 1.0]]])

    inputs = jnp.asarray([[[-1.0, -1.0], [1.0, 1.0]], [[-1.0, 2.0], [1.0, 1.0]]])
    assert gradient_support(apply, None, inputs).tolist() == [True, False]
    assert gradient_support(apply, None, inputs[:1]).tolist() == [False, False]


def test_a_maximum_supports_its_argument_alone():
    inputs = jnp.asarray([0.0, 3.0, 1.0, 2.0]).reshape(1, 4, 1)
    support = gradient_support(
        lambda _, inputs: max_pool(inputs, (2,), (2,)), None, inputs, (1,)
    )
    assert support.tolist() == [False, False, False, True]


@pytest.mark.parametrize("position", [(2,), (-1,), (0, 0), ()])
def test_a_position_outside_the_outputs_is_refused(matrix, position):
    with pytest.raises(ValueError, match=r"one integer per axis inside outputs \(2,\)"):
        gradient_map(linear, matrix, jnp.zeros((1, 4, 3, 2)), position)


def test_the_box_and_the_coverage_of_a_support():
    support = np.zeros((5, 7), bool)
    support[1, 2] = support[3, 5] = True
    start, size = bounding_box(jnp.asarray(support))
    assert start.tolist() == [1, 2]
    assert size.tolist() == [3, 4]
    np.testing.assert_allclose(coverage(jnp.asarray(support)), 2 / 12)
    support[1:4, 2:6] = True
    assert coverage(jnp.asarray(support)) == 1


def test_an_empty_support_has_no_box():
    _, size = bounding_box(jnp.zeros((3, 4), bool))
    assert size.tolist() == [0, 0]
    assert jnp.isnan(coverage(jnp.zeros((3, 4), bool)))


def test_a_dilated_convolution_has_gaps():
    kernel = jnp.ones((3, 3, 1, 1))

    def dilated(kernel, inputs):
        return conv(inputs, kernel, kernel_dilation=(2, 3))

    inputs = jnp.zeros((1, 9, 9, 1))
    support = jax.jit(gradient_support, static_argnums=0)(dilated, kernel, inputs)
    start, size = bounding_box(support)
    assert (start.tolist(), size.tolist()) == ([2, 1], [5, 7])
    np.testing.assert_allclose(coverage(support), 9 / 35)


def test_the_spread_of_a_box_is_known_and_moves_with_it():
    for start in (0, 3):
        field = np.zeros((9, 6))
        field[start : start + 5, 2:4] = 7.0
        expected = [np.sqrt((k**2 - 1) / 12) for k in (5, 2)]
        np.testing.assert_allclose(field_spread(jnp.asarray(field)), expected, 1e-6)


def test_squared_spreads_of_random_layers_add():
    """Independent kernels: the mean map is the convolution of the layers' windows."""

    def apply(kernels, inputs):
        for dilation, kernel in zip((1, 3), kernels, strict=True):
            taps = [jnp.roll(inputs, dilation * tap, axis=1) for tap in (-1, 0, 1)]
            inputs = jnp.einsum("wnxc,wco->nxo", jnp.stack(taps), kernel)
        return inputs

    @jax.jit
    def mean_map(key):
        kernels = jax.random.normal(key, (400, 2, 3, 4, 4))
        inputs = jnp.zeros((1, 15, 4))
        field = functools.partial(effective_receptive_field, apply)
        return jnp.mean(jax.vmap(field, (0, None))(kernels, inputs), axis=0)

    spread = field_spread(mean_map(jax.random.key(2)))
    np.testing.assert_allclose(spread, [np.sqrt(8 / 12 * (1 + 9))], rtol=0.03)
