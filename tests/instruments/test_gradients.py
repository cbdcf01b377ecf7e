"""Jacobians through time and their products, where closed forms know them."""

import functools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    carry_jacobians,
    half_life,
    log_carry_gradients,
    log_jacobian_norms,
    log_singular_values,
    lyapunov_slopes,
)
from tests.instruments.gradient_cases import (
    SIZE,
    draw,
    orthogonal,
    repeated,
    tanh_step,
    two_part_step,
    two_parts,
)


def test_jacobians_of_a_tanh_network_are_its_slopes_times_its_kernel():
    kernel, inputs = draw(SIZE, SIZE), draw(7, SIZE, seed=1)
    hidden, expected = draw(SIZE, seed=2), []
    arguments = [np.float32(a) for a in (kernel, hidden, inputs)]
    for now in inputs:
        hidden = np.tanh(kernel @ hidden + now)
        expected.append(np.diag(1 - hidden**2) @ kernel)
    found = jax.jit(functools.partial(carry_jacobians, tanh_step))(*arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_jacobians_of_a_carry_of_parts_are_those_of_the_flat_vector():
    with jax.enable_x64(True):
        params, carry, inputs = jax.tree.map(jnp.asarray, two_parts())
        found = carry_jacobians(two_part_step, params, carry, inputs)

        def last(cell, hidden):
            carry = {"cell": cell, "hidden": hidden}
            for t in range(6):
                now = jax.tree.map(lambda leaf, t=t: leaf[t], inputs)
                carry, _ = two_part_step(params, carry, now)
            return jnp.concatenate([carry["cell"], carry["hidden"]])

        both = jax.jacrev(last, argnums=(0, 1))(carry["cell"], carry["hidden"])
        product = functools.reduce(lambda p, j: j @ p, found)
        np.testing.assert_allclose(product, np.concatenate(both, 1), rtol=1e-10)


@pytest.mark.parametrize("gain", [0.5, 1.0, 7.0])
def test_a_scaled_rotation_grows_by_its_scale_where_floats_have_ended(gain):
    jacobians = repeated(gain * orthogonal(), 1000)
    found = jax.jit(log_jacobian_norms)(jacobians)
    expected = np.arange(1, 1001) * math.log10(gain)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-4)
    spectrum = log_singular_values(jacobians, sweeps=2)
    np.testing.assert_allclose(spectrum, [expected[-1]] * SIZE, rtol=2e-6, atol=2e-4)
    slopes = lyapunov_slopes(found)
    np.testing.assert_allclose(slopes, [math.log(gain)] * 1000, rtol=2e-6, atol=1e-6)
    if gain != 1:
        with np.errstate(all="ignore"):
            naive = functools.reduce(lambda p, j: j @ p, np.asarray(jacobians))
            naive = np.log(np.abs(naive))
        assert not np.isfinite(naive).any()


def test_norms_equal_those_of_products_scaled_by_their_norms_in_float64():
    jacobians = draw(150, SIZE, SIZE) * np.geomspace(1e-6, 1e3, 150)[:, None, None]
    product, log, expected = np.eye(SIZE), 0.0, []
    for jacobian in jacobians:
        product = jacobian @ product
        log += math.log10(np.linalg.norm(product))
        product /= np.linalg.norm(product)
        expected.append(log + math.log10(np.linalg.norm(product, 2)))
    assert min(expected) < -100
    found = log_jacobian_norms(jnp.asarray(jacobians, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_only_the_distances_asked_for_come_back_in_their_order():
    jacobians = jnp.asarray(draw(9, 3, 3), jnp.float32)
    everything = log_jacobian_norms(jacobians)
    found = log_jacobian_norms(jacobians, (9, 1, 4))
    np.testing.assert_allclose(found, np.asarray(everything)[[8, 0, 3]], rtol=1e-6)


def test_equal_small_entries_keep_norm_one_for_ever():
    found = log_jacobian_norms(repeated(np.full((64, 64), 1 / 64), 200))
    np.testing.assert_allclose(found, np.zeros(200), atol=1e-4)


def test_large_entries_in_a_strict_triangle_are_zero_at_the_power_of_their_size():
    jacobians = repeated(np.triu(np.full((6, 6), 5.0), 1), 8)
    found = np.asarray(log_jacobian_norms(jacobians))
    np.testing.assert_allclose(found[4], 5 * math.log10(5), rtol=1e-6)
    assert np.isneginf(found[5:]).all()
    assert np.isneginf(log_singular_values(jacobians)).all()
    assert np.isneginf(lyapunov_slopes(jnp.asarray(found))[-1])


def test_a_singular_product_keeps_the_singular_values_that_are_not_zero():
    """From the axes, a strictly triangular factor would look like zero at once."""
    matrix = np.triu(np.full((6, 6), 5.0), 1)
    product = np.linalg.matrix_power(matrix, 3)
    expected = np.log10(np.linalg.svd(product, compute_uv=False)[:3])
    for sweeps, error in ((1, 1.0), (8, 0.01)):
        found = np.asarray(log_singular_values(repeated(matrix, 3), sweeps=sweeps))
        np.testing.assert_allclose(found[:3], expected, atol=error)
        assert (found[3:] < expected[2] - 4).all()


def test_a_part_of_the_carry_is_a_block_of_the_product():
    """c' = c / 10, h' = c + 3h: of c to c falls, of h to h grows, of h to c is zero."""
    block = np.kron([[0.1, 0], [1, 3]], np.eye(2))
    steps = 25
    first, second = slice(0, 2), [2, 3]
    norms = functools.partial(log_jacobian_norms, repeated(block, steps), [steps])
    cell = norms(rows=first, columns=first)
    np.testing.assert_allclose(cell, [-steps], rtol=1e-5)
    hidden = norms(rows=second, columns=second)
    np.testing.assert_allclose(hidden, [steps * math.log10(3)], rtol=1e-5)
    assert np.isneginf(norms(rows=first, columns=second))[0]
    across = norms(rows=second, columns=first)
    expected = math.log10((3**steps - 10.0**-steps) / 2.9)
    np.testing.assert_allclose(across, [expected], rtol=1e-5)


def known_product(num_steps, rates, seed=0):
    """Jacobians whose product has the singular values rates^num_steps."""
    bases = [orthogonal(seed + t, len(rates)) for t in range(num_steps + 1)]
    pairs = zip(bases[1:], bases[:-1], strict=True)
    factors = [after @ np.diag(rates) @ before.T for after, before in pairs]
    return jnp.asarray(np.stack(factors), jnp.float32)


@pytest.mark.parametrize("num_steps", [1, 30])
def test_singular_values_are_found_however_far_apart(num_steps):
    rates = [30.0, 1.5, 0.9, 1e-2, 1e-3]
    found = log_singular_values(known_product(num_steps, rates))
    np.testing.assert_allclose(found, num_steps * np.log10(rates), atol=1e-3)
    # Benettin's method alone is off by a constant.
    once = log_singular_values(known_product(num_steps, rates), sweeps=1)
    assert 0.02 < np.abs(once - num_steps * np.log10(rates)).max() < 3


@pytest.mark.parametrize("sweeps", [1, 4])
def test_the_singular_values_multiply_to_the_determinant(sweeps):
    jacobians = draw(60, 8, 8)
    _, logs = np.linalg.slogdet(jacobians)
    found = log_singular_values(jnp.asarray(jacobians, jnp.float32), sweeps=sweeps)
    np.testing.assert_allclose(found.sum(), logs.sum() / math.log(10), rtol=1e-4)
    assert (np.diff(found) <= 0).all()


def test_singular_values_close_together_are_right_to_a_tenth():
    jacobians = draw(10, 16, 16) / 4
    product = functools.reduce(lambda p, j: j @ p, jacobians)
    expected = np.log10(np.linalg.svd(product, compute_uv=False))
    with jax.enable_x64(True):
        four, thirty = (
            np.abs(
                log_singular_values(jnp.asarray(jacobians), sweeps=sweeps) - expected
            )
            for sweeps in (4, 30)
        )
    assert four.max() < 0.15
    assert thirty.max() < 0.02


def test_diagonal_jacobians_multiply_entry_by_entry():
    rates = [100.0, 3.0, 0.5, 1e-2]
    found = log_singular_values(repeated(np.diag(rates)[::-1], 500)[:, :, ::-1])
    np.testing.assert_allclose(found, 500 * np.log10(rates), rtol=1e-5)


def test_half_precision_is_measured_in_float32():
    jacobians = repeated(0.5 * np.eye(3), 300).astype(jnp.bfloat16)
    for found in (log_jacobian_norms(jacobians)[-1:], log_singular_values(jacobians)):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, 300 * math.log10(0.5), rtol=1e-6)


def test_draws_can_be_batched_and_compiled():
    kernels = jnp.asarray(draw(3, 4, 4), jnp.float32)
    carry, inputs = jnp.zeros(4), jnp.asarray(draw(20, 4, seed=1), jnp.float32)

    def measure(kernel):
        jacobians = carry_jacobians(tanh_step, kernel, carry, inputs)
        profile = log_carry_gradients(
            tanh_step, kernel, carry, inputs, lambda outputs: jnp.sum(outputs[-1])
        )
        norms = log_jacobian_norms(jacobians, (5, 20))
        return norms, log_singular_values(jacobians), profile, half_life(profile)

    batched = jax.jit(jax.vmap(measure))(kernels)
    single = [jax.jit(measure)(kernel) for kernel in kernels]
    for found, *expected in zip(batched, *single, strict=True):
        np.testing.assert_allclose(found, np.stack(expected), rtol=1e-3, atol=1e-3)


HALF_STEPS: Any = [1.5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: log_jacobian_norms(jnp.ones((3, 2))),
            "jacobians: expected [T, n, n], got (3, 2)",
        ),
        (
            lambda: log_singular_values(jnp.ones((3, 2, 1))),
            "jacobians: expected [T, n, n], got (3, 2, 1)",
        ),
        (
            lambda: log_jacobian_norms(jnp.ones((3, 2, 2)), [0]),
            "distances: expected integers from 1 to 3, got [0]",
        ),
        (
            lambda: log_jacobian_norms(jnp.ones((3, 2, 2)), (1, 4)),
            "distances: expected integers from 1 to 3, got (1, 4)",
        ),
        (
            lambda: log_jacobian_norms(jnp.ones((3, 2, 2)), HALF_STEPS),
            "distances: expected integers from 1 to 3, got [1.5]",
        ),
        (
            lambda: log_jacobian_norms(jnp.ones((3, 2, 2)), rows=[0, 2]),
            "rows: expected entries from 0 to 1, got [0, 2]",
        ),
        (
            lambda: log_jacobian_norms(jnp.ones((3, 2, 2)), columns=[-1]),
            "columns: expected entries from 0 to 1, got [-1]",
        ),
        (
            lambda: log_singular_values(jnp.ones((3, 2, 2)), sweeps=0),
            "sweeps: expected 1 or more, got 0",
        ),
        (
            lambda: lyapunov_slopes(jnp.ones(3), [1, 2]),
            "distances: expected one for each of (3,) norms, got 2",
        ),
    ],
)
def test_wrong_arguments_are_answered_with_what_was_expected(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="LAPACK is the CPU's")
def test_lapack_gets_one_matrix_at_a_time():
    """Calls with a batch wait for threads, and two of them for each other."""
    text = jax.jit(log_jacobian_norms).lower(jnp.ones((9, SIZE, SIZE))).as_text()
    calls = [line for line in text.splitlines() if "@lapack" in line]
    assert calls
    assert all('num_batch_dims = "0"' in call for call in calls)
