"""The block of convolution, activation and maximum pool: what its parts give."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops import blocks
from tests import reference, reference_pooling
from tests.derivatives import check_derivatives

SERVED = [  # inputs, window of the kernel, features, window of the pool, padding
    ((3, 8, 8, 2), (5, 5), 6, (2, 2), "SAME"),
    ((2, 9, 7, 1), (4, 3), 3, (3, 1), "FULL"),
    ((2, 10, 12, 3), (3, 2), 4, (2, 3), ((2, 0), (-1, 2))),
    ((1, 4, 6, 2), (1, 1), 1, (2, 2), "VALID"),
    ((2, 12, 3), (3,), 16, (2,), "CAUSAL"),
    ((1, 4, 6, 4, 8), (3, 2, 3), 2, (2, 3, 2), "CIRCULAR"),
]
LEFT = [  # to the functions it is made of
    ((2, 7, 8, 2), (3, 3), 3, (2, 2), "SAME", jnp.float32),  # a row is left over
    ((2, 8, 8, 2), (3, 3), 3, (4, 4), "SAME", jnp.float32),  # max_pool has stages
    ((2, 8, 8, 9), (3, 3), 3, (2, 2), "SAME", jnp.float32),
    ((2, 8, 8, 2), (3, 3), 17, (2, 2), "SAME", jnp.float32),
    ((2, 8, 8, 2), (3, 3), 3, (2, 2), "SAME", jnp.bfloat16),
    ((2, 8, 8, 2), (3, 3), 3, (2, 2), "SAME", jnp.int32),
    ((0, 8, 8, 2), (3, 3), 3, (2, 2), "SAME", jnp.float32),
    ((2, 8, 8, 2), (3, 3), 0, (2, 2), "SAME", jnp.float32),
]


def draw(shape, window, features):
    """Inputs, kernel and bias."""
    generator = np.random.default_rng(3)
    sizes = shape, (*window, shape[-1], features), (features,)
    return [3 * generator.normal(size=size) for size in sizes]


def arrays(shape, window, features, dtype=jnp.float32):
    return [jnp.asarray(each, dtype) for each in draw(shape, window, features)]


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2},
        {"kernel_dilation": (1, 2)},
        {"input_dilation": 2},
        {"feature_group_count": 2},
        {"algorithm": "im2col"},
        {"preferred_element_type": jnp.float32},
    ],
)
def test_other_convolutions_are_left_to_the_parts(options):
    inputs, kernel, bias = arrays((2, 8, 8, 2), (3, 3), 4)
    kernel = kernel[:, :, : 2 // options.get("feature_group_count", 1)]
    _, _, pooled = ops.conv_max_pool(inputs, kernel, bias, window_shape=2, **options)
    outputs = ops.conv(inputs, kernel, bias, **options)
    np.testing.assert_array_equal(pooled, ops.max_pool(outputs, (2, 2), (2, 2)))


@pytest.fixture
def at_once(monkeypatch):
    """The block has to be computed by itself."""
    monkeypatch.delattr(blocks, "conv")


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("case", SERVED)
def test_values_are_those_of_loops(case):
    shape, window, features, pool, padding = case
    inputs, kernel, bias = given = draw(shape, window, features)
    found = jax.jit(
        lambda *given: ops.conv_max_pool(
            *given, window_shape=pool, activation=jnp.tanh, padding=padding
        )
    )(*(jnp.asarray(each, jnp.float32) for each in given))
    how = reference.keywords(shape[1:-1], window, padding=padding)
    outputs = reference.conv(inputs, kernel, **how) + bias
    none = [(0, 0)] * len(pool)
    pooled = reference_pooling.max_pool(np.tanh(outputs), pool, pool, none)
    for ours, expected in zip(found, (outputs, np.tanh(outputs), pooled), strict=True):
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("at_once")
def test_two_orders_of_derivatives_are_right_in_both_modes():

    def block(*given):
        return ops.conv_max_pool(*given, window_shape=2, activation=jnp.tanh)

    given = [0.1 * each for each in draw((2, 4, 6, 2), (3, 2), 3)]
    check_derivatives(block, given, 1e-6)


@pytest.mark.usefixtures("at_once")
def test_ties_share_the_gradient_as_those_of_max_pool():
    generator = np.random.default_rng(4)
    whole = [generator.integers(-1, 2, size) for size in ((2, 6, 6, 1), (1, 1, 1, 2))]
    given = [jnp.asarray(each, jnp.float32) for each in whole]

    def gradients(block):
        def total(*given):
            weights = jnp.arange(1.0, 37.0).reshape(2, 3, 3, 2)
            return jnp.sum(weights * block(*given))

        return jax.grad(total, (0, 1))(*given)

    found = gradients(
        lambda *given: ops.conv_max_pool(*given, window_shape=2, activation=jnp.abs)[2]
    )
    expected = gradients(
        lambda x, k: ops.max_pool(jnp.abs(ops.conv(x, k)), (2, 2), (2, 2))
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("at_once")
def test_vmap_over_anything_is_a_loop():
    inputs, kernel, bias = arrays((2, 6, 4, 2), (3, 3), 4)

    def block(*given):
        plain = {"strides": (1, 1), "input_dilation": 1, "algorithm": "auto"}
        return ops.conv_max_pool(
            *given, window_shape=2, activation=jax.nn.relu, **plain
        )

    for axes in ((0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)):
        given = [
            jnp.stack([each, 1 - each]) if axis == 0 else each
            for each, axis in zip((inputs, kernel, bias), axes, strict=True)
        ]
        found = jax.vmap(block, axes)(*given)
        for index in range(2):
            one = [
                each[index] if axis == 0 else each
                for each, axis in zip(given, axes, strict=True)
            ]
            for ours, alone in zip(found, block(*one), strict=True):
                np.testing.assert_allclose(ours[index], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", LEFT)
def test_what_is_left_to_the_parts_has_their_bits(case):
    shape, window, features, pool, padding, dtype = case
    given = arrays(shape, window, features, dtype)
    found = ops.conv_max_pool(
        *given, window_shape=pool, activation=jnp.abs, padding=padding
    )
    outputs = ops.conv(*given, padding=padding)
    active = jnp.abs(outputs)
    expected = outputs, active, ops.max_pool(active, pool, pool)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(ours, theirs)


def test_without_bias_and_activation_it_is_the_maximum_of_a_convolution():
    inputs, kernel, _ = arrays((2, 6, 4, 2), (3, 3), 4)
    outputs, _, pooled = ops.conv_max_pool(inputs, kernel, window_shape=(2, 2))
    np.testing.assert_allclose(outputs, ops.conv(inputs, kernel), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(pooled, ops.max_pool(outputs, (2, 2), (2, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_shape": 0}, "window_shape: expected one integer >= 1 or 2 of them"),
        ({"window_shape": (2,)}, r"window_shape: expected .* got \(2,\)"),
        ({"padding": "EVEN"}, "padding: expected one of SAME, .* got 'EVEN'"),
        ({"bias": jnp.zeros(3)}, r"bias: expected shape \(4,\), got \(3,\)"),
        ({"kernel": jnp.zeros((3, 3, 1, 4))}, "kernel: expected 2 channels"),
        ({"feature_group_count": 2}, "kernel: expected 1 channels"),
        (
            {"kernel": jnp.zeros((9, 3, 2, 4)), "padding": "VALID"},
            "kernel larger than the padded input: expected at most 6 positions",
        ),
        (
            {"inputs": jnp.zeros(6)},
            r"inputs: expected rank 3 to 5, .* got shape \(6,\)",
        ),
        (
            {"window_shape": (7, 2)},
            r"larger than the padded input: expected at most 6 positions .* got 7",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any], message: str):
    inputs, kernel, bias = arrays((2, 6, 4, 2), (3, 3), 4)
    given: dict[str, Any] = {"inputs": inputs, "kernel": kernel, "bias": bias}
    given |= {"window_shape": 2, **change}
    with pytest.raises(ValueError, match=message):
        ops.conv_max_pool(**given)


def slope(outputs):
    return outputs * jnp.asarray([1.0, -2, 3, -4]).reshape((1,) * 3 + (4,))


@pytest.mark.parametrize("activation", [jax.nn.softmax, jax.nn.glu, slope])
def test_an_activation_along_channels_is_left_to_the_parts(activation):
    inputs, kernel, bias = arrays((4, 6, 4, 2), (3, 3), 4)  # as many images as features
    *_, pooled = ops.conv_max_pool(
        inputs, kernel, bias, window_shape=2, activation=activation
    )
    outputs = activation(ops.conv(inputs, kernel, bias))
    np.testing.assert_array_equal(pooled, ops.max_pool(outputs, (2, 2), (2, 2)))
