"""Polyphase pooling against its shift law: always, ties included, bit for bit."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from tests import reference_pooling as reference

# A telling part of all pairs of a stride and a size up to 33 that it divides.
SIZES = {2: (2, 4, 10, 32), 3: (3, 9, 33), 4: (4, 12, 32), 5: (5, 10, 30)}
PLANES: list[Any] = [
    ((6, 8), (2, 2)),
    ((6, 8), (3, 4)),
    ((4, 4), (2, 2)),
    ((6, 6), (3, 3)),
    ((8, 4), (4, 2)),
    ((4, 4, 6), (2, 4, 3)),
    ((10, 3), (5, 1)),
]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def images(spatial, channels, seed=0):
    """Random, binary, constant, mirrored and periodic images, [kinds, *spatial, C]."""
    rng = np.random.default_rng(seed)
    shape = (*spatial, channels)
    found = [rng.normal(size=shape), np.ones(shape), np.zeros(shape)]
    found += [rng.integers(0, 2, shape) for _ in range(6)]
    for axis, size in enumerate(spatial):
        values = np.moveaxis(rng.normal(size=shape), axis, 0)
        for first in (0, 1):  # the axis of symmetry between pixels and on one
            order = np.abs(np.arange(size) - (size - first) // 2)
            found.append(np.moveaxis(values[order % size], 0, axis))
        for period in range(1, size):
            if size % period == 0:
                repeated = values[np.arange(size) % period]
                found.append(np.moveaxis(repeated, 0, axis))
    return np.stack(found).astype(np.float32)


def rotations(image, rank):
    shifts = itertools.product(*map(range, image.shape[:rank]))
    return {np.roll(image, s, range(rank)).tobytes() for s in shifts}


def check_orbits(cases, seed=0):
    """Whatever the shift of the inputs, the outputs are some shift of the same."""
    batches = []
    for spatial, _, channels in cases:
        originals = images(spatial, channels, seed)
        axes = range(1, 1 + len(spatial))
        shifts = itertools.product(*map(range, spatial))
        batches.append(np.stack([np.roll(originals, s, axes) for s in shifts]))

    @jax.jit
    def pools(batches):
        return [
            ops.polyphase_pool(batch.reshape(-1, *batch.shape[2:]), strides)
            for batch, (_, strides, _) in zip(batches, cases, strict=True)
        ]

    for batch, found, (spatial, _, _) in zip(
        batches, pools(batches), cases, strict=True
    ):
        outputs = np.asarray(found).reshape(*batch.shape[:2], *found.shape[1:])
        for kind in range(batch.shape[1]):
            allowed = rotations(outputs[0, kind], len(spatial))
            for moved in outputs[:, kind]:
                assert moved.tobytes() in allowed, (spatial, kind)


@pytest.mark.parametrize("stride", SIZES)
def test_a_circular_shift_only_shifts_the_outputs_whatever_the_image(stride):
    check_orbits([((size,), (stride,), 1) for size in SIZES[stride]])


def test_planes_volumes_and_many_channels_obey_the_law_too():
    check_orbits([(spatial, strides, 2) for spatial, strides in PLANES])


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stride", SIZES)
def test_the_law_holds_for_every_size_that_the_stride_divides(stride, seed):
    sizes = [size for size in range(1, 34) if size % stride == 0]
    check_orbits([((size,), (stride,), 1) for size in sizes], seed)
    check_orbits([((n, n), (stride, stride), 1) for n in sizes[:4]], seed)


def first_of_the_winner(image, strides):
    """a*: the offsets of the grid with the largest norm."""

    def energy(offsets):
        cells = zip(offsets, strides, strict=True)
        return np.sum(image[tuple(slice(a, None, s) for a, s in cells)] ** 2.0)

    return max(itertools.product(*map(range, strides)), key=energy)


def test_without_a_tie_the_outputs_move_by_the_whole_strides_of_the_shift():
    spatial, strides = (6, 8), (3, 4)
    inputs = draw(3, *spatial, 2)
    firsts = [first_of_the_winner(image, strides) for image in inputs]
    shifts = list(itertools.product(*map(range, spatial)))
    moved = np.concatenate([inputs, *(np.roll(inputs, s, (1, 2)) for s in shifts)])
    pooled = np.asarray(jax.jit(lambda x: ops.polyphase_pool(x, strides))(moved))
    before, *after = pooled.reshape(-1, *inputs.shape[:1], 2, 2, 2)
    for shift, outputs in zip(shifts, after, strict=True):
        for first, image, result in zip(firsts, before, outputs, strict=True):
            parts = zip(shift, first, strides, strict=True)
            steps = tuple((d + a) // s for d, a, s in parts)
            np.testing.assert_array_equal(result, np.roll(image, steps, (0, 1)))


def test_equal_norms_of_different_grids_are_told_apart_by_their_contents():
    # Grids [0, 0, 1, 1] and [0, 1, 0, 1]: by position, a shift by 1 would swap them.
    image = np.asarray([0, 0, 0, 1, 1, 0, 1, 1], np.float32)
    moved = np.stack([np.roll(image, d) for d in range(8)])[..., None]
    pooled = np.asarray(ops.polyphase_pool(moved, 2))[..., 0]
    adjacent = [np.any(each * np.roll(each, 1)) for each in pooled]
    assert len(set(adjacent)) == 1


def test_polyphase_pooling_equals_its_loops_where_no_norms_tie():
    cases = [((9,), (3,)), ((6, 8), (3, 4)), ((5, 7), (2, 3)), ((3, 2, 5), (2, 1, 3))]
    inputs = [draw(5, *spatial, 3) for spatial, _ in cases]

    @jax.jit
    def pools(inputs):
        return [
            ops.polyphase_pool(x, s) for x, (_, s) in zip(inputs, cases, strict=True)
        ]

    for x, found, (_, strides) in zip(inputs, pools(inputs), cases, strict=True):
        np.testing.assert_array_equal(found, reference.polyphase_pool(x, strides))


@pytest.mark.parametrize("size", [7, 33])
def test_other_sizes_obey_the_law_until_the_content_reaches_the_border(size):
    content = draw(4, size - 5, 2)
    placed = [np.pad(content, [(0, 0), (d, 5 - d), (0, 0)]) for d in range(6)]
    pooled = jax.jit(lambda x: ops.polyphase_pool(x, 4))(np.concatenate(placed))
    assert pooled.shape == (24, -(-size // 4), 2)
    before, *after = np.asarray(pooled).reshape(6, 4, -1, 2)
    for outputs in after:
        for image, moved in zip(before, outputs, strict=True):
            assert moved.tobytes() in rotations(image, 1)


def test_a_circular_shift_of_another_size_is_what_is_lost():
    inputs = draw(1, 7, 1)
    moved = np.concatenate([np.roll(inputs, d, 1) for d in range(7)])
    first, *others = np.asarray(ops.polyphase_pool(moved, 2))
    assert any(each.tobytes() not in rotations(first, 1) for each in others)


def test_each_image_chooses_by_all_its_channels_together():
    inputs = np.zeros((2, 4, 2), np.float32)
    inputs[0, 0], inputs[0, 1] = (3, 0), (2, 2.5)  # 9 < 10.25
    inputs[1, 2], inputs[1, 3] = (4, 0), (2, 2.5)  # 16 > 10.25
    pooled = ops.polyphase_pool(inputs, 2)
    np.testing.assert_array_equal(pooled[0], [[2, 2.5], [0, 0]])
    np.testing.assert_array_equal(pooled[1], [[0, 0], [4, 0]])


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e38])
def test_tiny_and_huge_values_choose_like_others(scale):
    inputs = draw(4, 6, 2)
    inputs[0, :4, 0] = [1.03, 2.06, 1.133, 1.133]
    assert np.max(abs(inputs)) < 3.4
    expected = ops.polyphase_pool(inputs, 3) * np.float32(scale)
    np.testing.assert_array_equal(
        ops.polyphase_pool(inputs * np.float32(scale), 3), expected
    )


def test_values_that_are_not_chosen_do_not_spoil_the_rest():
    inputs = jnp.asarray([-jnp.inf, 1.0, -jnp.inf, 2.0]).reshape(1, 4, 1)
    pooled = ops.polyphase_pool(inputs.at[0, 1].set(jnp.nan), 2)
    assert pooled.shape == (1, 2, 1)
    np.testing.assert_array_equal(ops.polyphase_pool(inputs, 2)[0, :, 0], -jnp.inf)


def test_narrow_and_whole_numbers_are_kept_and_odd_shapes_taken():
    whole = jnp.arange(16).reshape(1, 4, 4, 1)
    expected = [[5, 7], [13, 15]]
    dtypes = (jnp.int32, jnp.uint8, jnp.bfloat16)
    pool = jax.jit(lambda xs: [ops.polyphase_pool(x, 2) for x in xs])
    for dtype, pooled in zip(
        dtypes, pool([whole.astype(dtype) for dtype in dtypes]), strict=True
    ):
        assert pooled.dtype == dtype
        np.testing.assert_array_equal(pooled[0, :, :, 0], expected)
    with jax.enable_x64(True):
        wide = jnp.asarray(whole, jnp.float64)
        np.testing.assert_array_equal(ops.polyphase_pool(wide, 2)[0, :, :, 0], expected)
    for shape, strides, out in [
        ((2, 1, 3), 4, (2, 1, 3)),
        ((2, 0, 3), 2, (2, 0, 3)),
        ((0, 5, 3), 2, (0, 3, 3)),
        ((2, 5, 4, 0), (2, 1), (2, 3, 4, 0)),
        ((2, 5, 4, 1), 1, (2, 5, 4, 1)),
    ]:
        pool = functools.partial(ops.polyphase_pool, strides=strides)
        assert jax.eval_shape(pool, draw(*shape)).shape == out


def test_polyphase_pooling_is_the_same_under_vmap():
    inputs = draw(3, 2, 4, 4, 2)
    pool = jax.jit(lambda x: ops.polyphase_pool(x, 2))
    mapped = jax.vmap(pool)(inputs)
    one_by_one = np.stack([pool(images) for images in inputs])
    np.testing.assert_array_equal(mapped, one_by_one)
