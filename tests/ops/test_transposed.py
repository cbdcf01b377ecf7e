"""conv_transpose against a scatter in float64, and as the adjoint of conv."""

import itertools
import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import PADDING_NAMES, conv, conv_transpose, convolve
from tests import reference
from tests.derivatives import check_derivatives

# spatial sizes of the outputs, window, channels, features, settings
GRID: dict[str, tuple[Any, Any, int, int, dict[str, Any]]] = {
    "plain": ((6, 5), (3, 2), 2, 3, {}),
    "strided": ((7, 9), (3, 4), 2, 3, {"strides": (2, 3)}),
    "skipping": ((10,), (2,), 2, 3, {"strides": 4, "padding": "VALID"}),
    "full": ((5, 4), (3, 2), 2, 2, {"padding": "FULL", "strides": (1, 2)}),
    "causal": ((9,), (3,), 2, 3, {"padding": "CAUSAL", "kernel_dilation": 2}),
    "circular": ((5, 7), (4, 3), 2, 3, {"padding": "CIRCULAR", "strides": (2, 3)}),
    "circular-twice": ((2, 3), (5, 4), 1, 2, {"padding": "CIRCULAR"}),
    "reflect": ((5, 1), (4, 3), 2, 2, {"padding": "REFLECT", "strides": (1, 2)}),
    "replicate": (
        (4, 3),
        (3, 2),
        2,
        2,
        {"padding": "REPLICATE", "input_dilation": (2, 3), "strides": 2},
    ),
    "cropped": ((7, 8), (3, 2), 2, 3, {"padding": ((-1, 2), (3, -2)), "strides": 2}),
    "groups": ((5, 6), (3, 3), 4, 6, {"feature_group_count": 2, "strides": 2}),
    "depthwise": ((6, 5), (3, 3), 3, 6, {"feature_group_count": 3}),
    "dilated": (
        (5, 4),
        (2, 3),
        2,
        2,
        {"kernel_dilation": (2, 1), "input_dilation": (1, 3), "padding": 1},
    ),
    "line": ((1,), (1,), 1, 1, {"strides": 3, "padding": "VALID"}),
    "volume": ((3, 4, 5), (2, 3, 2), 2, 2, {"strides": (1, 2, 2), "padding": 1}),
}


def draw(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Images, kernel, the convolution's outputs by the loops, settings."""
    spatial, window, channels, features, settings = GRID[name]
    groups = settings.get("feature_group_count", 1)
    rng = np.random.default_rng(7)
    images = rng.normal(size=(2, *spatial, channels))
    kernel = rng.normal(size=(*window, channels // groups, features))
    geometry = reference.keywords(spatial, window, **settings)
    return images, kernel, reference.conv(images, kernel, **geometry), settings


@pytest.mark.parametrize("name", GRID)
def test_the_transpose_hands_every_input_to_where_it_came_from(name: str) -> None:
    images, kernel, outputs, settings = draw(name)
    spatial = images.shape[1:-1]
    inputs = np.random.default_rng(8).normal(size=outputs.shape)
    with jax.enable_x64(True):
        transposed = partial(conv_transpose, output_shape=spatial, **settings)
        returned = jax.jit(transposed)(inputs, kernel)
    geometry = reference.keywords(spatial, kernel.shape[:-2], **settings)
    wanted = reference.conv_transpose(inputs, kernel, spatial, **geometry)
    np.testing.assert_allclose(returned, wanted, rtol=1e-12, atol=1e-12)
    # Both loops of the reference, which know nothing of each other, are adjoints too.
    np.testing.assert_allclose(np.vdot(outputs, inputs), np.vdot(images, wanted))


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
@pytest.mark.parametrize("name", ["strided", "circular"])
def test_every_algorithm_computes_the_transpose(name: str, algorithm: str) -> None:
    images, kernel, outputs, settings = draw(name)
    spatial = images.shape[1:-1]
    with jax.enable_x64(True):
        transposed = partial(conv_transpose, output_shape=spatial, algorithm=algorithm)
        returned = jax.jit(partial(transposed, **settings))(outputs, kernel)
    geometry = reference.keywords(spatial, kernel.shape[:-2], **settings)
    wanted = reference.conv_transpose(outputs, kernel, spatial, **geometry)
    np.testing.assert_allclose(returned, wanted, rtol=1e-12, atol=1e-12)


PAIRS = ((1, 0), (-1, 2), (2, 2), (0, -1))


def configurations(padding: str) -> Iterator[list[tuple[int, int, int, Any]]]:
    """Every (size, window, stride, pair) that conv takes, in random lots of one rank.

    The axes of a convolution do not see each other, so that one of rank 3 measures
    three configurations at the cost of one compilation.
    """
    pairs = PAIRS if padding == "pairs" else ((0, 0),)
    every = itertools.product(range(1, 33), range(1, 6), range(1, 5), pairs)
    fitting = [
        (n, k, s, pair)
        for n, k, s, pair in every
        if padding not in ("VALID", "pairs") or k <= n + sum(pair)
    ]
    random.Random(0).shuffle(fitting)
    size = 1 if padding == "CAUSAL" else 3
    for start in range(0, len(fitting), size):
        lot = fitting[start : start + size]
        yield lot + fitting[: size - len(lot)]


def check_adjoint(padding: str, lot: Sequence[tuple[int, int, int, Any]]) -> None:
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ to rounding in float64."""
    spatial, window, strides, pairs = zip(*lot, strict=True)
    settings: Any = {
        "strides": strides,
        "padding": pairs if padding == "pairs" else padding,
    }
    rng = np.random.default_rng(3)
    x, k = rng.normal(size=(1, *spatial, 2)), rng.normal(size=(*window, 2, 3))
    y_shape = jax.eval_shape(partial(conv, **settings), x, k).shape
    y = rng.normal(size=y_shape)

    @jax.jit
    def both(x: Any, k: Any, y: Any) -> Any:
        there = conv(x, k, **settings)
        back = conv_transpose(y, k, output_shape=spatial, **settings)
        scale = jnp.linalg.norm(there) * jnp.linalg.norm(y)
        return jnp.vdot(there, y), jnp.vdot(x, back), scale

    left, right, scale = both(x, k, y)
    assert abs(left - right) <= 1e-13 * scale, (padding, lot)


@pytest.mark.parametrize("padding", [*PADDING_NAMES, "pairs"])
def test_it_is_the_adjoint_of_conv_on_a_spread_of_shapes(padding: str) -> None:
    with jax.enable_x64(True):
        for lot in itertools.islice(configurations(padding), 2):
            check_adjoint(padding, lot)


@pytest.mark.exhaustive
@pytest.mark.parametrize("padding", [*PADDING_NAMES, "pairs"])
def test_it_is_the_adjoint_of_conv_on_every_shape(padding: str) -> None:
    with jax.enable_x64(True):
        for lot in configurations(padding):
            check_adjoint(padding, lot)


@pytest.mark.parametrize("name", ["groups", "circular"])
def test_derivatives_of_both_orders_and_modes_agree_with_differences(
    name: str,
) -> None:
    images, kernel, outputs, settings = draw(name)
    f = partial(conv_transpose, output_shape=images.shape[1:-1], **settings)
    check_derivatives(f, (outputs, kernel))


def test_its_gradient_in_the_inputs_is_conv() -> None:
    images, kernel, outputs, settings = draw("strided")
    with jax.enable_x64(True):
        f = partial(conv_transpose, output_shape=images.shape[1:-1], **settings)
        _, pullback = jax.vjp(lambda y: f(y, kernel), outputs)
        (there,) = jax.jit(pullback)(images)
    np.testing.assert_allclose(there, outputs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_is_a_loop(axes: Any) -> None:
    images, kernel, outputs, settings = draw("circular")
    f = jax.jit(partial(conv_transpose, output_shape=images.shape[1:-1], **settings))
    given = [
        a if axis is None else np.stack([a, a[::-1] - 1])
        for a, axis in zip((outputs, kernel), axes, strict=True)
    ]
    with jax.enable_x64(True):
        mapped = jax.jit(jax.vmap(f, axes))(*given)
        for i in range(2):
            one = [
                a if axis is None else a[i] for a, axis in zip(given, axes, strict=True)
            ]
            np.testing.assert_allclose(mapped[i], f(*one), rtol=1e-12, atol=1e-12)


# What flax and Keras give for SAME, PyTorch for pairs.
@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"strides": 3}, 5 * 3),
        ({"strides": 3, "padding": "CIRCULAR"}, 5 * 3),
        ({"strides": 2, "padding": "CAUSAL"}, 5 * 2),
        ({"strides": 2, "padding": "REFLECT", "input_dilation": 3}, 1 + (10 - 1) // 3),
        ({"strides": 2, "padding": "VALID"}, (5 - 1) * 2 + 4),
        ({"strides": 2, "padding": 1}, (5 - 1) * 2 - 2 * 1 + 4),
        ({"strides": 3, "padding": 1, "kernel_dilation": 2}, 4 * 3 - 2 + 2 * 3 + 1),
        ({"strides": 1, "padding": "FULL"}, 5 - 3),
        ({"strides": 1, "padding": 4}, 0),
        ({"strides": 4, "padding": ((9, 9),)}, 2),
        ({"strides": 5, "padding": ((10, 11),)}, 3),
    ],
)
def test_the_default_size_is_the_largest_or_the_smallest(
    settings: Any, size: int
) -> None:
    f = partial(conv_transpose, **settings)
    shape = jax.eval_shape(f, jnp.ones((2, 5, 3)), jnp.ones((4, 2, 3))).shape
    assert shape == (2, size, 2)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 3},
        {"strides": 3, "padding": "VALID", "kernel_dilation": 2},
        {"strides": 2, "padding": "FULL"},
        {"strides": 4, "padding": ((3, 2),), "input_dilation": 3},
        {"strides": 1, "padding": ((1, 0),), "input_dilation": 2},
        {"strides": 3, "padding": "CIRCULAR", "input_dilation": 2},
    ],
    ids=str,
)
def test_the_sizes_it_takes_are_those_that_conv_takes_to_its_inputs(
    settings: Any,
) -> None:
    kernel = jnp.ones((3, 1, 1))
    mode = settings.get("padding") == "CIRCULAR"  # has nothing to repeat at size 0
    sizes = {}
    for n in range(mode, 10):
        inputs = jnp.ones((1, n, 1))
        try:
            sizes[n] = jax.eval_shape(partial(conv, **settings), inputs, kernel).shape
        except ValueError:
            continue
    for shape in set(sizes.values()):
        for n in range(mode, 10):
            f = partial(conv_transpose, output_shape=(n,), **settings)
            if sizes.get(n) == shape:
                back = jax.eval_shape(f, jnp.ones(shape), kernel)
                assert back.shape == (1, n, 1)
            else:
                with pytest.raises(ValueError, match="output_shape: expected"):
                    jax.eval_shape(f, jnp.ones(shape), kernel)


def swapped(kernel: Any) -> Any:
    return np.swapaxes(kernel, -1, -2)


def test_with_a_stride_it_is_a_fractionally_strided_convolution() -> None:
    _, kernel, outputs, _ = draw("plain")
    with jax.enable_x64(True):
        back = jax.jit(partial(conv_transpose, strides=(2, 3), padding="VALID"))
        fractional = jax.jit(partial(convolve, input_dilation=(2, 3), padding="FULL"))
        np.testing.assert_allclose(
            back(outputs, kernel),
            fractional(outputs, swapped(kernel)),
            rtol=1e-12,
            atol=1e-12,
        )


def test_the_bias_is_added_to_every_position() -> None:
    _, kernel, outputs, settings = draw("strided")
    y, k = jnp.float32(outputs), jnp.float32(kernel)
    bias = jnp.asarray([1.0, -2.0])
    f = jax.jit(partial(conv_transpose, **settings))
    np.testing.assert_allclose(f(y, k, bias), f(y, k) + bias[None, None, None])


@pytest.mark.parametrize("preferred", [None, jnp.float32])
def test_bfloat16_outputs_are_off_by_their_own_rounding_only(preferred: Any) -> None:
    images, kernel, outputs, settings = draw("strided")
    y, k = (jnp.asarray(a, jnp.bfloat16) for a in (outputs, kernel))
    f = partial(conv_transpose, preferred_element_type=preferred, **settings)
    returned, pullback = jax.vjp(
        jax.jit(partial(f, output_shape=images.shape[1:-1])), y, k
    )
    assert returned.dtype == (preferred or jnp.bfloat16)
    assert [a.dtype for a in pullback(returned)] == [jnp.bfloat16, jnp.bfloat16]
    y, k = np.asarray(y, float), np.asarray(k, float)
    geometry = reference.keywords(images.shape[1:-1], k.shape[:-2], **settings)
    exact = reference.conv_transpose(y, k, images.shape[1:-1], **geometry)
    error = abs(np.asarray(returned, float) - exact)
    rounding = 2.0**-8 if preferred is None else 0
    assert (error <= rounding * abs(exact) + 1e-5).all()


@pytest.mark.parametrize("padding", ["SAME", "VALID", 1])
def test_an_empty_batch_and_an_empty_axis_give_empty_outputs(padding: Any) -> None:
    f = partial(conv_transpose, strides=2, padding=padding)
    kernel, bias = jnp.ones((3, 3, 2, 4)), jnp.ones(2)
    empty = f(jnp.ones((0, 3, 3, 4)), kernel, bias)
    assert empty.shape[::3] == (0, 2)
    assert f(jnp.ones((1, 0, 3, 4)), kernel, bias).shape[1] == 0
