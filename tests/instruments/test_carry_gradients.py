"""Gradients through time and their half-lives, where closed forms know them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import half_life, log_carry_gradients
from tests.instruments.gradient_cases import draw, two_part_step, two_parts


def scalar_step(params, carry, inputs):
    """h_t = a·h_t-1 + x_t: all its gradients are powers of a."""
    carry = params * carry + inputs
    return carry, carry


def profile_of(slope, weights, num_steps=None):
    """The profile of `scalar_step` under the loss Σ_t weights[t] · output[t]."""
    weights = np.asarray(weights, np.float32)

    def loss(outputs):
        return jnp.sum(outputs[:, 0] * weights)

    zeros = jnp.zeros((len(weights), 1))
    arguments = jnp.float32(slope), jnp.ones(1), zeros
    return np.asarray(log_carry_gradients(scalar_step, *arguments, loss))


@pytest.mark.parametrize("slope", [1e-3, 0.9, 1.0, 20.0])
def test_the_profile_of_a_last_loss_is_a_power_of_the_distance(slope):
    found = profile_of(slope, [0] * 999 + [2])
    expected = math.log10(2) + np.arange(1000, 0, -1) * math.log10(slope)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-4)


def test_a_later_loss_adds_its_part_to_the_profile():
    """∂L/∂h_t = Σ_s>t w_s a^(s-t), summed in python's floats where they hold it."""
    weights = draw(40)
    found = profile_of(-0.5, weights)
    for t in range(40):
        exact = sum(weights[s - 1] * (-0.5) ** (s - t) for s in range(t + 1, 41))
        np.testing.assert_allclose(found[t], math.log10(abs(exact)), atol=1e-4)


def test_a_near_loss_takes_over_from_a_vanished_one_and_from_nothing():
    weights = np.zeros(300)
    weights[[99, 199]] = 1, 1e-3
    found = profile_of(1e-3, weights)
    assert np.isneginf(found[200:]).all()
    np.testing.assert_allclose(found[100:200], np.arange(-303, -3, 3), rtol=1e-5)
    np.testing.assert_allclose(found[:100], np.arange(-300, 0, 3), rtol=1e-5)


def test_the_profile_of_a_carry_of_parts_equals_gradients_to_offsets():
    def loss(outputs):
        return jnp.sum(jnp.sin(outputs))

    with jax.enable_x64(True):
        params, carry, inputs = jax.tree.map(jnp.asarray, two_parts())

        def by_offsets(offsets):
            now, outputs = carry, []
            for t in range(6):
                now = jax.tree.map(lambda leaf, o, t=t: leaf + o[t], now, offsets)
                here = jax.tree.map(lambda leaf, t=t: leaf[t], inputs)
                now, output = two_part_step(params, now, here)
                outputs.append(output)
            return loss(jnp.stack(outputs))

        zeros = jax.tree.map(lambda leaf: jnp.zeros((6, *leaf.shape)), carry)
        gradients = jax.grad(by_offsets)(zeros)
        flat = np.concatenate([gradients["cell"], gradients["hidden"]], axis=1)
        found = log_carry_gradients(two_part_step, params, carry, inputs, loss)
        expected = np.log10(np.linalg.norm(flat, axis=1))
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("slope", "expected"), [(0.49, 1), (0.9, 7), (1.0, 50), (1.1, 50), (0.0, 0)]
)
def test_the_half_life_is_that_of_the_slope_and_censored_at_the_start(slope, expected):
    profile = profile_of(slope, [0] * 49 + [1])
    assert half_life(jnp.asarray(profile)) == expected
