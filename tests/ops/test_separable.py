"""Depthwise and separable convolution, and the named cases of conv, by the loops."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import conv, dense_as_conv, depthwise_conv, separable_conv
from tests import reference
from tests.derivatives import check_derivatives

# window, channels, features, settings, for images of 6 x 5, or a line of 9
NAMED: dict[str, tuple[Any, int, int, dict[str, Any]]] = {
    "grouped": ((3, 2), 4, 6, {"feature_group_count": 2}),
    "depthwise": ((3, 2), 3, 6, {"feature_group_count": 3}),
    "dilated": ((3, 2), 2, 3, {"kernel_dilation": (2, 3)}),
    "1x1": ((1, 1), 3, 4, {}),
    "1x1-strided": ((1, 1), 3, 4, {"strides": (2, 3)}),
    "F-convolution": ((3, 2), 2, 3, {"padding": "FULL"}),
    "fractionally-strided": ((3, 2), 2, 3, {"input_dilation": (2, 3)}),
    "causal": ((3,), 2, 3, {"padding": "CAUSAL", "kernel_dilation": 2}),
}

DEPTHWISE: list[tuple[int, dict[str, Any]]] = [
    (1, {"strides": 2}),
    (2, {"padding": "CIRCULAR", "kernel_dilation": (1, 2)}),
    (3, {"padding": ((1, 0), (-1, 2)), "input_dilation": (2, 1)}),
]


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def by_loops(inputs: np.ndarray, kernel: np.ndarray, settings: Any) -> np.ndarray:
    spatial, window = inputs.shape[1:-1], kernel.shape[:-2]
    geometry = reference.keywords(spatial, window, **settings)
    return reference.conv(inputs, kernel, **geometry)


def assert_close(got: Any, wanted: Any) -> None:
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_case_of_conv_computes_the_definition(name: str) -> None:
    window, channels, features, settings = NAMED[name]
    groups = settings.get("feature_group_count", 1)
    inputs = draw(2, *((6, 5) if len(window) == 2 else (9,)), channels)
    kernel = draw(*window, channels // groups, features)
    with jax.enable_x64(True):
        outputs = jax.jit(partial(conv, **settings))(inputs, kernel)
    assert_close(outputs, by_loops(inputs, kernel, settings))


@pytest.mark.parametrize(("multiplier", "settings"), DEPTHWISE)
def test_depthwise_and_separable_convolutions_compute_their_definitions(
    multiplier: int, settings: Any
) -> None:
    inputs, depthwise = draw(2, 6, 5, 3), draw(3, 2, 1, 3 * multiplier)
    pointwise, bias = draw(1, 1, 3 * multiplier, 4), draw(4)

    @jax.jit
    def both(x: Any, k: Any, m: Any, b: Any) -> Any:
        hidden = depthwise_conv(x, k, **settings)
        return hidden, separable_conv(x, k, m, b, **settings)

    with jax.enable_x64(True):
        hidden, outputs = both(inputs, depthwise, pointwise, bias)
    wanted = by_loops(inputs, depthwise, settings | {"feature_group_count": 3})
    assert_close(hidden, wanted)
    assert_close(outputs, wanted @ pointwise[0, 0] + bias)


def test_separable_derivatives_of_both_orders_agree_with_differences() -> None:
    arrays = draw(1, 5, 2), draw(3, 1, 4), draw(1, 4, 3)
    check_derivatives(partial(separable_conv, strides=2, padding="REFLECT"), arrays)


def test_separable_convolutions_hand_every_option_on() -> None:
    inputs, depthwise, pointwise = draw(1, 6, 2), draw(3, 1, 2), draw(1, 2, 3)
    arrays = [jnp.asarray(a, jnp.bfloat16) for a in (inputs, depthwise, pointwise)]
    bias = jnp.asarray(draw(3), jnp.bfloat16)
    f = partial(separable_conv, preferred_element_type=jnp.float32)
    f = partial(f, bias=bias, algorithm="im2col", precision="highest")
    program = str(jax.make_jaxpr(f)(*arrays))
    assert program.count("precision='highest'") == 2
    assert program.count("('im2col', 'im2col', 'im2col')") == 2
    outputs = jax.jit(f)(*arrays)
    assert outputs.dtype == jnp.float32
    x, k, m = (np.asarray(array, float) for array in arrays)
    hidden = by_loops(x, k, {"feature_group_count": 2})
    exact = hidden @ m[0] + np.asarray(bias, float)
    np.testing.assert_allclose(outputs, exact, rtol=1e-5, atol=1e-5)


def test_a_dense_layer_is_a_convolution_that_slides_over_larger_images() -> None:
    images, kernel = draw(2, 6, 7, 3), draw(4 * 5 * 3, 8)
    with jax.enable_x64(True):
        outputs = jax.jit(
            lambda x, k: conv(x, dense_as_conv(k, (4, 5)), padding="VALID")
        )(images, kernel)
    assert outputs.shape == (2, 3, 3, 8)
    for i, j in np.ndindex(3, 3):
        crop = images[:, i : i + 4, j : j + 5].reshape(2, -1)
        assert_close(outputs[:, i, j], crop @ kernel)


@pytest.mark.parametrize(
    ("function", "shapes", "message"),
    [
        (depthwise_conv, [(1, 5, 3), (3, 1, 4)], r"inputs of C = 3 channels, got \(3,"),
        (depthwise_conv, [(1, 5, 3), (3, 3, 3)], r"\(\*window, 1, C \* multiplier\)"),
        (depthwise_conv, [(1, 5, 3), (3, 3)], "kernel: expected rank 3"),
        (depthwise_conv, [(5, 3), (3, 3)], "inputs: expected rank 3 to 5"),
        (
            separable_conv,
            [(1, 5, 3), (3, 1, 3), (2, 3, 4)],
            r"pointwise_kernel: expected shape \(1, ..., C \* multiplier, O\), got "
            r"\(2, 3, 4\)",
        ),
        (
            separable_conv,
            [(1, 5, 3), (3, 1, 3), (1, 4, 4)],
            "kernel: expected 3 channels",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_expected(
    function: Any, shapes: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(*map(jnp.ones, shapes))


@pytest.mark.parametrize("shape", [(13, 2), (12,), (3, 2, 2)])
def test_a_dense_kernel_that_is_no_map_is_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"a multiple of 6, .* a map \(2, 3\), got"):
        dense_as_conv(jnp.ones(shape), (2, 3))
