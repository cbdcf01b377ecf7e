"""What pools say about arguments that cannot be meant."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops

IMAGES = jnp.ones((2, 5, 6, 3))
NAN_FIRST = -IMAGES.at[0, 0, 0, 0].set(jnp.nan)
SCALARS = jnp.float32(1), jnp.int32(1)


def untyped(value) -> Any:
    """What a type checker would not let through."""
    return value


def unpool(inputs, switches):
    return ops.max_unpool(inputs, switches, (5, 6), (2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.max_pool(IMAGES, (6, 2)), "at most 5 positions"),
        (lambda: ops.avg_pool(IMAGES, (2, 9), 1, ((0, 0), (1, 1))), "got 9"),
        (lambda: ops.max_pool(IMAGES, (2, 2), 0), "strides: expected one integer >= 1"),
        (lambda: ops.max_pool(IMAGES, (2, 0)), "window_shape: expected one integer"),
        (lambda: ops.max_pool(IMAGES, (2, 2), (1, 2, 3)), "got (1, 2, 3)"),
        (lambda: ops.max_pool(IMAGES, 2), "one per spatial axis, got 2"),  # pyrefly: ignore[bad-argument-type]
        (lambda: ops.max_pool(IMAGES, ()), "1 to 3 integers"),
        (lambda: ops.max_pool(IMAGES, (1, 1, 1, 1)), "1 to 3 integers"),
        (lambda: ops.max_pool(jnp.ones((4, 4)), (2, 2)), "got shape (4, 4)"),
        (lambda: ops.avg_pool(IMAGES, (2, 2), 1, "HALF"), "got 'HALF'"),
        (lambda: ops.lp_pool(IMAGES, 0.5, (2, 2)), "p: expected 1 <= p < inf, got 0.5"),
        (lambda: ops.lp_pool(IMAGES, float("inf"), (2, 2)), "got inf"),
        (lambda: ops.lp_pool(IMAGES, untyped("2"), (2, 2)), "p: expected 1 <= p < inf"),
        (lambda: ops.lp_pool(IMAGES, float("nan"), (2, 2)), "got nan"),
        (lambda: ops.global_lp_pool(IMAGES, 0), "p: expected 1 <= p < inf, got 0"),
        (
            lambda: ops.pool(lambda window: window[0], IMAGES, (2, 2)),
            "reducer: expected a scalar for a window of shape (2, 2), got shape (2,)",
        ),
        (lambda: ops.global_avg_pool(jnp.ones((2, 3))), "got shape (2, 3)"),
        (lambda: ops.global_max_pool(jnp.ones((2, 0, 3))), "got shape (2, 0, 3)"),
        (lambda: ops.blur_pool(IMAGES, 2, taps=0), "from 1 to 7, got 0"),
        (lambda: ops.blur_pool(IMAGES, 2, taps=8), "from 1 to 7, got 8"),
        (lambda: ops.blur_pool(IMAGES, 0), "strides: expected one integer >= 1"),
        (lambda: ops.blur_pool(IMAGES, 2, taps=7, padding="VALID"), "at most 5"),
        (lambda: ops.blur_pool(jnp.ones((2, 3)), 2), "inputs of shape (2, 3)"),
        (lambda: ops.polyphase_pool(IMAGES, (2, 0)), "strides: expected one integer"),
        (lambda: ops.polyphase_pool(jnp.ones((4, 4)), (2, 2)), "got shape (4, 4)"),
        (lambda: ops.gaussian_pool(IMAGES, (2, 2), sigma=0), "number > 0 or 2 of them"),
        (lambda: ops.gaussian_pool(IMAGES, (2, 2), sigma=(1, 2, 3)), "got (1, 2, 3)"),
        (
            lambda: ops.gaussian_pool(IMAGES, (2, 2), sigma=untyped("wide")),
            "got 'wide'",
        ),
        (lambda: ops.stochastic_pool(-IMAGES, (2, 2)), "values >= 0 to draw"),
        (lambda: ops.stochastic_pool(-IMAGES, (2, 2)), "got -1.0"),
        (lambda: ops.stochastic_pool(IMAGES, (6, 2)), "at most 5 positions"),
        (lambda: ops.stochastic_pool(IMAGES, (2, 2), 0), "strides: expected one"),
        (lambda: ops.stochastic_pool(NAN_FIRST, (2, 2)), "got -1.0"),
        (lambda: ops.mixed_pool(IMAGES, 1.5, (2, 2)), "values from 0 to 1, got 1.5"),
        (lambda: ops.mixed_pool(IMAGES, jnp.ones(2), (2, 2)), "() or (3,), one per"),
        (lambda: ops.max_pool_with_switches(IMAGES, (2, 9)), "got 9"),
        (lambda: unpool(IMAGES, jnp.ones((2, 5, 6, 2), int)), "got int32 of shape"),
        (lambda: unpool(IMAGES, IMAGES), "expected integers of the inputs' shape"),
        (lambda: unpool(IMAGES, IMAGES.astype(int)), "expected shape (2, 4, 5, 3)"),
        (lambda: ops.max_unpool(*SCALARS, (5, 6), (2, 2)), "of 2, got shape ()"),
        (
            lambda: ops.max_unpool(*SCALARS, untyped(5), (2, 2)),
            "spatial_shape: expected",
        ),
        (lambda: ops.max_unpool(*SCALARS, untyped((5.0, 6)), (2, 2)), "got (5.0, 6)"),
        (lambda: ops.adaptive_max_pool(IMAGES, 2), "one per spatial axis, got 2"),  # pyrefly: ignore[bad-argument-type]
        (lambda: ops.adaptive_avg_pool(IMAGES, (2, 0)), "output_shape: expected one"),
        (lambda: ops.adaptive_avg_pool(jnp.ones((3, 0, 2)), (1,)), "no empty one"),
        (lambda: ops.spatial_pyramid_pool(jnp.ones((2, 3))), "got shape (2, 3)"),
        (lambda: ops.spatial_pyramid_pool(IMAGES, ()), "at least one, got ()"),
        (lambda: ops.spatial_pyramid_pool(IMAGES, untyped(3)), "at least one, got 3"),
        (
            lambda: ops.fractional_max_pool(IMAGES, (6, 3)),
            "output_shape: expected at most the inputs' sizes (5, 6), got (6, 3)",
        ),
        (lambda: ops.k_max_pool(IMAGES, 7), "1 to the axis's size 6, got 7"),
        (lambda: ops.k_max_pool(IMAGES, 0), "got 0"),
        (lambda: ops.k_max_pool(IMAGES, untyped(2.0)), "k: expected an integer from 1"),
        (
            lambda: ops.k_max_pool(IMAGES, 2, untyped(1.0)),
            "axis: expected one of inputs",
        ),
        (lambda: ops.k_max_pool(IMAGES, 1, axis=4), "axis: expected one of inputs"),
        (lambda: ops.dynamic_k_max_pool(IMAGES, 4, 3, 2), "from 1 to 3, got 4"),
        (lambda: ops.dynamic_k_max_pool(IMAGES, 1, 3, 9), "size 6, got 9"),
        (lambda: ops.dynamic_k_max_pool(IMAGES, 1, 3, 2, 9), "axis: expected one of"),
        (
            lambda: ops.dynamic_k_max_pool(IMAGES, 1, untyped(3.0), 2),
            "num_layers: expected an integer >= 1, got 3.0",
        ),
        (
            lambda: ops.k_max_pool(IMAGES, 2, untyped(np.array(1.0))),
            "axis: expected one of inputs",
        ),
    ],
)
def test_a_wrong_argument_is_answered_with_what_was_expected_and_got(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_a_refused_number_leaves_the_next_call_as_it_was():
    sequence = jnp.arange(6.0)[:, None]
    with pytest.raises(ValueError, match=r"got 2\.0"):
        ops.k_max_pool(sequence, untyped(2.0))
    for k in (2, untyped(np.int64(2))):
        np.testing.assert_array_equal(ops.k_max_pool(sequence, k), [[4], [5]])


def test_one_sigma_per_axis_may_be_an_array():
    pooled = ops.gaussian_pool(IMAGES, (2, 2), sigma=untyped(np.asarray([0.5, 1.5])))
    expected = ops.gaussian_pool(IMAGES, (2, 2), sigma=[0.5, 1.5])
    np.testing.assert_array_equal(pooled, expected)


def test_negative_values_count_as_zeros_where_they_cannot_be_seen():
    inputs = jnp.asarray([[-3.0, 1.0, 2.0]]).reshape(1, 3, 1)
    pooled = jax.jit(lambda x: ops.stochastic_pool(x, (3,)))(inputs)
    assert pooled.item() == pytest.approx(5 / 3, rel=1e-6)
