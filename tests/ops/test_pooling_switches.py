"""Switches against loops, and unpooling as the adjoint of picking by them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from tests import reference_pooling as reference
from tests.derivatives import check_derivatives

# (spatial, window, strides, padding)
GRID: list[Any] = [
    ((7,), (3,), (2,), "SAME"),
    ((6, 8), (2, 2), (2, 2), "VALID"),
    ((5, 7), (3, 3), (2, 2), "SAME"),
    ((5, 6), (2, 3), (1, 2), ((0, 1), (2, 3))),
    ((4, 4), (4, 4), (4, 4), "VALID"),
    ((3, 4, 3), (2, 2, 2), (1, 2, 2), "SAME"),
]


def draw(*shape, seed=0):
    """Whole numbers, so that many are equal."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def explicit(padding, spatial, window, strides):
    if padding == "SAME":
        return reference.same_pairs(spatial, window, strides)
    return [(0, 0)] * len(window) if padding == "VALID" else padding


def test_switches_and_unpooling_equal_their_loops():
    inputs = [draw(2, *spatial, 2) for spatial, *_ in GRID]

    @jax.jit
    def both(inputs):
        found = []
        for x, (spatial, *how) in zip(inputs, GRID, strict=True):
            pooled, switches = ops.max_pool_with_switches(x, *how)
            back = ops.max_unpool(pooled, switches, spatial, *how)
            found.append((pooled, switches, back))
        return found

    for x, found, (spatial, *how) in zip(inputs, both(inputs), GRID, strict=True):
        pairs = explicit(how[2], spatial, *how[:2])
        pooled, switches = reference.max_pool_with_switches(x, *how[:2], pairs=pairs)
        np.testing.assert_array_equal(found[0], pooled)
        np.testing.assert_array_equal(found[1], switches)
        pooled = np.where(switches < 0, 0, pooled)
        expected = reference.max_unpool(pooled, switches, spatial)
        np.testing.assert_array_equal(found[2], expected)


def test_the_first_maximum_wins_and_padding_never_does():
    tied = jnp.asarray([[1.0, 5.0], [5.0, 0.0]])[..., None]
    assert ops.max_pool_with_switches(tied, (2, 2))[1].item() == 1
    lowest = jnp.full((3, 1), -jnp.inf)
    _, switches = ops.max_pool_with_switches(lowest, (2,), 1, ((1, 1),))
    np.testing.assert_array_equal(switches[:, 0], [0, 0, 1, 2])
    _, switches = ops.max_pool_with_switches(lowest, (2,), 2, ((2, 1),))
    np.testing.assert_array_equal(switches[:, 0], [-1, 0, 2])
    holed = jnp.asarray([0.0, jnp.nan, 2.0, jnp.nan])[:, None]
    pooled, switches = ops.max_pool_with_switches(holed, (4,))
    assert jnp.isnan(pooled).all()
    assert switches.item() == 1


def test_padding_made_of_pixels_points_to_those_pixels():
    inputs = np.random.default_rng(0).permutation(20).astype(np.float32)
    inputs = inputs.reshape(1, 4, 5, 1)

    @jax.jit
    def there_and_back(x):
        found = []
        for name in ("CIRCULAR", "REFLECT", "REPLICATE"):
            how = ((3, 2), (1, 1), name)
            pooled, switches = ops.max_pool_with_switches(x, *how)
            back = ops.max_unpool(jnp.ones_like(pooled), switches, (4, 5), *how)
            found.append((pooled, switches, back))
        return found

    for pooled, switches, back in there_and_back(inputs):
        np.testing.assert_array_equal(pooled, inputs.ravel()[np.asarray(switches)])
        counts = np.bincount(np.asarray(switches).ravel(), minlength=20)
        np.testing.assert_array_equal(back.ravel(), counts)


def test_unpooling_is_the_gradient_of_pooling_by_its_switches():
    spatial, *how = GRID[2]

    @jax.jit
    def two_ways(x):
        pool = functools.partial(ops.max_pool_with_switches, window_shape=how[0])
        pooled, pull, switches = jax.vjp(
            lambda x: pool(x, strides=how[1], padding=how[2]), x, has_aux=True
        )
        cotangent = jnp.cos(pooled + 3)
        back = ops.max_unpool(cotangent, switches, spatial, *how)
        return back, *pull(cotangent)

    back, gradient = two_ways(draw(2, *spatial, 2))
    np.testing.assert_allclose(back, gradient, rtol=1e-6)


def test_two_orders_of_derivatives_are_right_and_maps_go_through():
    inputs = np.random.default_rng(1).permutation(30).reshape(1, 5, 6, 1) / 10
    how = ((3, 2), (2, 2), "SAME")

    def there_and_back(x):
        pooled, switches = ops.max_pool_with_switches(x, *how)
        return ops.max_unpool(pooled**2, switches, (5, 6), *how)

    check_derivatives(there_and_back, [inputs])
    images = jnp.asarray(draw(3, 2, 5, 6, 2))
    mapped = jax.jit(jax.vmap(there_and_back))(images)
    merged = jax.jit(there_and_back)(images.reshape(6, 5, 6, 2))
    np.testing.assert_array_equal(mapped.reshape(merged.shape), merged)


def test_narrow_whole_and_empty_inputs_are_taken():
    for shape, dtype in [((0, 3, 2), jnp.float32), ((2, 0, 2), jnp.bfloat16)]:
        how: Any = ((2,), 1, "SAME")

        def there_and_back(x, shape=shape, how=how):
            pooled, switches = ops.max_pool_with_switches(x, *how)
            back = ops.max_unpool(pooled, switches, shape[1:2], *how)
            return pooled, switches, back

        pooled, switches, back = jax.eval_shape(there_and_back, jnp.ones(shape, dtype))
        assert pooled.shape == switches.shape == shape
        assert (pooled.dtype, switches.dtype) == (dtype, jnp.int32)
        assert (back.shape, back.dtype) == (shape, dtype)
    pooled, switches = ops.max_pool_with_switches(jnp.arange(4)[:, None], (2,), 2)
    back = ops.max_unpool(pooled, switches, (4,), (2,), 2)
    np.testing.assert_array_equal(back[:, 0], [0, 1, 0, 3])
    marks = jnp.asarray([False, True, False, False])[:, None]
    both = ops.max_pool_with_switches(marks, (2,))
    back = ops.max_unpool(*both, (4,), (2,))
    assert back.dtype == jnp.bool_
    np.testing.assert_array_equal(back, marks)
