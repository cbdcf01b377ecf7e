"""Derivatives of pools: first and second order, at ties, at zeros, inside loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import ops
from tests.derivatives import check_derivatives

POOLS = {
    "max": lambda x: ops.max_pool(x, (3, 2), (2, 2), "SAME"),
    "max-staged": lambda x: ops.max_pool(x, (4, 6)),
    "avg": lambda x: ops.avg_pool(x, (2, 3), (2, 1), "SAME", False),
    "l2": lambda x: ops.lp_pool(x, 2, (2, 3), (2, 1), "SAME"),
    "l2.5": lambda x: ops.lp_pool(x, 2.5, (2, 2), (2, 2)),
    "l7.5": lambda x: ops.lp_pool(x, 7.5, (3, 1), (2, 2)),
    "blur": lambda x: ops.blur_pool(x, (2, 1), taps=4, padding="REFLECT"),
    "polyphase": lambda x: ops.polyphase_pool(x, (2, 3)),
    "reducer": lambda x: ops.pool(lambda w: jnp.sum(w) ** 3, x, (2, 2)),
    "global-max": ops.global_max_pool,
    "global-l2.5": lambda x: ops.global_lp_pool(x, 2.5),
}


def test_two_orders_of_derivatives_are_right_in_both_modes():
    values = np.random.default_rng(1).permutation(4 * 6).reshape(1, 4, 6, 1)

    def pools(x):  # together: compiling each on its own takes far longer
        return jnp.concatenate([pool(x).ravel() for pool in POOLS.values()])

    check_derivatives(pools, [(values - 10.3) / 10])  # no ties, no zeros


def gradient(pool, inputs):
    return jax.grad(lambda x: jnp.sum(pool(x)))(jnp.asarray(inputs, jnp.float32))


def shares(pool, window):
    """The gradient over one window [*window] of one output."""
    inputs = np.asarray(window, np.float32)[None, ..., None]
    return np.asarray(gradient(pool, inputs))[0, ..., 0]


@pytest.mark.parametrize("pool", [ops.max_pool, ops.min_pool])
def test_tied_values_share_the_gradient_equally_axis_by_axis(pool):
    def whole(x):
        return pool(x, x.shape[1:-1])

    np.testing.assert_array_equal(shares(whole, np.ones((2, 2))), np.full((2, 2), 0.25))
    np.testing.assert_allclose(shares(whole, [1, 1, 1]), [1 / 3] * 3)
    np.testing.assert_array_equal(shares(whole, [1, 1, 1, 1]), [0.25] * 4)
    sign = 1 if pool is ops.max_pool else -1
    window = sign * np.asarray([[0, 5], [5, 1]])
    np.testing.assert_array_equal(shares(whole, window), [[0, 0.5], [0.5, 0]])
    window = sign * np.asarray([[5, 5], [5, 1]])
    np.testing.assert_array_equal(shares(whole, window), [[0.25, 0.5], [0.25, 0]])


@pytest.mark.parametrize("window", [[1, np.nan, 2], [np.nan, 2, 1], [2, 1, np.nan]])
def test_a_window_with_a_nan_gives_its_values_no_gradient(window):
    pool = functools.partial(ops.max_pool, window_shape=(3,))
    np.testing.assert_array_equal(shares(pool, window), np.zeros(3))


def test_shares_of_tied_values_sum_to_one_whatever_the_window():
    for window in [(3, 3), (4, 6)]:
        inputs = jnp.zeros((1, 12, 12, 1))
        pool = functools.partial(ops.max_pool, window_shape=window, strides=window)
        num_windows = pool(inputs).size
        total = gradient(pool, inputs).sum()
        np.testing.assert_allclose(total, num_windows, rtol=1e-5)


def test_global_maxima_share_the_gradient_equally():
    np.testing.assert_allclose(
        shares(ops.global_max_pool, [3, 3, 1, 3]), [1 / 3] * 2 + [0, 1 / 3]
    )


def test_more_equal_maxima_than_half_precision_counts_share_the_gradient():
    inputs = jnp.zeros((1, 300, 300, 1), jnp.float16)
    _, pull = jax.vjp(ops.global_max_pool, inputs)
    (share,) = pull(jnp.full((1, 1), 9000, jnp.float16))
    np.testing.assert_allclose(share.astype(jnp.float32), 0.1, rtol=0.01)


def test_a_maximum_depends_on_one_value_of_each_window_only():
    inputs = jnp.asarray(np.random.default_rng(0).permutation(36), jnp.float32)
    pool = functools.partial(ops.max_pool, window_shape=(3, 3), strides=(3, 3))
    jacobian = jax.jacobian(pool)(inputs.reshape(1, 6, 6, 1)).reshape(4, 36)
    assert (np.count_nonzero(jacobian, axis=1) == 1).all()
    np.testing.assert_array_equal(jacobian.sum(1), np.ones(4))


def test_the_gradient_of_a_long_window_is_where_its_maximum_is():
    values = np.random.default_rng(0).permutation(120)
    pool = functools.partial(ops.max_pool, window_shape=(70,), strides=3)
    found = jax.jacobian(pool)(jnp.asarray(values, jnp.float32).reshape(1, -1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(values, 70)[::3]
    places = 3 * np.arange(len(windows)) + windows.argmax(1)
    np.testing.assert_array_equal(found.reshape(-1, 120), np.eye(120)[places])


EXPONENTS = (1, 1.5, 2, 3, 7.5)


def norms(inputs):
    """p-norms of 3 values, by p; those of the global pool by -p."""
    values = inputs.reshape(1, 3, 1)
    windowed = {p: ops.lp_pool(values, p, (3,)).sum() for p in EXPONENTS}
    whole = {-p: ops.global_lp_pool(values, p).sum() for p in (1.5, 2)}
    return windowed | whole


@jax.jit
def first_and_second_derivatives(inputs):
    return jax.jacrev(norms)(inputs), jax.hessian(norms)(inputs)


def test_the_norm_of_zeros_has_no_slope():
    for name, derivatives in zip(
        ("gradient", "hessian"), first_and_second_derivatives(jnp.zeros(3)), strict=True
    ):
        for p, values in derivatives.items():
            np.testing.assert_array_equal(values, 0, err_msg=f"{name}, p = {p}")


def test_a_zero_beside_other_values_has_gradient_zero():
    gradients, _ = first_and_second_derivatives(jnp.asarray([0.0, 3.0, -4.0]))
    for name, found in gradients.items():
        p = abs(name)
        norm = (3**p + 4**p) ** (1 / p)
        expected = [0, (3 / norm) ** (p - 1), -((4 / norm) ** (p - 1))]
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=f"p = {name}")


def test_second_derivatives_at_a_zero_are_exact_or_zero():
    _, hessians = first_and_second_derivatives(jnp.asarray([0.0, 3.0, -4.0]))
    for name, hessian in hessians.items():
        assert np.isfinite(hessian).all(), name
        expected = 1 / 5 if abs(name) == 2 else 0  # 1 / ‖x‖, and 0 for p > 2
        np.testing.assert_allclose(
            hessian[0], [expected, 0, 0], atol=1e-7, err_msg=f"p = {name}"
        )


def test_the_gradient_of_an_average_spreads_evenly():
    np.testing.assert_array_equal(
        shares(lambda x: ops.avg_pool(x, (2, 2)), [[7, 1], [0, 0]]),
        np.full((2, 2), 0.25),
    )


def test_polyphase_pooling_sends_the_gradient_to_the_chosen_grid_only():
    inputs = np.zeros((2, 4, 4, 1), np.float32)
    inputs[0, 1, 2], inputs[1, 0, 3] = 5, 5  # grids (1, 0) and (0, 1)
    expected = np.zeros_like(inputs)
    expected[0, 1::2, 0::2], expected[1, 0::2, 1::2] = 1, 1
    pool = functools.partial(ops.polyphase_pool, strides=2)
    np.testing.assert_array_equal(gradient(pool, inputs), expected)


def test_gradients_inside_a_loop_and_under_vmap_equal_those_outside():
    inputs = np.random.default_rng(2).normal(size=(2, 4, 6, 1)).astype(np.float32)

    def step(x):
        return {name: gradient(pool, x) for name, pool in POOLS.items()}

    @jax.jit
    def three_ways(x):
        _, inside = lax.scan(lambda carry, x: (carry, step(x)), 0, x[None])
        return step(x), inside, jax.vmap(step)(x[:, None])

    outside, inside, mapped = three_ways(inputs)
    for name, expected in outside.items():
        for found in (inside[name][0], mapped[name][:, 0]):
            np.testing.assert_allclose(
                found, expected, rtol=1e-5, atol=1e-6, err_msg=name
            )


def test_no_gradient_is_a_scatter_that_gpus_would_have_to_order():
    def gradients(x):
        return {name: gradient(pool, x) for name, pool in POOLS.items()}

    text = jax.jit(gradients).lower(jnp.ones((1, 4, 6, 1))).as_text()
    assert "scatter" not in text
    assert "maximum" in text


def test_the_only_scatters_have_places_that_are_known_to_differ():
    key = jax.random.key(0)

    def gradients(x):
        fractional = functools.partial(ops.fractional_max_pool, output_shape=(3, 4))
        return gradient(lambda x: fractional(x, key=key), x), gradient(
            lambda x: ops.k_max_pool(x, 2), x
        )

    text = jax.jit(gradients).lower(jnp.ones((1, 4, 6, 1))).as_text()
    assert "select_and_scatter" not in text
    scatters = text.count('"stablehlo.scatter"(')
    assert scatters == text.count("unique_indices = true") == 3


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: ops.max_pool(x, (3, 3), (2, 2)),
        lambda x: ops.max_pool(x, (40, 1)),
        ops.global_max_pool,
        lambda x: ops.adaptive_max_pool(x, (3, 2)),
    ],
)
def test_inputs_that_the_compiler_computes_anew_lose_no_gradient(pool):
    draws = np.random.default_rng(3).normal(size=(3, 2, 44, 5, 4)).astype(np.float32)

    @jax.jit
    def total(x, scale, shift):
        def loss(x, shift):
            pooled = pool(jnp.tanh(x * scale) * scale + shift * x)
            return jnp.sum(pooled), pooled.size

        (_, num_windows), (_, slope) = jax.value_and_grad(loss, (0, 1), has_aux=True)(
            x, shift
        )
        return jnp.sum(slope / x), num_windows

    found, num_windows = total(*draws)
    np.testing.assert_allclose(found, num_windows, rtol=1e-4)
