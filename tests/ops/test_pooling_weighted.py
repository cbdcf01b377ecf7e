"""Gaussian, stochastic and mixed pools, against loops and by their statistics."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cnn_jax import ops
from tests import reference_pooling as reference
from tests.derivatives import check_derivatives

# (inputs, window, strides, padding pairs)
GRID: list[Any] = [
    ((2, 7, 3), (3,), (2,), ((1, 1),)),
    ((2, 5, 6, 2), (2, 3), (2, 1), ((0, 0), (1, 2))),
    ((1, 4, 3, 4, 1), (2, 1, 3), (1, 2, 2), ((1, 0), (0, 0), (0, 1))),
]
WINDOW = np.asarray([[4, 1], [0, 3]], np.float32)
KEY = jax.random.key(0)


def draw(shape, seed=0):
    """Normal values above zero, the others zeros."""
    values = np.random.default_rng(seed).normal(size=shape)
    return np.maximum(values, 0).astype(np.float32)


def test_gaussian_stochastic_and_mixed_pools_equal_their_loops():
    inputs = [draw(shape) for shape, *_ in GRID]

    @jax.jit
    def pools(inputs):
        found = []
        for x, (_, *how) in zip(inputs, GRID, strict=True):
            sigmas = [0.5, 1.5, 2.0][: len(how[0])]
            found.append(
                (
                    ops.gaussian_pool(x, *how),
                    ops.gaussian_pool(x, *how, sigma=sigmas),
                    ops.stochastic_pool(x, *how),
                    ops.mixed_pool(x, 0.25, *how),
                )
            )
        return found

    for x, found, (_, *how) in zip(inputs, pools(inputs), GRID, strict=True):
        quarter = [k / 4 for k in how[0]]
        largest, mean = reference.max_pool(x, *how), reference.avg_pool(x, *how)
        expected = (
            reference.gaussian_pool(x, *how, sigmas=quarter),
            reference.gaussian_pool(x, *how, sigmas=[0.5, 1.5, 2.0][: len(how[0])]),
            reference.contraharmonic_pool(x, *how),
            0.25 * largest + 0.75 * mean,
        )
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-6)


def test_a_wide_gaussian_averages_and_a_narrow_one_subsamples():
    inputs = draw((1, 7, 7, 2))
    pool = functools.partial(ops.gaussian_pool, inputs, (3, 3), 2)
    np.testing.assert_allclose(
        pool(sigma=1e6), ops.avg_pool(inputs, (3, 3), 2), rtol=1e-6
    )
    np.testing.assert_array_equal(pool(sigma=1e-200), inputs[:, 1::2, 1::2][:, :3, :3])


def test_draws_follow_the_values_and_zeros_are_never_drawn():
    inputs = jnp.broadcast_to(WINDOW[None, :, :, None], (400, 2, 2, 50))
    drawn = np.asarray(ops.stochastic_pool(inputs, (2, 2), key=KEY))
    values = [4, 1, 3]
    counts = [np.sum(drawn == value) for value in values]
    assert sum(counts) == drawn.size == 20000
    assert stats.chisquare(counts, np.asarray(values) / 8 * drawn.size).pvalue > 1e-4
    assert stats.chisquare(counts).pvalue < 1e-6  # a uniform sampler


def test_the_least_draw_passes_over_zeros(monkeypatch):
    monkeypatch.setattr(
        jax.random, "uniform", lambda key, shape, dtype: jnp.zeros(shape)
    )
    inputs = jnp.asarray([0.0, 0.0, 3.0, 5.0]).reshape(1, 4, 1)
    assert ops.stochastic_pool(inputs, (4,), key=KEY).item() == 3


def test_overlapping_windows_draw_independently():
    inputs = jnp.ones((1, 3, 20000)).at[0, 1].set(2.0)
    drawn = np.asarray(ops.stochastic_pool(inputs, (2,), key=KEY))[0]
    first, second = (drawn == 2).astype(int)
    table = np.bincount(2 * first + second, minlength=4).reshape(2, 2)
    assert stats.chi2_contingency(table).pvalue > 1e-4
    assert abs(np.mean(drawn == 2) - 2 / 3) < 0.01


def test_a_draw_is_a_value_of_its_window_whatever_the_shape():
    inputs = [draw(shape) for shape, *_ in GRID]

    @jax.jit
    def draws(inputs):
        cases = zip(inputs, GRID, strict=True)
        return [ops.stochastic_pool(x, *how, key=KEY) for x, (_, *how) in cases]

    for x, drawn, (_, *how) in zip(inputs, draws(inputs), GRID, strict=True):
        largest = reference.max_pool(x, *how)
        assert drawn.shape == largest.shape
        assert set(np.unique(drawn)) <= {0, *np.unique(x)}
        assert np.all(np.asarray(drawn) <= largest)
        assert np.all((np.asarray(drawn) > 0) == (largest > 0))


def test_testing_takes_the_contraharmonic_mean_between_mean_and_maximum():
    pooled = ops.stochastic_pool(WINDOW[..., None], (2, 2))
    np.testing.assert_allclose(pooled.ravel(), [(16 + 1 + 9) / 8])
    inputs = draw((3, 8, 8, 4))
    pools = (ops.avg_pool, ops.stochastic_pool, ops.max_pool)
    three = jax.jit(lambda x: [pool(x, (3, 3), 2) for pool in pools])
    mean, pooled, largest = map(np.asarray, three(inputs))
    assert np.all(pooled <= largest * (1 + 1e-6))
    assert np.all(pooled >= mean * (1 - 1e-6))


def test_huge_and_tiny_values_and_zeros_are_weighted_like_others():
    sizes = np.asarray([1e-30, 1.0, 1e30, 2e37], np.float32)
    inputs = sizes[:, None, None, None] * WINDOW[..., None]
    pool = jax.jit(lambda x: ops.stochastic_pool(x, (2, 2)))
    np.testing.assert_allclose(
        pool(inputs).ravel(), sizes * np.float32(26 / 8), rtol=1e-6
    )
    largest = pool(np.full((1, 2, 2, 1), 1.6e38, np.float32))
    np.testing.assert_allclose(largest, 1.6e38, rtol=1e-6)

    @jax.jit
    def values_and_gradients(x):
        found = []
        for key in (None, KEY):
            pool = functools.partial(ops.stochastic_pool, window_shape=(2, 2), key=key)
            pooled, pull = jax.vjp(pool, x)
            found.append((pooled, pull(jnp.ones_like(pooled))))
        return found

    for found in jax.tree.leaves(values_and_gradients(jnp.zeros((1, 4, 4, 1)))):
        np.testing.assert_array_equal(found, 0)


def test_the_gradient_of_a_draw_flows_to_the_drawn_value():
    inputs = draw((2, 6, 6, 2)) + np.float32(0.1)
    pool = functools.partial(
        ops.stochastic_pool, window_shape=(2, 2), strides=2, key=KEY
    )

    @jax.jit
    def draw_and_gradient(x):
        drawn, pull = jax.vjp(pool, x)
        return drawn, *pull(jnp.ones_like(drawn))

    drawn, gradient = draw_and_gradient(inputs)
    assert set(np.unique(gradient)) == {0, 1}
    kept = np.sort(inputs[np.asarray(gradient) == 1])
    np.testing.assert_array_equal(kept, np.sort(np.asarray(drawn).ravel()))


def test_two_orders_of_derivatives_are_right():
    inputs = np.random.default_rng(1).permutation(2 * 5 * 4).reshape(2, 5, 4, 1) + 0.5

    def pools(x, share):
        mixed = ops.mixed_pool(x, jax.nn.sigmoid(share), (2, 2), 2, "SAME")
        drawn = ops.stochastic_pool(x, (3, 2), 2, key=KEY)
        return jnp.concatenate(
            [
                each.ravel()
                for each in (
                    ops.gaussian_pool(x, (3, 2), (2, 1), "SAME"),
                    ops.stochastic_pool(x, (3, 2), (2, 1), "SAME"),
                    drawn,
                    mixed,
                )
            ]
        )

    check_derivatives(pools, [inputs / 10, np.asarray([0.3])])


def test_a_mixture_draws_one_of_both_for_each_image_and_channel():
    inputs = draw((40, 4, 4, 50))
    shares = jnp.asarray([0.0, 1.0] * 25)

    @jax.jit
    def pools(x):
        how = ((2, 2), 2)
        mixed = [ops.mixed_pool(x, share, *how, key=KEY) for share in (0.25, shares)]
        return *mixed, ops.max_pool(x, *how), ops.avg_pool(x, *how)

    mixed, each, largest, mean = map(np.asarray, pools(inputs))
    is_largest = np.all(mixed == largest, axis=(1, 2))
    is_mean = np.all(mixed == mean, axis=(1, 2))
    assert np.all(is_largest | is_mean)
    assert stats.binomtest(int(is_largest.sum()), 2000, 0.25).pvalue > 1e-4
    np.testing.assert_array_equal(each[..., 1::2], largest[..., 1::2])
    np.testing.assert_array_equal(each[..., ::2], mean[..., ::2])


@pytest.mark.parametrize(
    ("values", "largest", "mean"),
    [([np.inf, 1], np.inf, np.inf), ([-np.inf, 1], 1, -np.inf)],
)
def test_a_side_without_a_share_has_no_part_in_the_mixture(values, largest, mean):
    # Beyond the inputs lie -inf for the maximum and zeros for the mean.
    inputs = jnp.asarray(values, jnp.float32)[None, :, None]

    @jax.jit
    def pools(share):
        return ops.mixed_pool(inputs, share, (2,), 1, ((0, 3),)).ravel()

    np.testing.assert_array_equal(pools(1.0), [largest, 1, -np.inf, -np.inf])
    np.testing.assert_array_equal(pools(0.0), [mean, 0.5, 0, 0])


def test_gradients_of_a_mixture_pass_by_a_side_without_a_share():
    inputs = jnp.asarray([1.0, 3.0])[None, :, None]

    def mixed(inputs, share):
        return ops.mixed_pool(inputs, share, (2,), 1, ((0, 2),)).sum()

    gradients = jax.jit(jax.grad(mixed, (0, 1)))
    to_inputs, to_share = gradients(inputs, 0.0)
    np.testing.assert_array_equal(to_inputs.ravel(), [0.5, 1])
    # Windows [1, 3], [3, 0] and the padding alone, whose maximum is −∞.
    np.testing.assert_allclose(to_share, (3 - 2) + (3 - 1.5))


def test_weighted_pools_take_narrow_whole_and_empty_inputs_and_map():
    def half(x, *how, **options):
        return ops.mixed_pool(x, 0.5, *how, **options)

    def pools(x):
        return [ops.gaussian_pool(x, (2, 2), padding="SAME")] + [
            pool(x, (2, 2), padding="SAME", key=key)
            for key in (None, KEY)
            for pool in (ops.stochastic_pool, half)
        ]

    for shape, dtype, expected in [
        ((2, 3, 1, 2), jnp.bfloat16, jnp.bfloat16),
        ((3, 1, 2), jnp.int32, jnp.float32),
        ((0, 3, 1, 2), jnp.float32, jnp.float32),
        ((2, 0, 1, 2), jnp.float32, jnp.float32),
    ]:
        for pooled in jax.eval_shape(pools, jnp.ones(shape, dtype)):
            assert (pooled.shape, pooled.dtype) == (shape, expected)
    inputs = jnp.asarray(draw((2, 1, 3, 4, 2)))
    mapped = jax.jit(jax.vmap(pools))(inputs)
    each = jax.jit(pools)
    for image in range(2):
        for one, all_of_them in zip(each(inputs[image]), mapped, strict=True):
            np.testing.assert_allclose(all_of_them[image], one, rtol=1e-6)
