"""What pools compute, against loops in float64 and against flax.linen."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax import ops
from tests.ops.pooling_cases import all_named, draw, explicit, looped
from tests.trees import assert_same_trees

# (inputs, window, strides, padding): 1 to 3 spatial axes, windows that overlap, abut
# and leave gaps, composite windows (pooled in stages), sizes that leave a rest.
GRID = [
    ((2, 9, 3), (2,), (2,), "VALID"),
    ((2, 9, 3), (3,), (1,), "SAME"),
    ((1, 13, 2), (6,), (6,), "VALID"),
    ((1, 12, 1), (12,), (1,), "VALID"),
    ((1, 4, 1), (2,), (3,), "SAME"),
    ((2, 2, 2), (1,), (2,), "VALID"),
    ((2, 7, 8, 3), (2, 2), (2, 2), "VALID"),
    ((2, 7, 8, 3), (3, 2), (2, 1), "SAME"),
    ((1, 9, 10, 2), (3, 3), (2, 2), ((1, 0), (2, 1))),
    ((1, 9, 10, 1), (4, 8), (4, 2), "VALID"),
    ((1, 5, 6, 1), (2, 1), (3, 4), "VALID"),
    ((1, 6, 7, 1), (2, 3), (1, 2), ((-1, 0), (1, -2))),
    ((1, 4, 5, 3, 2), (2, 2, 2), (2, 1, 1), "SAME"),
    ((1, 4, 4, 4, 1), (3, 2, 4), (1, 2, 4), "VALID"),
]


def check_against_loops(shape, window, strides, padding, seed=0):
    inputs = draw(shape, seed)
    pairs = explicit(padding, shape[1:-1], window, strides)
    for name, pooled in all_named(inputs, window, strides, padding).items():
        expected = looped(name, inputs, window, strides, pairs)
        assert pooled.dtype == jnp.float32
        np.testing.assert_allclose(pooled, expected, rtol=3e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("case", GRID, ids=str)
def test_named_pools_equal_the_loops_over_windows(case):
    check_against_loops(*case)


@st.composite
def cases(draw_from):
    rank = draw_from(st.integers(1, 3))
    sizes = st.lists(st.integers(1, 7 if rank < 3 else 4), min_size=rank, max_size=rank)
    spatial = draw_from(sizes)
    window = [draw_from(st.integers(1, n)) for n in spatial]
    strides = draw_from(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    pair = st.tuples(st.integers(-1, 2), st.integers(0, 2))
    padding = draw_from(
        st.one_of(
            st.sampled_from(["VALID", "SAME"]), st.tuples(*[pair for _ in range(rank)])
        )
    )
    if not isinstance(padding, str):  # a cropped axis still has to hold the window
        padding = tuple(
            (max(low, k - n - high), high)
            for (low, high), k, n in zip(padding, window, spatial, strict=True)
        )
    batch, channels = draw_from(st.integers(1, 2)), draw_from(st.integers(1, 2))
    shape = (batch, *spatial, channels)
    return shape, tuple(window), tuple(strides), padding


@settings(max_examples=15)
@given(cases(), st.integers(0, 2**16))
def test_named_pools_equal_the_loops_on_drawn_shapes(case, seed):
    check_against_loops(*case, seed=seed)


@pytest.mark.exhaustive
@settings(max_examples=200)
@given(cases(), st.integers(0, 2**16))
def test_named_pools_equal_the_loops_on_many_drawn_shapes(case, seed):
    check_against_loops(*case, seed=seed)


REDUCERS = {
    "max": (jnp.max, -math.inf),
    "min": (jnp.min, math.inf),
    "avg": (jnp.mean, 0),
    "l3": (lambda window: jnp.sum(jnp.abs(window) ** 3) ** (1 / 3), 0),
}


@pytest.mark.parametrize("case", GRID, ids=str)
def test_a_pool_by_its_reducer_equals_the_named_pool(case):
    shape, window, strides, padding = case
    inputs = draw(shape)

    def by_reducer(x):
        return {
            name: ops.pool(
                reducer, x, window, strides=strides, padding=padding, fill_value=fill
            )
            for name, (reducer, fill) in REDUCERS.items()
        }

    named = all_named(inputs, window, strides, padding)
    for name, pooled in jax.jit(by_reducer)(inputs).items():
        np.testing.assert_allclose(
            pooled, named[name], rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_a_reducer_sees_the_window_with_its_axes_in_order():
    inputs = np.arange(3 * 4 * 5 * 2, dtype=np.float32).reshape(1, 3, 4, 5, 2)

    def corner(window):
        assert window.shape == (2, 3, 1)
        return window[1, 2, 0]

    pooled = ops.pool(corner, inputs, (2, 3, 1), strides=(1, 1, 2))
    np.testing.assert_array_equal(pooled, inputs[:, 1:, 2:, ::2])


def test_any_function_of_a_window_can_pool():
    inputs = draw((2, 6, 6, 2))
    pooled = ops.pool(jnp.median, inputs, (3, 3), strides=3)
    blocks = inputs.reshape(2, 2, 3, 2, 3, 2)
    np.testing.assert_allclose(pooled, np.median(blocks, axis=(2, 4)), rtol=1e-6)


FLAX = {
    "max": (ops.max_pool, nn.max_pool),
    "min": (ops.min_pool, nn.pooling.min_pool),
    "avg": (ops.avg_pool, nn.avg_pool),
    "avg-inside": (
        functools.partial(ops.avg_pool, count_include_pad=False),
        functools.partial(nn.avg_pool, count_include_pad=False),
    ),
}


@pytest.mark.parametrize("shape", [(6, 7, 2), (3, 6, 7, 2)], ids=str)
@pytest.mark.parametrize("padding", ["VALID", "SAME", ((1, 0), (0, 2))])
def test_pools_equal_flax_in_values_and_gradients(padding, shape):
    inputs = jnp.asarray(np.random.default_rng(0).permutation(math.prod(shape)))
    inputs = inputs.reshape(shape).astype(jnp.float32)  # no ties

    def with_gradients(which):
        found = {}
        for name, pools in FLAX.items():
            for strides in (None, (2, 2), (1, 3)):

                def pool(x, pool=pools[which], strides=strides):
                    return pool(x, (3, 2), strides, padding)

                outputs, pull = jax.vjp(pool, inputs)
                found[f"{name} {strides}"] = outputs, pull(draw(outputs.shape))
        return found

    with jax.numpy_dtype_promotion("standard"):  # flax divides by an integer array
        expected = jax.jit(functools.partial(with_gradients, 1))()
    found = jax.jit(functools.partial(with_gradients, 0))()
    assert_same_trees(found, expected, 1e-5, 1e-5)
