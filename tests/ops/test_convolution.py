"""conv and convolve against loops in float64, linen, scipy and their own laws."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from flax import linen as nn

from cnn_jax.ops import PADDING_NAMES, conv, convolve
from tests import reference

# spatial, window, channels, features, settings
GRID = [
    ((9,), (3,), 2, 3, {"strides": 2}),
    ((9,), (4,), 2, 3, {"kernel_dilation": 2, "padding": "CAUSAL"}),
    ((9,), (3,), 4, 4, {"feature_group_count": 4, "padding": "CIRCULAR"}),
    ((5, 6), (3, 2), 2, 3, {}),
    ((5, 6), (3, 2), 1, 3, {"strides": (2, 1), "padding": "VALID"}),
    ((5, 6), (3, 2), 2, 2, {"kernel_dilation": (1, 3), "padding": "FULL"}),
    ((5, 6), (2, 3), 2, 2, {"input_dilation": (2, 3), "padding": "SAME"}),
    ((5, 6), (3, 3), 4, 6, {"feature_group_count": 2, "strides": 2}),
    ((5, 6), (3, 3), 3, 6, {"feature_group_count": 3, "padding": ((-1, 2), (3, -2))}),
    ((5, 6), (2, 4), 2, 3, {"padding": "REFLECT", "strides": (1, 2)}),
    ((5, 6), (4, 2), 2, 3, {"padding": "REPLICATE", "kernel_dilation": (2, 1)}),
    ((2, 3), (5, 4), 1, 2, {"padding": "CIRCULAR"}),
    ((5, 6), (2, 2), 2, 3, {"padding": "CIRCULAR", "input_dilation": 2, "strides": 3}),
    ((3, 4, 5), (2, 3, 2), 2, 2, {"strides": (1, 2, 2), "padding": 1}),
    ((3, 4, 3), (2, 2, 3), 2, 4, {"feature_group_count": 2, "padding": "REFLECT"}),
]


def draw(
    spatial: Any, window: Any, channels: int, features: int, groups: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    inputs = rng.normal(size=(2, *spatial, channels))
    return inputs, rng.normal(size=(*window, channels // groups, features))


def expected(inputs: np.ndarray, kernel: np.ndarray, settings: Any) -> np.ndarray:
    """What the loops say, from conv's own keywords."""
    spatial, window = inputs.shape[1:-1], kernel.shape[:-2]
    return reference.conv(
        inputs, kernel, **reference.keywords(spatial, window, **settings)
    )


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
@pytest.mark.parametrize(
    ("spatial", "window", "channels", "features", "settings"), GRID
)
def test_every_algorithm_computes_the_definition(
    spatial: Any,
    window: Any,
    channels: int,
    features: int,
    settings: Any,
    algorithm: str,
) -> None:
    groups = settings.get("feature_group_count", 1)
    inputs, kernel = draw(spatial, window, channels, features, groups)
    with jax.enable_x64(True):
        outputs = jax.jit(lambda x, k: conv(x, k, algorithm=algorithm, **settings))(
            inputs, kernel
        )
    assert outputs.dtype == np.float64
    np.testing.assert_allclose(
        outputs, expected(inputs, kernel, settings), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_window_may_be_higher_than_the_image_is_wide(padding: str) -> None:
    inputs, kernel = draw((9, 2), (7, 2), 2, 3)
    outputs = jax.jit(partial(conv, padding=padding))(
        jnp.float32(inputs), jnp.float32(kernel)
    )
    wanted = expected(inputs, kernel, {"padding": padding})
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PADDING_NAMES)
def test_every_padding_name_computes_the_definition_in_float32(name: str) -> None:
    inputs, kernel = draw((6,), (4,), 2, 3)
    outputs = conv(jnp.float32(inputs), jnp.float32(kernel), padding=name)
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(
        outputs, expected(inputs, kernel, {"padding": name}), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", "REFLECT", 2])
@pytest.mark.parametrize("strides", [1, 2])
def test_linen_gives_the_same_outputs_for_the_same_variables(
    padding: Any, strides: int
) -> None:
    inputs, kernel = map(jnp.float32, draw((7, 8), (3, 4), 4, 6, 2))
    settings: Any = {
        "strides": strides,
        "padding": padding,
        "feature_group_count": 2,
        "kernel_dilation": (1, 2),
    }
    bias = jnp.arange(6.0)
    variables = {"params": {"kernel": kernel, "bias": bias}}
    outputs = jax.jit(nn.Conv(6, (3, 4), **settings).apply)(variables, inputs)
    ours = jax.jit(partial(conv, **settings))(inputs, kernel, bias)
    np.testing.assert_allclose(ours, outputs, rtol=1e-5, atol=1e-5)


def test_convolve_is_the_convolution_of_scipy() -> None:
    inputs, kernel = draw((5, 6), (3, 2), 1, 1)
    outputs = jax.jit(partial(convolve, padding="FULL"))(
        jnp.float32(inputs), jnp.float32(kernel)
    )
    for image, output in zip(inputs, outputs, strict=True):
        full = scipy.signal.convolve2d(image[..., 0], kernel[..., 0, 0])
        np.testing.assert_allclose(output[..., 0], full, rtol=1e-5, atol=1e-5)


def test_convolve_with_full_padding_commutes() -> None:
    first, second = draw((5, 6), (3, 4), 1, 1)
    first, second = jnp.float32(first[:1]), jnp.float32(second)
    full = jax.jit(partial(convolve, padding="FULL"))
    left = full(first, second)
    right = full(second.transpose(2, 0, 1, 3), first.transpose(1, 2, 0, 3))
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_convolve_hands_every_setting_on() -> None:
    inputs, kernel = map(jnp.float32, draw((7, 8), (3, 2), 4, 4, 2))
    settings: Any = {
        "strides": (2, 1),
        "padding": ((1, 2), (0, 3)),
        "input_dilation": (1, 2),
        "kernel_dilation": (2, 1),
        "feature_group_count": 2,
        "precision": "high",
        "preferred_element_type": jnp.float32,
        "algorithm": "im2col",
    }
    bias = jnp.arange(4.0)
    flipped = conv(inputs, kernel[::-1, ::-1], bias, **settings)
    np.testing.assert_array_equal(convolve(inputs, kernel, bias, **settings), flipped)


def test_the_bias_is_added_to_every_position() -> None:
    inputs, kernel = map(jnp.float32, draw((5, 4), (3, 3), 2, 3))
    bias = jnp.asarray([1.0, -2.0, 3.0])
    added = conv(inputs, kernel, bias) - conv(inputs, kernel)
    np.testing.assert_allclose(added, np.broadcast_to(bias, added.shape), atol=1e-5)


@pytest.mark.parametrize("name", PADDING_NAMES)
def test_conv_is_linear_in_inputs_and_in_kernel(name: str) -> None:
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        x, y = rng.normal(size=(2, 2, 6, 2))
        k, m = rng.normal(size=(2, 3, 2, 2))

        f = jax.jit(partial(conv, padding=name))

        in_inputs = f(2 * x - 3 * y, k) - 2 * f(x, k) + 3 * f(y, k)
        in_kernel = f(x, 2 * k - 3 * m) - 2 * f(x, k) + 3 * f(x, m)
    np.testing.assert_allclose(in_inputs, 0, atol=1e-12)
    np.testing.assert_allclose(in_kernel, 0, atol=1e-12)


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
def test_the_gradients_are_the_adjoints(algorithm: str) -> None:
    inputs, kernel = draw((7, 6), (3, 2), 2, 3)
    with jax.enable_x64(True):
        x, k = jnp.asarray(inputs), jnp.asarray(kernel)

        settings: Any = {"strides": (2, 1), "padding": "CIRCULAR"}
        f = jax.jit(partial(conv, algorithm=algorithm, **settings))
        outputs, pullback = jax.vjp(f, x, k)
        y = jnp.cos(jnp.arange(outputs.size, dtype=x.dtype)).reshape(outputs.shape)
        to_inputs, to_kernel = pullback(y)
        product = jnp.vdot(outputs, y)
        np.testing.assert_allclose(jnp.vdot(x, to_inputs), product, rtol=1e-12)
        np.testing.assert_allclose(jnp.vdot(k, to_kernel), product, rtol=1e-12)


@pytest.mark.parametrize("kernel_dilation", [1, 3])
def test_causal_outputs_have_exactly_zero_gradient_to_the_future(
    kernel_dilation: int,
) -> None:
    inputs, kernel = map(jnp.float32, draw((8,), (3,), 2, 2))

    def output(inputs: Any) -> Any:
        outputs = conv(
            inputs, kernel, padding="CAUSAL", kernel_dilation=kernel_dilation
        )
        return outputs.sum((0, 2))

    influence = abs(jax.jacobian(output)(inputs)).sum((1, 3))  # [out, in]
    now, then = np.indices(influence.shape)
    seen = (now - then) % kernel_dilation == 0
    seen &= (now >= then) & (now - then <= 2 * kernel_dilation)
    np.testing.assert_array_equal(influence > 0, seen)


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
@pytest.mark.parametrize("channels", [1, 4])
def test_bfloat16_outputs_are_off_by_their_own_rounding_only(
    algorithm: str, channels: int
) -> None:
    drawn = draw((6,), (5,), channels, 3)
    inputs, kernel = (jnp.asarray(a, jnp.bfloat16) for a in drawn)
    outputs = conv(inputs, kernel, algorithm=algorithm)
    assert outputs.dtype == jnp.bfloat16
    exact = expected(np.asarray(inputs, float), np.asarray(kernel, float), {})
    error = abs(np.asarray(outputs, float) - exact)
    assert (error <= 2.0**-8 * abs(exact) + 1e-5).all()


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
@pytest.mark.parametrize("channels", [1, 4])
def test_a_wider_element_type_is_what_comes_out(algorithm: str, channels: int) -> None:
    drawn = draw((6,), (5,), channels, 4)
    inputs, kernel = (jnp.asarray(a, jnp.bfloat16) for a in drawn)
    outputs, pullback = jax.vjp(
        lambda x, k: conv(
            x, k, algorithm=algorithm, preferred_element_type=jnp.float32
        ),
        inputs,
        kernel,
    )
    assert outputs.dtype == jnp.float32
    exact = expected(np.asarray(inputs, float), np.asarray(kernel, float), {})
    np.testing.assert_allclose(outputs, exact, rtol=1e-5, atol=1e-5)
    assert [a.dtype for a in pullback(outputs)] == [jnp.bfloat16, jnp.bfloat16]


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_empty_batch_gives_empty_outputs_and_zero_gradients(
    algorithm: str, channels: int
) -> None:
    kernel = jnp.ones((3, 3, channels, 4))

    def total(kernel: Any) -> Any:
        inputs = jnp.zeros((0, 5, 6, channels))
        outputs = conv(inputs, kernel, strides=2, algorithm=algorithm)
        assert outputs.shape == (0, 3, 3, 4)
        return outputs.sum()

    assert not jax.jit(jax.grad(total))(kernel).any()


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
def test_an_empty_axis_gives_an_empty_output(algorithm: str) -> None:
    outputs = conv(
        jnp.zeros((2, 0, 4, 1)),
        jnp.ones((3, 3, 1, 2)),
        jnp.ones(2),
        algorithm=algorithm,
    )
    assert outputs.shape == (2, 0, 4, 2)


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
@pytest.mark.parametrize("padding", ["SAME", "CIRCULAR", "REFLECT", "REPLICATE"])
def test_axes_of_size_one_are_images_too(algorithm: str, padding: str) -> None:
    inputs, kernel = draw((1, 1), (3, 2), 2, 2)
    outputs = jax.jit(partial(conv, padding=padding, algorithm=algorithm))(
        jnp.float32(inputs), jnp.float32(kernel)
    )
    np.testing.assert_allclose(
        outputs, expected(inputs, kernel, {"padding": padding}), rtol=1e-5, atol=1e-5
    )


def test_numpy_arrays_are_accepted() -> None:
    assert (
        conv(np.ones((1, 4, 1), "float32"), np.ones((3, 1, 1), "float32")).sum() == 10
    )
