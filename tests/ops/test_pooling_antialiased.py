"""Blur pooling against loops and Pascal's triangle."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax import ops
from tests import reference_pooling as reference

TAPS = range(1, 8)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("padding", ["SAME", "CIRCULAR", "REFLECT", "REPLICATE"])
def test_blur_pooling_equals_its_loops(padding):
    inputs = draw(2, 7, 8, 2)

    @jax.jit
    def pools(x):
        return {t: ops.blur_pool(x, (2, 3), taps=t, padding=padding) for t in TAPS}

    for taps, pooled in pools(inputs).items():
        expected = reference.blur_pool(inputs, (2, 3), taps, padding)
        np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=12)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from(TAPS),
    st.sampled_from(["SAME", "CIRCULAR", "REPLICATE"]),
)
def test_blur_pooling_equals_its_loops_on_drawn_shapes(spatial, stride, taps, padding):
    inputs = draw(1, *spatial, 1)
    pool = functools.partial(ops.blur_pool, strides=stride, taps=taps, padding=padding)
    expected = reference.blur_pool(inputs, (stride,) * len(spatial), taps, padding)
    np.testing.assert_allclose(jax.jit(pool)(inputs), expected, rtol=1e-5, atol=1e-6)


def test_one_tap_is_plain_subsampling():
    inputs = draw(2, 5, 6, 3)
    pooled = ops.blur_pool(inputs, 2, taps=1)
    np.testing.assert_array_equal(pooled, inputs[:, ::2, ::2])


def test_a_blur_keeps_a_constant_and_removes_the_fastest_oscillation():
    constant, alternating = np.full((1, 8, 1), 3.0), np.asarray([1.0, -1.0] * 4)
    both = np.concatenate([constant, alternating.reshape(1, 8, 1)]).astype(np.float32)
    expected = np.stack([np.full((8, 1), 3.0), np.zeros((8, 1))])

    @jax.jit
    def blurs(x):
        return [ops.blur_pool(x, 1, taps=t, padding="CIRCULAR") for t in TAPS[1:]]

    for blurred in blurs(both):
        np.testing.assert_array_equal(blurred, expected)


@pytest.mark.parametrize("padding", ["VALID", 2, ((1, 0), (3, 1))])
def test_blur_pooling_takes_explicit_paddings(padding):
    inputs = draw(1, 6, 7, 1)
    pairs = {"VALID": ((0, 0), (0, 0)), 2: ((2, 2), (2, 2))}.get(padding, padding)
    padded = np.pad(inputs, [(0, 0), *pairs, (0, 0)])
    whole = reference.blur_pool(padded, (1, 1), 3, "SAME")[:, 1:-1, 1:-1]
    pooled = ops.blur_pool(inputs, 2, padding=padding)
    np.testing.assert_allclose(pooled, whole[:, ::2, ::2], rtol=1e-5, atol=1e-6)


def test_circular_blur_pooling_commutes_with_shifts_by_the_stride():
    inputs = draw(2, 8, 6, 2)
    pooled = ops.blur_pool(inputs, 2, padding="CIRCULAR")
    moved = ops.blur_pool(np.roll(inputs, (2, -4), (1, 2)), 2, padding="CIRCULAR")
    np.testing.assert_array_equal(moved, np.roll(pooled, (1, -2), (1, 2)))


def test_the_taps_are_rows_of_pascals_triangle():
    impulse = np.zeros((1, 13, 1), np.float32)
    impulse[0, 6] = 1

    @jax.jit
    def blurs(x):
        return {t: ops.blur_pool(x, 1, taps=t) for t in TAPS}

    row = [1]
    for taps, blurred in blurs(impulse).items():
        found = np.asarray(blurred)[0, :, 0] * 2 ** (taps - 1)
        np.testing.assert_array_equal(found[found != 0], row)
        row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)], ids=str)
def test_downsampling_takes_any_number_of_batch_axes_with_a_tuple_of_strides(batch):
    inputs = draw(*batch, 4, 6, 2)
    merged = inputs.reshape(math.prod(batch), 4, 6, 2)

    @jax.jit
    def pools(x):
        return ops.blur_pool(x, (2, 3)), ops.polyphase_pool(x, (2, 3))

    for pooled, one_axis in zip(pools(inputs), pools(merged), strict=True):
        assert pooled.shape == (*batch, 2, 2, 2)
        np.testing.assert_array_equal(pooled, one_axis.reshape(pooled.shape))


def test_downsampling_keeps_dtypes_and_blurs_integers_in_float32():
    whole = jnp.arange(16).reshape(1, 4, 4, 1)
    for pool in (ops.blur_pool, ops.polyphase_pool):
        halve = functools.partial(pool, strides=2)
        narrow = jax.eval_shape(halve, whole.astype(jnp.bfloat16))
        assert narrow.dtype == jnp.bfloat16
    assert jax.eval_shape(lambda x: ops.blur_pool(x, 2), whole).dtype == jnp.float32
    np.testing.assert_array_equal(
        ops.polyphase_pool(whole, 2)[0, :, :, 0], [[5, 7], [13, 15]]
    )
