"""p-norms at the ends of their range, and pools over whole images."""

import functools

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


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_powers_neither_overflow_nor_vanish(size):
    inputs = jnp.full((1, 2, 2, 1), size, jnp.float32)

    @jax.jit
    def norms(x):
        return {
            p: (ops.lp_pool(x, p, (2, 2)), ops.global_lp_pool(x, p))
            for p in (2, 3.5, 8, 40)
        }

    for p, both in norms(inputs).items():
        for norm in both:
            np.testing.assert_allclose(norm, size * 4 ** (1 / p), rtol=1e-6)


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
