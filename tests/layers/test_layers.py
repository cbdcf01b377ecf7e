"""Layers against flax.linen's own: parameters bit for bit, outputs to rounding."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers, ops
from tests.trees import assert_same_trees, drawn_like

KEY = jax.random.key(3)


def draw(*shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


def apply(module, variables, inputs):
    return np.asarray(jax.jit(module.apply)(variables, inputs))


def check_twins(ours, theirs, inputs, tolerance=None):
    """Same tree of variables, same outputs; returns ours."""
    shapes = jax.eval_shape(ours.init, KEY, inputs)
    assert shapes == jax.eval_shape(theirs.init, KEY, inputs)

    @jax.jit
    def both(variables):
        return ours.apply(variables, inputs), theirs.apply(variables, inputs)

    outputs, expected = both(drawn_like(shapes))
    assert outputs.shape == expected.shape
    assert outputs.dtype == expected.dtype
    if tolerance is None:
        tolerance = 1e-5 if outputs.dtype == jnp.float32 else 5e-2
    np.testing.assert_allclose(
        outputs.astype(jnp.float32),
        expected.astype(jnp.float32),
        rtol=tolerance,
        atol=10 * tolerance,
    )
    return outputs


SHARED = [
    {},
    {"strides": 2},
    {"strides": (2, 1), "padding": "VALID"},
    {"strides": None, "input_dilation": None, "kernel_dilation": None},
    {"padding": "CIRCULAR"},
    {"padding": "CIRCULAR", "strides": 2, "kernel_dilation": (1, 2)},
    {"padding": "REFLECT", "kernel_size": (3, 2)},
    {"padding": 2},
    {"padding": (1, (0, 2))},
    {"padding": ((1, 2), (0, 1)), "input_dilation": 2},
    {"kernel_dilation": 2},
    {"use_bias": False},
    {"precision": jax.lax.Precision.HIGHEST},
]


@pytest.mark.parametrize("fields", SHARED, ids=str)
def test_conv_equals_linen_conv(fields):
    fields = {"features": 6, "kernel_size": (3, 3)} | fields
    check_twins(layers.Conv(**fields), nn.Conv(**fields), draw(2, 7, 8, 4))


@pytest.mark.parametrize("fields", SHARED[1::2], ids=str)
def test_conv_local_equals_linen_conv_local(fields):
    fields = {"features": 3, "kernel_size": (3, 3)} | fields
    inputs = draw(2, 5, 6, 2)
    check_twins(layers.ConvLocal(**fields), nn.ConvLocal(**fields), inputs)


@pytest.mark.parametrize("groups", [2, 4])
def test_conv_equals_linen_conv_with_groups(groups):
    fields = {"features": 8, "kernel_size": (3, 3), "feature_group_count": groups}
    check_twins(layers.Conv(**fields), nn.Conv(**fields), draw(2, 5, 6, 4))


@pytest.mark.parametrize("kind", ["Conv", "ConvLocal"])
def test_layers_equal_linen_over_one_and_three_axes(kind):
    ours, theirs = getattr(layers, kind), getattr(nn, kind)
    causal = {"features": 3, "kernel_size": 4, "padding": "CAUSAL"}
    check_twins(ours(**causal), theirs(**causal), draw(2, 9, 2))
    plain = {"features": 3, "kernel_size": (2, 1, 3), "strides": (1, 2, 1)}
    check_twins(ours(**plain), theirs(**plain), draw(1, 4, 3, 4, 2))


@pytest.mark.parametrize("kind", ["Conv", "ConvLocal"])
@pytest.mark.parametrize("batch", [(), (2, 3), (1, 2, 2)], ids=str)
def test_layers_take_any_number_of_batch_axes(batch, kind):
    fields = {"features": 3, "kernel_size": (3, 3)}
    ours, theirs = getattr(layers, kind)(**fields), getattr(nn, kind)(**fields)
    outputs = check_twins(ours, theirs, draw(*batch, 5, 6, 2))
    assert outputs.shape == (*batch, 5, 6, 3)


@pytest.mark.parametrize("layer", [layers.Conv, layers.ConvLocal])
def test_layers_take_an_empty_batch(layer):
    outputs = jax.eval_shape(layer(3, (3, 3)).init_with_output, KEY, draw(0, 5, 6, 2))
    assert outputs[0].shape == (0, 5, 6, 3)


@pytest.mark.parametrize("kind", ["Conv", "ConvLocal"])
@pytest.mark.parametrize(
    ("fields", "inputs_dtype"),
    [
        ({"dtype": jnp.bfloat16}, jnp.float32),
        ({"param_dtype": jnp.bfloat16}, jnp.bfloat16),
        ({"param_dtype": jnp.bfloat16, "dtype": jnp.float32}, jnp.float32),
        ({}, jnp.bfloat16),
    ],
    ids=str,
)
def test_layers_compute_in_linens_dtypes(fields, inputs_dtype, kind):
    fields = {"features": 3, "kernel_size": (3, 3)} | fields
    with jax.numpy_dtype_promotion("standard"):  # flax's own promotion needs it
        inputs = draw(2, 4, 5, 2, dtype=inputs_dtype)
        check_twins(
            getattr(layers, kind)(**fields), getattr(nn, kind)(**fields), inputs
        )


@pytest.mark.parametrize(
    ("kind", "shape"), [("Conv", (3, 3, 2, 4)), ("ConvLocal", (4, 5, 18, 4))]
)
def test_a_mask_multiplies_the_kernel_as_in_linen(kind, shape):
    mask = jnp.asarray(np.random.default_rng(1).random(shape) > 0.5, jnp.float32)
    fields = {"features": 4, "kernel_size": (3, 3), "mask": mask}
    inputs = draw(1, 4, 5, 2)
    masked = check_twins(
        getattr(layers, kind)(**fields), getattr(nn, kind)(**fields), inputs
    )
    free = getattr(layers, kind)(4, (3, 3))
    variables = drawn_like(jax.eval_shape(free.init, KEY, inputs))
    assert not np.allclose(masked, apply(free, variables, inputs))


def test_layers_have_linens_fields_defaults_and_order():
    hooks = {"conv_general_dilated", "conv_general_dilated_cls"}
    for kind, extra in (("Conv", {"algorithm"}), ("ConvLocal", set())):
        ours = getattr(layers, kind).__dataclass_fields__
        theirs = getattr(nn, kind).__dataclass_fields__
        assert [name for name in ours if name not in extra] == [
            name for name in theirs if name not in hooks
        ]
        for name in ("strides", "padding", "use_bias", "mask", "dtype", "param_dtype"):
            assert ours[name].default == theirs[name].default


class Several(nn.Module):
    """Layers in turn; those without a name get it from their class."""

    conv: type[nn.Module]
    local: type[nn.Module]

    @nn.compact
    def __call__(self, inputs):
        hidden = self.conv(features=4, kernel_size=(3, 3))(inputs)
        hidden = self.conv(features=4, kernel_size=(3, 3), feature_group_count=2)(
            hidden
        )
        narrow = self.conv(features=2, kernel_size=(2, 1), param_dtype=jnp.bfloat16)
        random = nn.initializers.normal()
        local = self.local(2, (2, 2), strides=2, bias_init=random, name="named")
        return local(narrow(hidden))


def test_initial_draws_are_linens_bit_for_bit():
    ours, theirs = (
        Several(layers.Conv, layers.ConvLocal),
        Several(nn.Conv, nn.ConvLocal),
    )

    @jax.jit
    def params(inputs):
        return ours.init(KEY, inputs), theirs.init(KEY, inputs)

    with jax.numpy_dtype_promotion("standard"):  # flax's own promotion needs it
        found, expected = params(draw(1, 4, 5, 4))
    assert set(found["params"]) == {"Conv_0", "Conv_1", "Conv_2", "named"}
    assert_same_trees(found, expected)


def test_the_algorithm_is_a_field_of_conv(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_JAX_CACHE", str(tmp_path))  # for what autotune measures
    inputs = draw(2, 6, 6, 2)
    direct = layers.Conv(3, (3, 3), algorithm="direct")
    variables = drawn_like(jax.eval_shape(direct.init, KEY, inputs))
    expected = apply(direct, variables, inputs)
    # How winograd4 rounds is a matter of the processor: 1.4e-5 of 4.4 were seen.
    tolerance = 1e-5 * np.abs(expected).max()
    for algorithm in ops.ALGORITHM_NAMES:
        module = layers.Conv(3, (3, 3), algorithm=algorithm)
        np.testing.assert_allclose(
            apply(module, variables, inputs),
            expected,
            atol=tolerance,
            err_msg=algorithm,
        )


def test_an_algorithm_reaches_the_operation():
    with pytest.raises(ValueError, match="algorithm: expected one of"):
        jax.eval_shape(layers.Conv(3, 3, algorithm="magic").init, KEY, draw(1, 4, 1))


def test_tiled_conv_applies_the_operation_to_its_parameters():
    inputs = draw(2, 3, 6, 7, 2)
    module = layers.TiledConv(4, (3, 3), tiles=(2, 3), padding="CIRCULAR")
    params = drawn_like(jax.eval_shape(module.init, KEY, inputs))["params"]
    assert params["kernel"].shape == (2, 3, 3, 3, 2, 4)
    assert params["bias"].shape == (4,)
    merged = inputs.reshape(6, 6, 7, 2)
    conv = jax.jit(functools.partial(ops.tiled_conv, padding="CIRCULAR"))
    expected = conv(merged, params["kernel"], params["bias"])
    outputs = apply(module, {"params": params}, inputs)
    np.testing.assert_allclose(outputs, expected.reshape(2, 3, 6, 7, 4), atol=1e-5)


def test_one_tile_is_conv():
    inputs = draw(2, 6, 7, 2)
    module = layers.TiledConv(4, (3, 3), tiles=1, strides=2)
    params = drawn_like(jax.eval_shape(module.init, KEY, inputs))["params"]
    shared = {"params": params | {"kernel": params["kernel"][0, 0]}}
    expected = apply(layers.Conv(4, (3, 3), strides=2), shared, inputs)
    outputs = apply(module, {"params": params}, inputs)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_each_tile_is_a_draw_of_its_own_as_for_conv():
    def show_key(key, shape, dtype):
        assert shape == (3, 2, 5, 4)  # what Conv would draw, fan-in included
        return jnp.broadcast_to(jax.random.key_data(key)[-1].astype(dtype), shape)

    tiled = layers.TiledConv(4, (3, 2), tiles=(2, 3), kernel_init=show_key)
    kernels = jax.jit(tiled.init)(KEY, draw(1, 6, 6, 5))["params"]["kernel"]
    assert len(np.unique(kernels.reshape(6, -1), axis=0)) == 6


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (layers.Conv(4, (3, 3)), (5, 3), "[..., 2 spatial axes, C] for kernel_size"),
        (
            layers.Conv(4, (3, 3), feature_group_count=2),
            (1, 5, 5, 3),
            "feature_group_count: expected a divisor of 3 channels, got 2",
        ),
        (
            layers.ConvLocal(4, (3, 3), feature_group_count=2),
            (1, 5, 5, 4),
            "feature_group_count: expected 1 in ConvLocal, got 2",
        ),
        (
            layers.Conv(4, (3, 3), mask=jnp.ones((3, 3))),
            (1, 5, 5, 3),
            "mask: expected the kernel's shape (3, 3, 3, 4), got (3, 3)",
        ),
        (layers.Conv(4, (3, 3), strides=0), (1, 5, 5, 3), "strides: expected one"),
        (layers.Conv(4, (3, 0)), (1, 5, 5, 3), "kernel_size: expected one integer"),
        (
            layers.TiledConv(4, (3, 3), tiles=(2, 2, 2)),
            (1, 5, 5, 3),
            "tiles: expected one integer >= 1 or 2 of them",
        ),
        (layers.Conv(4, (7, 7), padding="VALID"), (1, 5, 5, 3), "got 7"),
    ],
)
def test_a_wrong_field_is_answered_with_what_was_expected_and_got(
    module, shape, message
):
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.eval_shape(module.init, KEY, draw(*shape))
