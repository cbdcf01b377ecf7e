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
from tests import reference_pooling as reference
from tests.trees import assert_same_trees

NAMED = ("max", "min", "avg", "avg-inside", "l1", "l2", "l2.5", "l3", "l4", "l7.5")

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


def draw(shape, seed=0):
    """Normal values with some zeros among them."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape) * (generator.random(shape) > 0.1)
    return values.astype(np.float32)


def fast(name, inputs, window, strides, padding):
    match name:
        case "max":
            return ops.max_pool(inputs, window, strides, padding)
        case "min":
            return ops.min_pool(inputs, window, strides, padding)
        case "avg":
            return ops.avg_pool(inputs, window, strides, padding)
        case "avg-inside":
            return ops.avg_pool(inputs, window, strides, padding, False)
        case _:
            return ops.lp_pool(inputs, float(name[1:]), window, strides, padding)


def looped(name, inputs, window, strides, pairs):
    match name:
        case "max":
            return reference.max_pool(inputs, window, strides, pairs)
        case "min":
            return reference.min_pool(inputs, window, strides, pairs)
        case "avg":
            return reference.avg_pool(inputs, window, strides, pairs)
        case "avg-inside":
            return reference.avg_pool(inputs, window, strides, pairs, False)
        case _:
            return reference.lp_pool(inputs, float(name[1:]), window, strides, pairs)


def explicit(padding, spatial, window, strides):
    if padding == "VALID":
        return [(0, 0)] * len(window)
    if padding == "SAME":
        return reference.same_pairs(spatial, window, strides)
    return padding


@functools.partial(jax.jit, static_argnames=("window", "strides", "padding"))
def all_named(inputs, window, strides, padding):
    """Every named pool in one compilation, by name."""
    return {name: fast(name, inputs, window, strides, padding) for name in NAMED}


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


@pytest.mark.parametrize("padding", ["CIRCULAR", "REFLECT", "REPLICATE"])
def test_pools_take_the_paddings_of_conv(padding):
    inputs = draw((1, 5, 6, 2))
    edges = [(0, 0), (1, 1), (0, 1), (0, 0)]
    padded = {
        "CIRCULAR": np.pad(inputs, edges, "wrap"),
        "REFLECT": np.pad(inputs, edges, "reflect"),
        "REPLICATE": np.pad(inputs, edges, "edge"),
    }[padding]
    pooled = all_named(inputs, (3, 2), (1, 2), padding)
    expected = all_named(padded, (3, 2), (1, 2), "VALID")
    for name in NAMED:
        np.testing.assert_allclose(pooled[name], expected[name], rtol=1e-6)


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


def test_no_strides_means_stride_one_as_in_flax():
    by_reducer = functools.partial(ops.pool, jnp.max)
    norm = functools.partial(ops.lp_pool, p=2)
    for pool in (ops.max_pool, ops.avg_pool, ops.min_pool, norm, by_reducer):
        strideless = functools.partial(pool, window_shape=(2, 2))
        pooled = jax.eval_shape(strideless, draw((1, 6, 6, 1)))
        assert pooled.shape == (1, 5, 5, 1)


def test_one_integer_serves_as_strides_of_all_axes():
    inputs = draw((1, 6, 7, 1))
    pooled = ops.max_pool(inputs, (2, 2), 2)
    np.testing.assert_array_equal(pooled, ops.max_pool(inputs, (2, 2), (2, 2)))


@pytest.mark.parametrize("batch", [(), (0,), (2, 3), (2, 0)], ids=str)
def test_any_number_of_batch_axes_goes_through(batch):
    inputs = draw((*batch, 5, 6, 2))
    merged = inputs.reshape(math.prod(batch), 5, 6, 2)
    one_axis = all_named(merged, (2, 2), (2, 2), "VALID")
    for name, pooled in all_named(inputs, (2, 2), (2, 2), "VALID").items():
        assert pooled.shape == (*batch, 2, 3, 2)
        np.testing.assert_array_equal(pooled, one_axis[name].reshape(pooled.shape))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_an_empty_spatial_axis_stays_empty(padding):
    pooled = all_named(draw((2, 0, 4, 3)), (3, 1), (1, 1), padding)
    assert {outputs.shape for outputs in pooled.values()} == {(2, 0, 4, 3)}


def test_pool_by_a_reducer_takes_empty_axes_and_no_batch_axis():
    assert ops.pool(jnp.max, draw((0, 4, 4, 2)), (2, 2)).shape == (0, 3, 3, 2)
    padded = ops.pool(jnp.max, draw((2, 0, 4, 3)), (3, 3), padding="SAME")
    assert padded.shape == (2, 0, 4, 3)
    assert ops.pool(jnp.max, draw((4, 4, 2)), (2, 2)).shape == (3, 3, 2)


def test_bfloat16_stays_bfloat16_and_sums_in_float32():
    inputs = jnp.asarray(draw((1, 16, 16, 2)), jnp.bfloat16)
    exact = all_named(inputs.astype(jnp.float32), (16, 16), (1, 1), "VALID")
    for name, pooled in all_named(inputs, (16, 16), (1, 1), "VALID").items():
        assert pooled.dtype == jnp.bfloat16
        rounded = exact[name].astype(jnp.bfloat16)
        np.testing.assert_array_equal(pooled, rounded, err_msg=name)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32, jnp.uint8])
def test_integers_keep_their_extremes_and_average_in_float32(dtype):
    info = jnp.iinfo(dtype)
    inputs = jnp.asarray([info.min, info.max], dtype)[None, :, None]
    highest = ops.max_pool(inputs, (3,), 1, "SAME")
    lowest = ops.min_pool(inputs, (3,), 1, "SAME")
    assert highest.dtype == lowest.dtype == dtype
    assert set(highest.ravel().tolist()) == {info.max}
    assert set(lowest.ravel().tolist()) == {info.min}
    mean = ops.avg_pool(inputs, (2,))
    assert mean.dtype == jnp.float32
    np.testing.assert_allclose(mean.ravel(), [(info.min + info.max) / 2], atol=1)
    assert ops.lp_pool(inputs, 2, (2,)).dtype == jnp.float32


def test_padding_never_wins_a_maximum_or_a_minimum():
    inputs = jnp.full((1, 3, 3, 1), -5.0)
    assert float(ops.max_pool(inputs, (3, 3), 1, "SAME").max()) == -5.0
    assert float(ops.min_pool(-inputs, (3, 3), 1, "SAME").min()) == 5.0


def test_a_nan_reaches_every_window_that_holds_it_and_no_other():
    inputs = jnp.zeros((1, 6, 1)).at[0, 2, 0].set(jnp.nan)
    for name, pooled in all_named(inputs, (2,), (1,), "VALID").items():
        touched = jnp.isnan(pooled[0, :, 0]).tolist()
        assert touched == [False, True, True, False, False], name


def test_pools_are_the_same_under_vmap():
    inputs = draw((3, 2, 4, 5, 3, 2))

    def pools(x):
        return all_named(x, (2, 2, 2), (2, 1, 1), "SAME")

    one_by_one = jax.tree.map(lambda *each: np.stack(each), *map(pools, inputs))
    for name, mapped in jax.vmap(pools)(inputs).items():
        np.testing.assert_allclose(mapped, one_by_one[name], rtol=1e-6, err_msg=name)


def test_reducing_three_axes_under_two_vmaps_survives():
    inputs = draw((2, 2, 2, 4, 4, 4, 2))

    def squares(x):
        return ops.pool(lambda window: jnp.sum(window * window), x, (2, 2, 2))

    doubly = jax.vmap(jax.vmap(squares))
    values, gradient = jax.jit(jax.value_and_grad(lambda x: doubly(x).sum()))(inputs)
    norms = jax.vmap(jax.vmap(lambda x: ops.lp_pool(x, 2, (2, 2, 2)) ** 2))
    expected = jax.jit(jax.value_and_grad(lambda x: norms(x).sum()))(inputs)
    np.testing.assert_allclose(values, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-4)
