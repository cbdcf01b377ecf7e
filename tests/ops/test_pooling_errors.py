"""What pools say about arguments that cannot be meant."""

import re

import jax.numpy as jnp
import pytest

from cnn_jax import ops

IMAGES = jnp.ones((2, 5, 6, 3))


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
        (
            lambda: ops.polyphase_pool(IMAGES, 2),
            "expected spatial sizes that are multiples of (2, 2), got (5, 6)",
        ),
        (lambda: ops.polyphase_pool(IMAGES, (2, 0)), "strides: expected one integer"),
        (lambda: ops.polyphase_pool(jnp.ones((4, 4)), (2, 2)), "got shape (4, 4)"),
    ],
)
def test_a_wrong_argument_is_answered_with_what_was_expected_and_got(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
