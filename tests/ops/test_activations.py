"""Activations: their definitions, and what their derivatives are at the kinks."""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers, ops
from tests.derivatives import check_derivatives
from tests.trees import assert_same_trees

KEY = jax.random.key(4)
# Both sides of every kink, the kinks themselves, and an odd shape.
VALUES = np.array([[-3.0, -1.0, -0.25], [0.0, 0.5, 1.0], [1.5, -1.5, 2.0]], np.float32)


def apply(layer, *arguments, **keywords):
    return np.asarray(layer.apply(*arguments, **keywords))


def slopes(f, values=VALUES):
    """f' at every value."""
    return np.asarray(jax.vmap(jax.grad(f))(jnp.asarray(values).ravel())).reshape(
        np.shape(values)
    )


def test_prelu_has_slope_one_at_zero_and_above_and_its_own_below():
    slope = np.array([0.5, 0.25, -1.0], np.float32)
    expected = [[-1.5, -0.25, 0.25], [0, 0.5, 1], [1.5, -0.375, 2]]
    np.testing.assert_array_equal(ops.prelu(VALUES, slope), expected)
    np.testing.assert_array_equal(
        slopes(lambda x: ops.prelu(x, 0.5)), np.where(VALUES >= 0, 1, 0.5)
    )


def test_the_gradient_to_prelus_slope_sums_the_negative_inputs():
    gradient = jax.grad(lambda slope: jnp.sum(ops.prelu(VALUES, slope)))
    np.testing.assert_array_equal(gradient(jnp.zeros(3)), np.minimum(VALUES, 0).sum(0))
    np.testing.assert_array_equal(gradient(jnp.zeros(())), np.minimum(VALUES, 0).sum())


def test_prelus_derivatives_hold_to_second_order():
    rng = np.random.default_rng(0)
    check_derivatives(ops.prelu, [rng.normal(size=(3, 2)), rng.normal(size=2)])


def test_without_a_key_rrelu_takes_the_mean_slope():
    expected = np.where(VALUES >= 0, VALUES, np.float32(0.375) * VALUES)
    np.testing.assert_array_equal(ops.rrelu(VALUES, lower=0.25, upper=0.5), expected)


def test_with_a_key_every_element_draws_its_slope_from_the_whole_range():
    inputs = jnp.full((50, 41), -1.0)
    drawn = -np.asarray(ops.rrelu(inputs, KEY, lower=0.25, upper=0.5))
    assert len(np.unique(drawn)) > 2000
    assert drawn.min() >= 0.25
    assert drawn.max() < 0.5
    # Mean and variance of a uniform distribution, to 5 standard errors of 2,050 draws.
    sd = 0.25 / 12**0.5
    assert abs(drawn.mean() - 0.375) < 5 * sd / 2050**0.5
    np.testing.assert_allclose(drawn.std(), sd, rtol=0.05)
    assert not np.array_equal(drawn, -ops.rrelu(inputs, jax.random.key(5)))


def test_rrelus_derivative_is_the_slope_that_was_drawn():
    inputs = jnp.asarray(VALUES)

    def total(inputs):
        return jnp.sum(ops.rrelu(inputs, KEY))

    found = jax.grad(total)(inputs)
    nonzero = VALUES != 0
    ratio = np.asarray(ops.rrelu(inputs, KEY))[nonzero] / VALUES[nonzero]
    np.testing.assert_allclose(found[nonzero], ratio, rtol=1e-6)
    assert found[1, 0] == 1


def test_maxout_is_the_largest_of_adjacent_features():
    inputs = np.random.default_rng(1).normal(size=(2, 3, 6)).astype(np.float32)
    expected = np.empty((2, 3, 2), np.float32)
    for n, p, c in np.ndindex(2, 3, 2):
        expected[n, p, c] = max(inputs[n, p, 3 * c + j] for j in range(3))
    np.testing.assert_array_equal(ops.maxout(inputs, 3), expected)
    np.testing.assert_array_equal(ops.maxout(inputs, 1), inputs)
    assert ops.maxout(inputs[:0], 2).shape == (0, 3, 3)
    check_derivatives(lambda x: ops.maxout(x, 3), [inputs.astype(np.float64)])


def test_equal_maxima_share_maxouts_gradient():
    gradient = jax.grad(lambda x: jnp.sum(ops.maxout(x, 3)))
    found = gradient(jnp.asarray([2.0, 1.0, 2.0, 0.0, 0.0, 5.0]))
    np.testing.assert_array_equal(found, [0.5, 0, 0.5, 0, 0, 1])


def test_htanh_clips_and_its_derivative_is_one_up_to_the_ends():
    np.testing.assert_array_equal(ops.htanh(VALUES), np.clip(VALUES, -1, 1))
    inside = (np.abs(VALUES) <= 1).astype(np.float32)
    np.testing.assert_array_equal(slopes(ops.htanh), inside)


@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd])
def test_binarize_is_the_sign_with_htanhs_derivative(transform):
    np.testing.assert_array_equal(ops.binarize(VALUES), np.where(VALUES >= 0, 1, -1))
    found = jax.vmap(transform(ops.binarize))(jnp.asarray(VALUES).ravel())
    np.testing.assert_array_equal(found, np.abs(VALUES.ravel()) <= 1)
    # What it stands in for passes nothing.
    assert not slopes(jnp.sign).any()


@pytest.mark.parametrize(
    "f",
    [
        ops.htanh,
        ops.binarize,
        lambda x: ops.maxout(x, 3),
        lambda x: ops.prelu(x, np.float32(0.5)),
        lambda x: ops.rrelu(x, KEY),
        ops.rrelu,
    ],
)
def test_half_precision_stays(f):
    assert f(jnp.asarray(VALUES, jnp.bfloat16)).dtype == jnp.bfloat16
    assert f(jnp.ones((2, 0, 3), jnp.float16)).dtype == jnp.float16


def test_integers_become_floats():
    for f in (ops.htanh, ops.binarize, ops.rrelu, lambda x: ops.prelu(x, 0.5)):
        found = f(np.array([-2, 1]))
        assert found.dtype == jnp.float32
        assert found[1] == 1
    assert ops.prelu(-2, 0.5) == -1


@pytest.mark.parametrize("inputs", [VALUES, VALUES.astype(jnp.bfloat16)])
def test_the_layer_with_one_slope_is_flaxs(inputs):
    ours, theirs = layers.PReLU(), nn.PReLU()
    variables = ours.init(KEY, inputs)
    assert_same_trees(variables, theirs.init(KEY, inputs))
    steeper = jax.tree.map(lambda slope: slope + 0.3, variables)
    outputs = apply(ours, steeper, inputs)
    assert_same_trees(outputs, apply(theirs, steeper, inputs))


def test_the_layer_may_have_a_slope_per_feature():
    layer = layers.PReLU(negative_slope_init=0.25, per_feature=True)
    variables = layer.init(KEY, VALUES)
    np.testing.assert_array_equal(variables["params"]["negative_slope"], [0.25] * 3)
    np.testing.assert_array_equal(
        apply(layer, variables, VALUES), ops.prelu(VALUES, 0.25)
    )


def test_the_random_layer_draws_in_training_only():
    layer = layers.RReLU(0.25, 0.5)
    assert not layer.init(KEY, VALUES, True)
    tested = apply(layer, {}, VALUES, True)
    np.testing.assert_array_equal(tested, ops.rrelu(VALUES, lower=0.25, upper=0.5))
    first, again, other = (
        apply(layer, {}, VALUES, False, rngs={"rrelu": jax.random.key(seed)})
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    negative = VALUES < 0
    slope = first[negative] / VALUES[negative]
    assert ((slope >= 0.25) & (slope <= 0.5)).all()


def test_the_maxout_layer_is_a_linear_layer_and_a_maximum():
    layer = layers.Maxout(2, 3)
    variables = layer.init(KEY, VALUES)
    linear: Any = variables["params"]["linear"]
    assert linear["kernel"].shape == (3, 6)
    expected = (VALUES @ linear["kernel"]).reshape(3, 2, 3).max(2)
    np.testing.assert_allclose(apply(layer, variables, VALUES), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ops.prelu(VALUES, np.zeros(2)),
            "slope: expected shape () or (3,), one per feature, got (2,)",
        ),
        (
            lambda: ops.rrelu(VALUES, lower=0.5, upper=0.25),
            "lower: expected at most upper = 0.25, got 0.5",
        ),
        (
            lambda: ops.maxout(VALUES, 2),
            "pieces: expected a divisor of the features in (3, 3), got 2",
        ),
        (
            lambda: ops.maxout(VALUES, 0),
            "pieces: expected a divisor of the features in (3, 3), got 0",
        ),
    ],
)
def test_wrong_arguments_are_answered_with_what_was_expected(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
