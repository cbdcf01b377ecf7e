"""Blur pooling against loops, polyphase pooling against its shift law."""

import functools
import itertools
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


@pytest.mark.parametrize(
    ("spatial", "strides"),
    [((9,), (3,)), ((6, 8), (2, 2)), ((6, 8), (3, 4)), ((4, 2, 6), (2, 1, 3))],
    ids=str,
)
def test_polyphase_pooling_equals_its_loops(spatial, strides):
    inputs = draw(5, *spatial, 3)
    pooled = ops.polyphase_pool(inputs, strides)
    np.testing.assert_array_equal(pooled, reference.polyphase_pool(inputs, strides))


def first_of_the_winner(image, strides):
    """a*: the offsets of the grid with the largest norm."""

    def energy(offsets):
        cells = zip(offsets, strides, strict=True)
        return np.sum(image[tuple(slice(a, None, s) for a, s in cells)] ** 2.0)

    return max(itertools.product(*map(range, strides)), key=energy)


@pytest.mark.parametrize(
    ("spatial", "strides"),
    [((12,), (3,)), ((6, 8), (2, 2)), ((6, 8), (3, 4)), ((4, 4, 6), (2, 4, 3))],
    ids=str,
)
def test_a_circular_shift_shifts_polyphase_pooling_bit_for_bit(spatial, strides):
    inputs = draw(3, *spatial, 2)
    axes = tuple(range(len(spatial)))
    firsts = [first_of_the_winner(image, strides) for image in inputs]
    shifts = list(itertools.product(*map(range, spatial)))
    pool = jax.jit(lambda x: ops.polyphase_pool(x, strides))
    pooled = np.asarray(pool(inputs))
    moved = np.concatenate([np.roll(inputs, s, [a + 1 for a in axes]) for s in shifts])
    found = np.asarray(pool(moved)).reshape(len(shifts), *pooled.shape)
    for shift, outputs in zip(shifts, found, strict=True):
        for first, before, after in zip(firsts, pooled, outputs, strict=True):
            parts = zip(shift, first, strides, strict=True)
            steps = tuple((d + a) // s for d, a, s in parts)
            np.testing.assert_array_equal(after, np.roll(before, steps, axes))


def test_a_tie_goes_to_the_first_grid_and_breaks_the_shift_law():
    mirror = jnp.asarray([1.0, 2.0, 2.0, 1.0]).reshape(1, 4, 1)
    np.testing.assert_array_equal(ops.polyphase_pool(mirror, 2)[0, :, 0], [1, 2])
    moved = ops.polyphase_pool(jnp.roll(mirror, 1, 1), 2)[0, :, 0]
    np.testing.assert_array_equal(moved, [1, 2])
    moved_away = ops.polyphase_pool(jnp.asarray([3.0, 4, 0, 5]).reshape(1, 4, 1), 2)
    np.testing.assert_array_equal(moved_away[0, :, 0], [4, 5])


def test_each_image_chooses_by_all_its_channels_together():
    inputs = np.zeros((2, 4, 2), np.float32)
    inputs[0, 0], inputs[0, 1] = (3, 0), (2, 2.5)  # 9 < 10.25
    inputs[1, 2], inputs[1, 3] = (4, 0), (2, 2.5)  # 16 > 10.25
    pooled = ops.polyphase_pool(inputs, 2)
    np.testing.assert_array_equal(pooled[0], [[2, 2.5], [0, 0]])
    np.testing.assert_array_equal(pooled[1], [[0, 0], [4, 0]])


def test_values_that_are_not_chosen_do_not_spoil_the_rest():
    inputs = jnp.asarray([-jnp.inf, 1.0, -jnp.inf, 2.0]).reshape(1, 4, 1)
    pooled = ops.polyphase_pool(inputs.at[0, 1].set(jnp.nan), 2)
    assert pooled.shape == (1, 2, 1)
    np.testing.assert_array_equal(ops.polyphase_pool(inputs, 2)[0, :, 0], -jnp.inf)


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


def test_polyphase_pooling_is_the_same_under_vmap():
    inputs = draw(3, 2, 4, 4, 2)
    pool = jax.jit(lambda x: ops.polyphase_pool(x, 2))
    mapped = jax.vmap(pool)(inputs)
    one_by_one = np.stack([pool(images) for images in inputs])
    np.testing.assert_array_equal(mapped, one_by_one)
