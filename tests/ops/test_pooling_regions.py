"""Adaptive, pyramid, fractional and k-max pools against loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops.pooling.regions import _edges
from tests import reference_pooling as reference
from tests.derivatives import check_derivatives

KEY = jax.random.key(3)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_adaptive_pools_equal_their_loops_for_every_size():
    cases = [((size,), (num,)) for size in (1, 2, 5, 6, 9) for num in (1, 2, 3, 5, 6)]
    cases += [((6, 7), (3, 5)), ((4, 3, 5), (2, 3, 4)), ((4, 6), (8, 9))]
    inputs = [draw(2, *spatial, 2) for spatial, _ in cases]

    @jax.jit
    def pools(inputs):
        return [
            (ops.adaptive_max_pool(x, out), ops.adaptive_avg_pool(x, out))
            for x, (_, out) in zip(inputs, cases, strict=True)
        ]

    for x, found, (spatial, out) in zip(inputs, pools(inputs), cases, strict=True):
        edges = [
            reference.adaptive_edges(n, o) for n, o in zip(spatial, out, strict=True)
        ]
        for pooled, reducer in zip(found, (np.max, np.mean), strict=True):
            expected = reference.region_pool(reducer, x, edges)
            np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_adaptive_pools_are_windowed_pools_where_sizes_divide_and_global_to_one():
    inputs = draw(2, 6, 8, 3)
    pooled = ops.adaptive_max_pool(inputs, (3, 2))
    np.testing.assert_array_equal(pooled, ops.max_pool(inputs, (2, 4), (2, 4)))
    mean = ops.adaptive_avg_pool(inputs, (1, 1))[:, 0, 0]
    np.testing.assert_allclose(mean, ops.global_avg_pool(inputs), rtol=1e-5, atol=1e-6)


def test_a_pyramid_holds_its_levels_one_after_the_other_for_any_size():
    for spatial in [(5,), (4, 7)]:
        inputs = draw(2, *spatial, 3)
        rank = len(spatial)
        pooled = ops.spatial_pyramid_pool(inputs, (1, 2, 3))
        assert pooled.shape == (2, sum(level**rank for level in (1, 2, 3)) * 3)
        np.testing.assert_array_equal(pooled[:, :3], inputs.max((1, 2)[:rank]))
        last = ops.adaptive_max_pool(inputs, (3,) * rank).reshape(2, -1)
        np.testing.assert_array_equal(pooled[:, -(3**rank) * 3 :], last)
    means = ops.spatial_pyramid_pool(inputs, (2,), pool=ops.adaptive_avg_pool)
    expected = ops.adaptive_avg_pool(inputs, (2, 2)).reshape(2, -1)
    np.testing.assert_array_equal(means, expected)


@pytest.mark.parametrize("pseudorandom", [True, False])
def test_fractional_regions_cover_an_axis_in_steps_of_two_lengths(pseudorandom):
    cases = [(7, 5), (11, 4), (5, 1)]

    @jax.jit
    @jax.vmap
    def draws(key):
        return [_edges(*case, key, pseudorandom) for case in cases]

    for (size, num), drawn in zip(cases, draws(jax.random.split(KEY, 64)), strict=True):
        for edges in np.asarray(drawn):
            assert (edges[0], edges[-1]) == (0, size)
            assert set(np.diff(edges)) <= {size // num, -(-size // num)}
        # Of 7 in 5 two steps are long: any two, or two that lie far apart.
        if size == 7:
            assert len(np.unique(drawn, axis=0)) == (5 if pseudorandom else 10)


def test_the_steps_follow_a_uniform_offset():
    # 3 to 2: ⌊3/2 · (1 + u)⌋ − ⌊3/2 · u⌋ is 2 for u in [1/3, 2/3), else 1.
    draws = jax.jit(jax.vmap(lambda key: _edges(3, 2, key, True)[1]))
    middle = np.asarray(draws(jax.random.split(KEY, 3000)))
    assert abs(np.sum(middle == 2) - 1000) < 130  # five standard deviations


@pytest.mark.parametrize(
    ("overlapping", "pseudorandom"), [(True, True), (False, False)]
)
def test_fractional_pools_equal_their_loops(overlapping, pseudorandom):
    inputs = draw(2, 7, 9, 2)
    how = {"overlapping": overlapping, "pseudorandom": pseudorandom}
    pool = functools.partial(ops.fractional_max_pool, output_shape=(5, 4), **how)
    pooled, gradient = jax.jit(
        lambda x, key: (pool(x, key=key), jax.grad(lambda x: pool(x, key=key).sum())(x))
    )(inputs, KEY)
    edges = []
    for key, size, num in zip(jax.random.split(KEY), (7, 9), (5, 4), strict=True):
        cuts = np.asarray(_edges(size, num, key, pseudorandom))
        ends = np.minimum(cuts[1:] + overlapping, size)
        edges.append(list(zip(cuts[:-1], ends, strict=True)))
    expected = reference.region_pool(np.max, inputs, edges)
    np.testing.assert_array_equal(pooled, expected.astype(np.float32))
    counts = np.zeros(inputs.shape)
    for value in np.asarray(pooled).ravel():
        counts += inputs == value
    np.testing.assert_allclose(gradient, counts)


def test_without_a_key_fractional_pooling_is_regular():
    inputs = draw(1, 6, 2)
    pool = functools.partial(ops.fractional_max_pool, inputs, (3,), overlapping=False)
    np.testing.assert_array_equal(pool(), ops.max_pool(inputs, (2,), 2))
    np.testing.assert_array_equal(
        pool(pseudorandom=False), ops.max_pool(inputs, (2,), 2)
    )


@pytest.mark.parametrize(
    ("length", "shares"), [(3, [1 / 4, 1 / 4, 1 / 2]), (4, [1 / 4] * 4)]
)
def test_equal_maxima_of_a_fractional_region_share_in_pairs(length, shares):
    pool = jax.grad(lambda x: ops.fractional_max_pool(x, (1,)).sum())
    np.testing.assert_array_equal(pool(jnp.ones((1, length, 1))).ravel(), shares)


def test_k_max_pooling_keeps_the_order_of_what_it_keeps():
    inputs = draw(3, 7, 2)
    inputs[0, 1], inputs[0, 4] = 2, 2  # equal values: the first are kept
    inputs[1] = 0
    pooled = jax.jit(lambda x: {k: ops.k_max_pool(x, k) for k in range(1, 8)})(inputs)
    for k, found in pooled.items():
        for n, c in np.ndindex(3, 2):
            expected = reference.k_max_pool(list(inputs[n, :, c]), k)
            np.testing.assert_array_equal(found[n, :, c], expected)
    np.testing.assert_array_equal(pooled[7], inputs)
    first = ops.k_max_pool(inputs.transpose(1, 0, 2), 3, axis=0)
    np.testing.assert_array_equal(first.transpose(1, 0, 2), pooled[3])


def test_the_first_of_equal_values_gets_the_gradient():
    row = jnp.asarray([1.0, 3.0, 0.0, 3.0, 3.0])[:, None]
    _, pull = jax.vjp(lambda x: ops.k_max_pool(x, 2), row)
    (gradient,) = pull(jnp.asarray([[1.0], [2.0]]))
    np.testing.assert_array_equal(gradient[:, 0], [0, 1, 0, 2, 0])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_k_max_pooling_compares_zeros_and_nans_whatever_their_signs(dtype):
    nan = np.copysign(np.nan, -1)  # what 0 / 0 gives on x86
    rows = {
        "zeros": ([-0.0, 0.0, -1.0, 0.0], [1, 1, 0, 0]),
        "nan": ([1.0, nan, 3.0, -np.inf], [0, 0, 1, 0]),
        "nans": ([np.inf, nan, -nan, nan], [0, 0, 0, 0]),
    }

    @jax.jit
    def both(x):
        kept, pull = jax.vjp(lambda x: ops.k_max_pool(x, 2), x)
        return kept, *pull(jnp.ones_like(kept))

    for name, (row, expected) in rows.items():
        kept, gradient = both(jnp.asarray(row, dtype)[:, None])
        assert np.isnan(kept).sum() == min(np.isnan(row).sum(), 2), name
        np.testing.assert_array_equal(gradient[:, 0], expected, err_msg=name)


def test_dynamic_k_shrinks_with_depth_down_to_that_of_the_top():
    inputs = draw(1, 18, 1)
    sizes = [
        ops.dynamic_k_max_pool(inputs, layer, 3, 3).shape[1] for layer in (1, 2, 3)
    ]
    assert sizes == [12, 6, 3]  # the example of the reference, L = 3 and T = 18
    short = ops.dynamic_k_max_pool(inputs[:, :7], 1, 3, 3)
    np.testing.assert_array_equal(short, ops.k_max_pool(inputs[:, :7], 5))


def test_two_orders_of_derivatives_are_right():
    inputs = np.random.default_rng(1).permutation(5 * 7).reshape(1, 5, 7, 1) / 10

    def pools(x):
        found = (
            ops.adaptive_max_pool(x, (3, 3)),
            ops.adaptive_avg_pool(x, (3, 2)),
            ops.spatial_pyramid_pool(x, (1, 2)),
            ops.fractional_max_pool(x, (4, 5), key=KEY),
            ops.k_max_pool(x, 3),
        )
        return jnp.concatenate([each.ravel() for each in found])

    check_derivatives(pools, [inputs])


def test_region_pools_take_narrow_whole_empty_and_mapped_inputs():
    def pools(x):
        return (
            ops.adaptive_max_pool(x, (2, 3)),
            ops.adaptive_avg_pool(x, (2, 3)),
            ops.fractional_max_pool(x, (2, 3), key=KEY),
            ops.k_max_pool(x, 3),
        )

    for shape, dtype in [((2, 3, 4, 2), jnp.bfloat16), ((0, 3, 4, 2), jnp.int32)]:
        largest, mean, fractional, kept = jax.eval_shape(pools, jnp.ones(shape, dtype))
        assert largest.shape == mean.shape == fractional.shape == (shape[0], 2, 3, 2)
        assert largest.dtype == fractional.dtype == kept.dtype == dtype
        assert mean.dtype == (jnp.bfloat16 if dtype == jnp.bfloat16 else jnp.float32)
        assert kept.shape == (shape[0], 3, 3, 2)
    inputs = jnp.asarray(draw(3, 2, 4, 5, 2))

    def both(x):
        outputs, pull = jax.vjp(lambda x: pools(x)[2:], x)
        return outputs, pull(outputs)

    mapped = jax.tree.leaves(jax.jit(jax.vmap(both))(inputs))
    merged = jax.tree.leaves(jax.jit(both)(inputs.reshape(6, 4, 5, 2)))
    for one, other in zip(mapped, merged, strict=True):
        np.testing.assert_allclose(one.reshape(other.shape), other, rtol=1e-6)
