"""What conv_transpose says about arguments that do not fit."""

from typing import Any

import jax.numpy as jnp
import pytest

from cnn_jax.ops import conv_transpose


@pytest.mark.parametrize(
    ("inputs", "kernel", "settings", "message"),
    [
        ((5, 1), (3, 1, 1), {}, r"inputs: expected rank 3 to 5, .* got shape \(5, 1\)"),
        ((1, 5, 5, 1), (3, 1, 1), {}, r"kernel: expected rank 4, .* got \(3, 1, 1\)"),
        (
            (1, 5, 3),
            (3, 3, 2),
            {},
            r"kernel: expected 3 features, the channels of the inputs, got 2 in shape "
            r"\(3, 3, 2\)",
        ),
        (
            (1, 5, 3),
            (3, 2, 3),
            {"feature_group_count": 2},
            "feature_group_count: expected a divisor of 3 features, got 2",
        ),
        (
            (1, 5, 3),
            (3, 2, 3),
            {"algorithm": "magic"},
            "algorithm: expected one of auto, autotune, .* got 'magic'",
        ),
        ((1, 5, 3), (3, 2, 3), {"strides": 0}, "strides: expected one integer >= 1"),
        ((1, 5, 3), (3, 2, 3), {"padding": "same"}, "padding: expected one of SAME"),
        (
            (1, 5, 3),
            (3, 2, 3),
            {"bias": jnp.ones(3)},
            r"bias: expected shape \(2,\), got \(3,\)",
        ),
        (
            (1, 5, 4, 3),
            (3, 3, 2, 3),
            {"strides": (2, 1), "output_shape": (11, 4)},
            r"output_shape: expected \(9 to 10, 4\), what a convolution with these "
            r"options takes to sizes \(5, 4\), got \(11, 4\)",
        ),
        (
            (1, 5, 3),
            (3, 2, 3),
            {"output_shape": (5, 5)},
            r"output_shape: expected \(5\), .* got \(5, 5\)",
        ),
        (
            (1, 2, 3),
            (3, 2, 3),
            {"padding": 4},
            r"output_shape: expected \(no size\), .* sizes \(2,\), got None",
        ),
        (
            (1, 0, 3),
            (3, 2, 3),
            {"padding": 4},
            r"output_shape: expected \(no size\), .* sizes \(0,\), got None",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_expected(
    inputs: Any, kernel: Any, settings: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        conv_transpose(jnp.ones(inputs), jnp.ones(kernel), **settings)
