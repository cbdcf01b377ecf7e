"""Batch normalization against its definition and flax.linen's."""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import Statistics, batch_statistics, normalize, update_statistics
from tests.derivatives import check_derivatives

SHAPE = (5, 3, 2, 3)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(1.5, 2.0, shape).astype(np.float32)


def by_definition(inputs, scale, bias, epsilon):
    """mean, variance, outputs, by loops over features in float64."""
    inputs = inputs.astype(np.float64)
    outputs, means, variances = np.empty_like(inputs), [], []
    for c in range(inputs.shape[-1]):
        values = [float(v) for v in inputs[..., c].ravel()]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        normal = (inputs[..., c] - mean) / (variance + epsilon) ** 0.5
        outputs[..., c] = scale[c] * normal + bias[c]
        means.append(mean)
        variances.append(variance)
    return means, variances, outputs


@pytest.mark.parametrize("shape", [(7, 3), SHAPE, (1, 1, 3)])
def test_training_equals_the_definition(shape):
    inputs, scale, bias = draw(*shape), draw(3, seed=1), draw(3, seed=2)
    statistics = batch_statistics(inputs)
    outputs = normalize(inputs, statistics, scale, bias, epsilon=1e-3)
    mean, variance, expected = by_definition(inputs, scale, bias, 1e-3)
    np.testing.assert_allclose(statistics.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(statistics.variance, variance, rtol=1e-5)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def ours(variables, inputs, training):
    params, running = variables["params"], Statistics(**variables["batch_stats"])
    batch = batch_statistics(inputs)
    used = batch if training else running
    outputs = normalize(inputs, used, params["scale"], params["bias"])
    return outputs, update_statistics(running, batch, momentum=0.9)


def flaxs(variables, inputs, training):
    module = nn.BatchNorm(not training, momentum=0.9, use_fast_variance=False)
    with jax.numpy_dtype_promotion("standard"):  # flax's own is not strict
        outputs, updated = module.apply(variables, inputs, mutable=["batch_stats"])
    stats: Any = updated["batch_stats"]
    return outputs, Statistics(stats["mean"], stats["var"])


def variables(seed=3):
    rng = np.random.default_rng(seed)
    params = {"scale": rng.normal(size=3), "bias": rng.normal(size=3)}
    stats = {"mean": rng.normal(size=3), "variance": rng.uniform(0.5, 2, 3)}
    return {"params": params, "batch_stats": stats}


def renamed(variables):
    """As flax.linen.BatchNorm names them."""
    stats = variables["batch_stats"]
    return variables | {
        "batch_stats": {"mean": stats["mean"], "var": stats["variance"]}
    }


@pytest.mark.parametrize("training", [True, False])
def test_both_modes_equal_flaxs_with_the_same_variables_and_two_derivatives(training):
    inputs, along = draw(*SHAPE).astype(np.float64), draw(*SHAPE, seed=4)

    def measure(apply, name):
        def loss(params, inputs):
            given = name(variables() | {"params": params})
            outputs, _ = apply(given, inputs, training)
            return jnp.sum(jnp.sin(outputs))

        arguments = variables()["params"], inputs
        gradient = jax.grad(loss, argnums=(0, 1))
        moved = jax.tree.map(jnp.ones_like, arguments[0]), jnp.asarray(along, float)
        first, second = jax.jvp(gradient, arguments, moved)
        outputs, updated = apply(name(variables()), inputs, training)
        return outputs, updated if training else (), first, second

    with jax.enable_x64(True):
        found, expected = measure(ours, lambda v: v), measure(flaxs, renamed)
        for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            assert a.dtype == jnp.float64
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_derivatives_through_the_batchs_statistics_equal_differences():
    def f(inputs, scale, bias):
        return normalize(inputs, batch_statistics(inputs), scale, bias)

    arrays = [draw(4, 3), draw(3, seed=1), draw(3, seed=2)]
    check_derivatives(f, [a.astype(np.float64) for a in arrays])


def test_a_feature_far_from_zero_keeps_its_variance():
    inputs = np.float32(4096) + np.array([[-0.5], [0.5]] * 3, np.float32)
    np.testing.assert_array_equal(batch_statistics(inputs).variance, [0.25])


def test_a_constant_feature_becomes_the_bias():
    inputs = np.full((4, 2), 3, np.float32)
    statistics = batch_statistics(inputs)
    bias = np.array([5, -1], np.float32)
    outputs = normalize(inputs, statistics, np.ones(2, np.float32), bias)
    np.testing.assert_array_equal(outputs, np.broadcast_to(bias, (4, 2)))


def test_without_scale_and_bias_the_outputs_have_mean_zero_and_variance_one():
    inputs = draw(*SHAPE)
    outputs = normalize(inputs, batch_statistics(inputs), epsilon=0)
    mean, variance = batch_statistics(outputs)
    np.testing.assert_allclose(mean, np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(variance, np.ones(3), rtol=1e-5)


def test_half_precision_is_normalized_in_float32_and_returned_as_it_came():
    inputs = jnp.asarray(draw(*SHAPE), jnp.bfloat16)
    statistics = batch_statistics(inputs)
    assert statistics.mean.dtype == statistics.variance.dtype == jnp.float32
    outputs = normalize(inputs, statistics)
    assert outputs.dtype == jnp.bfloat16
    wide = inputs.astype(jnp.float32)
    exact = normalize(wide, batch_statistics(wide)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(outputs, exact)


def test_integers_are_normalized_as_floats():
    inputs = np.array([[1, 2], [3, 6]])
    outputs = normalize(inputs, batch_statistics(inputs), epsilon=0)
    np.testing.assert_allclose(outputs, [[-1, -1], [1, 1]], rtol=1e-6)


def test_an_empty_batch_normalized_by_running_statistics_stays_empty():
    running = Statistics(jnp.zeros(3), jnp.ones(3))
    assert normalize(np.zeros((0, 4, 3), np.float32), running).shape == (0, 4, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: batch_statistics(np.float32(1)),
            "inputs: expected [..., C], got shape ()",
        ),
        (
            lambda: normalize(draw(4, 3), Statistics(jnp.zeros(2), jnp.ones(3))),
            "mean: expected one value per feature of inputs (4, 3), got shape (2,)",
        ),
        (
            lambda: normalize(draw(4, 3), batch_statistics(draw(4, 3)), draw(1, 3)),
            "scale: expected one value per feature of inputs (4, 3), got shape (1, 3)",
        ),
    ],
)
def test_wrong_shapes_are_answered_with_what_was_expected(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
