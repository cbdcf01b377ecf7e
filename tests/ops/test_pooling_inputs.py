"""Pools of any batch, size and dtype, of NaN, under vmap, and the paddings of conv."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from tests.ops.pooling_cases import NAMED, all_named, draw


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
