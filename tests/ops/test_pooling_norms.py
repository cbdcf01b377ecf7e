"""p-norms at the ends of their range, and pools over whole images."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops


def draw(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_an_infinity_is_a_norm_of_infinity():
    inputs = jnp.asarray([1.0, -jnp.inf, 2.0, 2.0])[None, :, None]
    for p in (1, 2, 2.5, 3, 6):
        pooled = ops.lp_pool(inputs, p, (2,), 2)[0, :, 0]
        np.testing.assert_allclose(pooled, [jnp.inf, 2 * 2 ** (1 / p)], rtol=1e-6)


@jax.jit
def norms_and_gradients(x):
    """Of a whole image of 2x2, by p."""

    def both(x, p):
        return ops.lp_pool(x, p, (2, 2)).ravel(), ops.global_lp_pool(x, p).ravel()

    def pulled(x, p):
        norms, pull = jax.vjp(lambda x: jnp.stack(both(x, p)).astype(jnp.float32), x)
        return norms, pull(jnp.ones_like(norms))[0]

    return {p: pulled(x, p) for p in (2, 3.5, 8, 40, 1000)}


# Above 8.5e37 the inverse in float32 is below the least normal number, 1.18e-38.
@pytest.mark.parametrize("size", [1.2e-38, 1e-30, 1e30, 8e37, 9e37, 1.6e38])
def test_powers_neither_overflow_nor_vanish(size):
    inputs = jnp.full((1, 2, 2, 1), size, jnp.float32)
    for p, (norms, gradient) in norms_and_gradients(inputs).items():
        np.testing.assert_allclose(norms, size * 4 ** (1 / p), rtol=2e-6)
        np.testing.assert_allclose(gradient, 2 * 4 ** (1 / p - 1), rtol=2e-6)


@pytest.mark.parametrize("size", [8e37, 3e38])
def test_large_powers_of_the_largest_values_are_their_maximum(size):
    inputs = jnp.asarray([[1.0, 0.25], [0.25, 0.5]])[None, ..., None] * size
    for p in (50, 1000):
        norms, gradient = norms_of_one(inputs, p)
        np.testing.assert_allclose(norms, size, rtol=1e-6)
        np.testing.assert_allclose(gradient.ravel(), [2, 0, 0, 0], atol=1e-6)


@partial(jax.jit, static_argnums=1)
def norms_of_one(x, p):
    def both(x):
        return ops.lp_pool(x, p, (2, 2)).ravel(), ops.global_lp_pool(x, p).ravel()

    norms, pull = jax.vjp(lambda x: jnp.stack(both(x)), x)
    return norms, pull(jnp.ones_like(norms))[0]


@pytest.mark.parametrize("size", [1.2e-37, 1e38])
def test_gradients_depend_on_ratios_of_values_alone(size):
    ratios = jnp.asarray([1.0, 0.5, 0.1])[None, :, None]

    @jax.jit
    def gradients(x):
        pools = [functools.partial(ops.stochastic_pool, window_shape=(3,))]
        for p in (1, 2, 2.5, 3, 6):
            pools.append(functools.partial(ops.lp_pool, p=p, window_shape=(3,)))
            pools.append(functools.partial(ops.global_lp_pool, p=p))
        return [jax.vjp(pool, x)[1](jnp.full(pool(x).shape, 100.0)) for pool in pools]

    for found, expected in zip(*map(gradients, (size * ratios, ratios)), strict=True):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)


def test_norms_of_bfloat16_reach_the_end_of_its_range():
    inputs = jnp.full((1, 2, 2, 1), 1e38, jnp.bfloat16)
    for p, (norms, _) in norms_and_gradients(inputs).items():
        np.testing.assert_allclose(norms, 1e38 * 4 ** (1 / p), rtol=1e-2)


@pytest.mark.parametrize(("p", "size"), [(3, 4e-7), (4, 2e-5)])
def test_second_derivatives_are_right_down_to_the_limit_that_is_told(p, size):
    inputs = jnp.asarray([size, 2 * size, 1.0, 0.5])

    def first(x):
        return ops.lp_pool(x[None, :, None], p, (2,), 2)[0, 0, 0]

    found = jax.jit(jax.hessian(first))(inputs)[0, 1]
    a, b = size, 2 * size
    norm = (a**p + b**p) ** (1 / p)
    expected = (1 - p) * (a * b) ** (p - 1) * norm ** (1 - 2 * p)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_nan_that_wins_has_no_gradient():
    nan = jnp.asarray([jnp.nan, 1.0, jnp.nan, 2.0])[None, :, None]

    @jax.jit
    def gradients(x):
        pools = (
            lambda x: ops.max_pool(x, (4,)),
            ops.global_max_pool,
            lambda x: ops.adaptive_max_pool(x, (1,)),
            lambda x: ops.fractional_max_pool(x, (1,)),
            lambda x: ops.k_max_pool(x, 1),
        )
        return [
            jax.grad(lambda x, pool=pool: jnp.sin(pool(x)).sum())(x).ravel()
            for pool in pools  # what is propagated back is NaN, too
        ]

    np.testing.assert_array_equal(gradients(nan), np.zeros((5, 4)))


def test_a_large_exponent_nears_the_maximum():
    inputs = np.abs(draw((2, 6, 6, 3)))
    pooled = ops.lp_pool(inputs, 200, (2, 2))
    largest = ops.max_pool(inputs, (2, 2))
    np.testing.assert_allclose(pooled, largest, rtol=0.01)


@pytest.mark.parametrize("spatial", [(5,), (4, 5), (2, 3, 2, 2)], ids=str)
def test_global_pools_reduce_every_position(spatial):
    inputs = draw((3, *spatial, 2))
    flat = inputs.reshape(3, -1, 2).astype(np.float64)

    @jax.jit
    def pools(x):
        norms = {p: ops.global_lp_pool(x, p) for p in (1, 2, 2.5)}
        return ops.global_max_pool(x), ops.global_avg_pool(x), norms

    largest, mean, norms = pools(inputs)
    np.testing.assert_array_equal(largest, flat.max(1))
    np.testing.assert_allclose(mean, flat.mean(1), atol=1e-6)
    for p, found in norms.items():
        expected = (np.abs(flat) ** p).sum(1) ** (1 / p)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_global_pools_keep_bfloat16_and_take_an_empty_batch():
    norm = functools.partial(ops.global_lp_pool, p=2)
    for pool in (ops.global_max_pool, ops.global_avg_pool, norm):
        pooled = jax.eval_shape(pool, jnp.ones((0, 3, 3, 4), jnp.bfloat16))
        assert (pooled.shape, pooled.dtype) == ((0, 4), jnp.bfloat16)
