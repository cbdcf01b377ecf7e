"""Locally connected and tiled convolution against loops, linen, and each other."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnn_jax.ops import PADDING_NAMES, conv, locally_connected, tiled_conv
from tests import reference
from tests.derivatives import check_derivatives

# spatial, window, settings
GRID = [
    ((7,), (3,), {"strides": 2}),
    ((7,), (3,), {"padding": "CIRCULAR"}),
    ((5, 4), (3, 2), {}),
    ((5, 4), (2, 3), {"padding": "VALID", "kernel_dilation": (2, 1)}),
    ((5, 4), (2, 3), {"padding": ((1, 0), (2, 1)), "strides": (1, 2)}),
    ((3, 4, 3), (2, 2, 2), {"padding": "CIRCULAR", "strides": (1, 2, 1)}),
]


def normal(*shape: int) -> jax.Array:
    return jnp.float32(np.random.default_rng(11).normal(size=shape))


@pytest.mark.parametrize(("spatial", "window", "settings"), GRID)
def test_locally_connected_is_linens_conv_local(
    spatial: Any, window: Any, settings: Any
) -> None:
    inputs = normal(2, *spatial, 3)
    layer = nn.ConvLocal(4, window, **settings)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), inputs)
    variables = jax.tree.map(lambda leaf: normal(*leaf.shape), shapes)
    outputs = jax.jit(layer.apply)(variables, inputs)
    f = jax.jit(partial(locally_connected, window_shape=window, **settings))
    params = variables["params"]
    ours = f(inputs, params["kernel"], params["bias"])
    np.testing.assert_allclose(ours, outputs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("tiles", [(1, 1), (2, 3), (3, 1), (9, 9)])
@pytest.mark.parametrize("padding", ["VALID", "CIRCULAR", "REPLICATE"])
def test_tiled_convolution_computes_the_definition(tiles: Any, padding: str) -> None:
    inputs, kernel = normal(2, 6, 7, 2), normal(*tiles, 3, 2, 2, 3)
    outputs = jax.jit(partial(tiled_conv, strides=(2, 1), padding=padding))(
        inputs, kernel
    )
    axes = (6, 7), (3, 2), (2, 1), (1, 1)
    mode, pairs = reference.border(padding, *axes)
    expected = reference.local(
        np.asarray(inputs),
        np.asarray(kernel),
        strides=(2, 1),
        mode=mode,
        pairs=pairs,
        kernel_dilation=(1, 1),
    )
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("spatial", "window", "settings"), GRID)
def test_one_tile_is_a_convolution(spatial: Any, window: Any, settings: Any) -> None:
    inputs, kernel, bias = normal(2, *spatial, 3), normal(*window, 3, 4), normal(4)
    one = kernel.reshape((1,) * len(window) + kernel.shape)
    tiled = jax.jit(partial(tiled_conv, **settings))(inputs, one, bias)
    shared = jax.jit(partial(conv, algorithm="direct", **settings))
    np.testing.assert_allclose(
        tiled, shared(inputs, kernel, bias), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("spatial", "window", "settings"), GRID)
def test_as_many_tiles_as_outputs_are_locally_connected(
    spatial: Any, window: Any, settings: Any
) -> None:
    inputs, rank = normal(2, *spatial, 3), len(window)
    shape = jax.eval_shape(
        partial(conv, **settings), inputs, normal(*window, 3, 4)
    ).shape
    kernel, bias = normal(*shape[1:-1], *window, 3, 4), normal(4)
    channel_first = jnp.moveaxis(kernel, -2, rank)
    flat = channel_first.reshape(*shape[1:-1], -1, 4)
    local = jax.jit(partial(locally_connected, window_shape=window, **settings))
    tiled = jax.jit(partial(tiled_conv, **settings))
    np.testing.assert_allclose(
        tiled(inputs, kernel, bias), local(inputs, flat, bias), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("padding", [p for p in PADDING_NAMES if p != "CAUSAL"])
def test_equal_kernels_everywhere_are_a_convolution(padding: str) -> None:
    inputs, kernel = normal(2, 6, 5, 2), normal(3, 2, 2, 4)
    settings: Any = {"padding": padding, "kernel_dilation": (1, 2)}
    shared = jax.jit(partial(conv, algorithm="direct", **settings))(inputs, kernel)
    flat = kernel.transpose(2, 0, 1, 3).reshape(-1, 4)
    everywhere = jnp.broadcast_to(flat, (*shared.shape[1:-1], *flat.shape))
    local = jax.jit(partial(locally_connected, window_shape=(3, 2), **settings))
    np.testing.assert_allclose(local(inputs, everywhere), shared, rtol=1e-5, atol=1e-5)


def test_input_dilation_moves_the_inputs_apart() -> None:
    inputs, kernel = normal(2, 4, 2), normal(2, 3, 2, 3)
    apart = jnp.float32(reference.spread(np.asarray(inputs), (3,)))
    np.testing.assert_allclose(
        jax.jit(partial(tiled_conv, input_dilation=3))(inputs, kernel),
        jax.jit(tiled_conv)(apart, kernel),
        rtol=1e-6,
        atol=1e-6,
    )
    flat = normal(10, 6, 3)
    local = partial(locally_connected, window_shape=(3,))
    np.testing.assert_allclose(
        jax.jit(partial(local, input_dilation=3))(inputs, flat),
        jax.jit(local)(apart, flat),
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_position_has_no_gradient_to_the_kernels_of_others() -> None:
    inputs = normal(1, 4, 2)

    def outputs(kernel: Any) -> Any:
        return locally_connected(inputs, kernel, window_shape=(3,)).sum((0, 2))

    influence = abs(jax.jit(jax.jacobian(outputs))(normal(4, 6, 3))).sum((2, 3))
    np.testing.assert_array_equal(influence > 0, np.eye(4, dtype=bool))


@pytest.mark.parametrize(
    "name",
    ["tiled_conv", pytest.param("locally_connected", marks=pytest.mark.exhaustive)],
)
def test_derivatives_of_both_orders_agree_with_differences(name: str) -> None:
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(2, 5, 2))
    if name == "tiled_conv":
        f, kernel = tiled_conv, rng.normal(size=(2, 3, 2, 2))
    else:
        f = partial(locally_connected, window_shape=(3,))
        kernel = rng.normal(size=(5, 6, 2))
    check_derivatives(f, (inputs, kernel, rng.normal(size=2)))


def test_volumes_have_gradients_under_two_vmaps() -> None:
    # Products of rank 7 that are summed crash jaxlib 0.10.2 on the CPU.
    inputs, kernel = normal(2, 2, 1, 6, 6, 6, 1), normal(2, 2, 2, 2, 2, 2, 2, 2, 1, 3)
    slope = jax.grad(lambda x, k: (tiled_conv(x, k) ** 2).sum(), (0, 1))
    slopes = jax.jit(jax.vmap(jax.vmap(slope)))(inputs, kernel)
    assert [a.shape for a in slopes] == [inputs.shape, kernel.shape]


def test_an_empty_batch_gives_empty_outputs() -> None:
    inputs = jnp.zeros((0, 5, 4, 2))
    assert tiled_conv(inputs, jnp.ones((2, 2, 3, 3, 2, 6))).shape == (0, 5, 4, 6)
    kernel = jnp.ones((5, 4, 18, 6))
    outputs = locally_connected(inputs, kernel, window_shape=(3, 3))
    assert outputs.shape == (0, 5, 4, 6)


def test_the_bias_of_a_locally_connected_layer_is_per_position_or_shared() -> None:
    inputs, kernel = jnp.zeros((1, 3, 1)), jnp.zeros((3, 3, 2))
    local = partial(locally_connected, inputs, kernel, window_shape=(3,))
    positions = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(local(positions)[0], positions)
    assert local(jnp.asarray([1.0, 2.0]))[0].tolist() == [[1, 2]] * 3


@pytest.mark.parametrize(
    ("inputs", "kernel", "bias", "message"),
    [
        ((5, 1), (5, 3, 2), None, r"inputs: expected rank 3 to 5"),
        (
            (1, 5, 2),
            (5, 3, 4),
            None,
            r"kernel: expected \(5, 6\) \+ \(features,\), the output's size and 2 "
            r"channels x window \(3,\), got \(5, 3, 4\)",
        ),
        (
            (1, 5, 2),
            (5, 6, 4),
            (5,),
            r"bias: expected shape \(5, 4\) or \(4,\), got \(5,\)",
        ),
        ((1, 0, 2), (0, 6, 4), None, r"kernel larger than the padded input"),
    ],
)
def test_what_does_not_fit_a_locally_connected_layer_is_named(
    inputs: Any, kernel: Any, bias: Any, message: str
) -> None:
    bias = None if bias is None else jnp.ones(bias)
    with pytest.raises(ValueError, match=message):
        locally_connected(jnp.ones(inputs), jnp.ones(kernel), bias, window_shape=(3,))


@pytest.mark.parametrize(
    ("inputs", "kernel", "bias", "message"),
    [
        ((5, 1), (1, 3, 1, 2), None, r"inputs: expected rank 3 to 5"),
        (
            (1, 5, 2),
            (3, 2, 4),
            None,
            r"kernel: expected rank 4, \[\*tiles, \*window, C, O\] .* got \(3, 2, 4\)",
        ),
        (
            (1, 5, 2),
            (0, 3, 2, 4),
            None,
            r"tiles and window >= 1, .* got \(0, 3, 2, 4\)",
        ),
        ((1, 5, 2), (1, 3, 3, 4), None, r"kernel: expected 2 channels, .* got 3 in"),
        ((1, 5, 2), (1, 3, 2, 4), (5,), r"bias: expected shape \(4,\), got \(5,\)"),
    ],
)
def test_what_does_not_fit_a_tiled_convolution_is_named(
    inputs: Any, kernel: Any, bias: Any, message: str
) -> None:
    bias = None if bias is None else jnp.ones(bias)
    with pytest.raises(ValueError, match=message):
        tiled_conv(jnp.ones(inputs), jnp.ones(kernel), bias)


def test_a_window_larger_than_the_padded_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 2 positions .* got 3"):
        tiled_conv(jnp.ones((1, 2, 1)), jnp.ones((1, 3, 1, 1)), padding="VALID")
