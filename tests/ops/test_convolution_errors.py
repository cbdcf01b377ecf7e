"""What conv answers to shapes and names that do not fit."""

from typing import Any

import jax.numpy as jnp
import pytest

from cnn_jax.ops import conv, convolve


@pytest.mark.parametrize(
    ("inputs", "kernel", "settings", "message"),
    [
        (
            (5, 1),
            (3, 1, 1),
            {},
            r"inputs: expected rank 3 to 5, .* got shape \(5, 1\)",
        ),
        (
            (1, 2, 2, 2, 2, 1),
            (1, 1, 1, 1, 1, 1),
            {},
            r"inputs: expected rank 3 to 5",
        ),
        (
            (1, 5, 5, 1),
            (3, 1, 1),
            {},
            r"kernel: expected rank 4, .* shape \(1, 5, 5, 1\), got \(3, 1, 1\)",
        ),
        (
            (1, 5, 1),
            (0, 1, 1),
            {},
            r"window sizes >= 1, .* got \(0, 1, 1\)",
        ),
        (
            (1, 5, 3),
            (3, 2, 4),
            {},
            r"kernel: expected 3 channels \(3 of the inputs / 1 groups\), got 2",
        ),
        (
            (1, 5, 4),
            (3, 4, 4),
            {"feature_group_count": 2},
            r"kernel: expected 2 channels \(4 of the inputs / 2 groups\), got 4",
        ),
        (
            (1, 5, 4),
            (3, 2, 4),
            {"feature_group_count": 3},
            r"feature_group_count: expected a divisor of 4 channels and 4 features, "
            "got 3",
        ),
        (
            (1, 5, 4),
            (3, 2, 5),
            {"feature_group_count": 2},
            r"a divisor of 4 channels and 5 features, got 2",
        ),
        (
            (1, 5, 1),
            (3, 1, 1),
            {"preferred_element_type": jnp.bfloat16},
            r"preferred_element_type: expected at least as wide as the arrays' "
            "float32, got bfloat16",
        ),
        (
            (1, 5, 4),
            (3, 2, 5),
            {"feature_group_count": 0},
            r"a divisor of 4 channels and 5 features, got 0",
        ),
        (
            (1, 5, 1),
            (4, 1, 1),
            {"padding": "VALID", "kernel_dilation": 2},
            r"kernel larger than the padded input: expected at most 5 positions "
            r"\(size 5, padding 0 \+ 0\), got 7 \(window 4, dilation 2\)",
        ),
        (
            (1, 5, 1),
            (3, 1, 1),
            {"padding": "same"},
            r"expected one of SAME, VALID, FULL, CAUSAL, CIRCULAR, REFLECT, REPLICATE, "
            r".* got 'same'",
        ),
        (
            (1, 5, 1),
            (3, 1, 1),
            {"algorithm": "winograd"},
            r"algorithm: expected one of auto, .*, winograd2, winograd4, fourier, "
            "got 'winograd'",
        ),
        (
            (1, 8, 8, 1),
            (3, 5, 1, 1),
            {"algorithm": "winograd2"},
            r"algorithm 'winograd2': expected 3 taps per axis, strides 1 and no "
            r"dilation, got window \(3, 5\), strides \(1, 1\)",
        ),
        (
            (1, 8, 1),
            (3, 1, 1),
            {"algorithm": "winograd4", "strides": 2},
            r"algorithm 'winograd4': .* got window \(3,\), strides \(2,\), "
            r"input_dilation \(1,\), kernel_dilation \(1,\)",
        ),
        (
            (1, 8, 1),
            (3, 1, 1),
            {"algorithm": "winograd4", "input_dilation": 2, "padding": "CIRCULAR"},
            r"algorithm 'winograd4': .* input_dilation \(2,\)",
        ),
        (
            (1, 5, 1),
            (3, 1, 1),
            {"strides": 0},
            r"strides: expected one integer >= 1 or 1 of them, got 0",
        ),
        (
            (1, 5, 1),
            (3, 1, 1),
            {"kernel_dilation": (1, 1)},
            r"kernel_dilation: expected one integer >= 1 or 1 of them, got \(1, 1\)",
        ),
        (
            (1, 5, 1),
            (3, 1, 1),
            {"input_dilation": -2},
            r"input_dilation: expected one integer >= 1 or 1 of them, got -2",
        ),
        (
            (1, 5, 1),
            (3, 1, 2),
            {"bias": jnp.ones(3)},
            r"bias: expected shape \(2,\), got \(3,\)",
        ),
    ],
)
@pytest.mark.parametrize("function", [conv, convolve])
def test_what_does_not_fit_is_named_with_what_was_expected(
    inputs: Any, kernel: Any, settings: Any, message: str, function: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        function(jnp.ones(inputs), jnp.ones(kernel), **settings)


@pytest.mark.parametrize("algorithm", ["winograd2", "winograd4", "fourier"])
def test_transforms_with_fractions_refuse_integers(algorithm: str) -> None:
    inputs, kernel = jnp.ones((1, 5, 1), int), jnp.ones((3, 1, 1), int)
    message = rf"algorithm '{algorithm}': expected a real floating dtype, got int32"
    with pytest.raises(ValueError, match=message):
        conv(inputs, kernel, algorithm=algorithm)
