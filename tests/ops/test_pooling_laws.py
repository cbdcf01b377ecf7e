"""Laws of pools that hold for all inputs, or for all draws of them."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from cnn_jax import ops

SIZES = (2, 3, 4, 7)


def test_a_shift_by_a_pixel_keeps_the_maximum_of_k_minus_1_of_k_plus_1_windows():
    draws = np.random.default_rng(0).random((1, 6000 * 8, 1)).astype(np.float32)

    @jax.jit
    def unchanged(x):
        # k + 1 pixels make up a window and the shifted one, and belong to no other.
        return {
            k: ops.max_pool(x[:, :-1], (k,), k + 1)
            == ops.max_pool(x[:, 1:], (k,), k + 1)
            for k in SIZES
        }

    for k, same in unchanged(draws).items():
        share = (k - 1) / (k + 1)
        test = stats.binomtest(int(np.sum(same)), same.size, share)
        assert test.pvalue > 1e-4, k
        assert stats.binomtest(test.k, test.n, share - 0.05).pvalue < 1e-6


def test_averages_add_up_and_maxima_do_not():
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(2, 2, 6, 6, 2)).astype(np.float32)
    how = ((2, 2), 2, "SAME")

    @jax.jit
    def gaps(x, y):
        return {
            pool.__name__: jnp.max(
                abs(pool(x + y, *how) - pool(x, *how) - pool(y, *how))
            )
            for pool in (ops.avg_pool, ops.gaussian_pool, ops.max_pool)
        }

    found = gaps(left, right)
    assert found["avg_pool"] < 1e-6
    assert found["gaussian_pool"] < 1e-6
    assert found["max_pool"] > 0.1


def test_p_norms_fall_with_p_from_the_sum_to_the_maximum():
    inputs = np.random.default_rng(2).normal(size=(1, 6, 6, 3)).astype(np.float32)

    @jax.jit
    def norms(x):
        found = [ops.lp_pool(x, p, (3, 3), 3) for p in (1, 1.5, 2, 3, 5)]
        return jnp.stack([*found, ops.max_pool(abs(x), (3, 3), 3)])

    found = np.asarray(norms(inputs))
    assert np.all(np.diff(found, axis=0) < 0)
    np.testing.assert_allclose(
        found[0], 9 * ops.avg_pool(np.abs(inputs), (3, 3), 3), rtol=1e-5
    )
