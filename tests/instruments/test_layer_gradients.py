"""Gradients to activations, of functions whose derivatives are known by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.instruments import activation_gradients, log_activation_gradients


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def perceptron(kernels, inputs):
    """tanh layers; the inputs are an activation too, and one has two names."""
    activations, hidden = {"inputs": inputs}, inputs
    for number, kernel in enumerate(kernels[:-1]):
        hidden = activations[f"dense{number}"] = jnp.tanh(hidden @ kernel)
    return hidden @ kernels[-1], activations | {"last": hidden}


KERNELS = [draw(4, 6), draw(6, 5, seed=1), draw(5, 3, seed=2)]
INPUTS = draw(7, 4, seed=3)


def squares(logits):
    return jnp.sum(jnp.square(logits)) / 2


def backwards(kernels, inputs):
    """Back-propagation of Σ logits² / 2 by hand, in float64."""
    first, second, third = (kernel.astype(np.float64) for kernel in kernels)
    one = np.tanh(inputs @ first)
    two = np.tanh(one @ second)
    at_two = two @ third @ third.T
    at_one = (at_two * (1 - two**2)) @ second.T
    at_inputs = (at_one * (1 - one**2)) @ first.T
    return {"inputs": at_inputs, "dense0": at_one, "dense1": at_two, "last": at_two}


@pytest.mark.parametrize("apply", [perceptron, jax.jit(perceptron)])
def test_gradients_are_those_of_back_propagation(apply):
    found = activation_gradients(apply, KERNELS, INPUTS, squares)
    expected = backwards(KERNELS, INPUTS)
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_norms_are_those_of_the_gradients_and_can_be_compiled_and_batched():
    draws = [np.stack([kernel, 2 * kernel]) for kernel in KERNELS]
    measure = functools.partial(log_activation_gradients, perceptron)
    found = jax.jit(jax.vmap(lambda kernels: measure(kernels, INPUTS, squares)))(draws)
    for draw_number in (0, 1):
        expected = backwards([kernels[draw_number] for kernels in draws], INPUTS)
        for name, gradient in expected.items():
            log = np.log10(np.linalg.norm(gradient))
            np.testing.assert_allclose(found[name][draw_number], log, atol=1e-4)


def test_norms_hold_where_their_squares_leave_the_range():
    def apply(params, inputs):
        hidden = params * inputs
        return jnp.sum(1e-30 * hidden), {"hidden": hidden, "unused": 2 * hidden}

    found = log_activation_gradients(apply, 3.0, jnp.ones(9), lambda logits: logits)
    np.testing.assert_allclose(found["hidden"], -30 + np.log10(3), rtol=1e-6)
    assert np.isneginf(found["unused"])


def test_an_activation_inside_nested_functions_is_found():
    @jax.jit
    def inner(inputs):
        hidden = jnp.sin(inputs)
        return hidden, jax.jit(jnp.square)(hidden), hidden

    def apply(params, inputs):
        first, second, again = inner(params * inputs)
        return jnp.sum(second), {"pair": (first, again), "second": second}

    inputs = draw(5)
    found = activation_gradients(apply, 1.5, inputs, lambda total: 2 * total)
    slope = 4 * np.sin(1.5 * inputs)
    np.testing.assert_allclose(found["pair"][0], slope, rtol=1e-5)
    np.testing.assert_allclose(found["pair"][1], slope, rtol=1e-5)
    np.testing.assert_allclose(found["second"], np.full(5, 2.0))


def test_gradients_can_be_differentiated_again():
    def norm(kernels):
        gradients = activation_gradients(perceptron, kernels, INPUTS, squares)
        return jnp.sum(jnp.square(gradients["dense0"]))

    def by_hand(kernels):
        one = jnp.tanh(INPUTS @ kernels[0])

        def rest(one):
            return squares(jnp.tanh(one @ kernels[1]) @ kernels[2])

        return jnp.sum(jnp.square(jax.grad(rest)(one)))

    found, expected = jax.grad(norm)(KERNELS), jax.grad(by_hand)(KERNELS)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "name", "layer"),
    [
        (models.LeNet((2, 2), (3, 3), (4,), 3), "conv1", "conv1"),
        (models.ResNet(8, features=(2, 2, 2), conv=nn.Conv), "layer1", "layer1_norm"),
    ],
)
def test_a_models_activations_are_measured_without_knowing_it(model, name, layer):
    """A bias that is added to an activation has the sum of its gradients."""
    images = jnp.asarray(draw(2, 8, 8, 1))
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: jnp.asarray(draw(*leaf.shape)), shapes)

    @jax.jit
    def both(variables):
        def loss(variables):
            logits, activations = model.apply(variables, images)
            return squares(logits), activations

        measured = activation_gradients(model.apply, variables, images, squares)
        return measured, jax.grad(loss, has_aux=True)(variables)

    found, (gradients, activations) = both(variables)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, activations)
    # LeNet's is before its ReLU, ResNet's behind it.
    passing = activations[name] > 0 if layer != name else True
    sums = np.where(passing, found[name], 0).sum((0, 1, 2))
    expected = gradients["params"][layer]["bias"]
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(sums, expected, rtol=1e-3, atol=1e-5)
