"""Transposed, depthwise and separable layers, and every layer inside flax.nnx."""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnn_jax import layers, ops
from tests.layers.test_layers import KEY, apply, check_twins, draw
from tests.trees import assert_same_trees, drawn_like

TRANSPOSED = [
    {},
    {"strides": (2, 3)},
    {"strides": (3, 1), "kernel_size": (2, 5)},
    {"strides": (4, 3), "padding": "VALID", "kernel_size": (2, 4)},
    {"strides": (1, 2), "padding": "CIRCULAR", "kernel_size": (4, 3)},
    {"strides": (2, 1), "padding": "CIRCULAR", "transpose_kernel": True},
    {"padding": "CIRCULAR", "kernel_size": (4, 2), "transpose_kernel": True},
    {"strides": (2, 1), "padding": ((3, 0), (1, 2)), "kernel_dilation": (1, 2)},
    {"strides": (2, 2), "padding": 1, "transpose_kernel": True},
    {"kernel_dilation": (2, 1), "use_bias": False, "strides": (1, 3)},
]


@pytest.mark.parametrize("fields", TRANSPOSED, ids=str)
def test_conv_transpose_equals_linen_conv_transpose(fields):
    fields = {"features": 3, "kernel_size": (3, 3)} | fields
    inputs = draw(2, 4, 3, 2)
    check_twins(layers.ConvTranspose(**fields), nn.ConvTranspose(**fields), inputs)


def test_conv_transpose_equals_linen_over_one_and_three_axes_and_any_batch():
    for kernel_size, strides, shape in [
        (3, (2,), (5, 2)),
        ((2, 3, 2), (1, 2, 1), (2, 1, 3, 2, 2, 2)),
    ]:
        ours = layers.ConvTranspose(3, kernel_size, strides)
        check_twins(ours, nn.ConvTranspose(3, kernel_size, strides), draw(*shape))


def test_conv_transpose_computes_in_linens_dtypes():
    wide: dict[str, Any] = {
        "dtype": jnp.bfloat16,
        "preferred_element_type": jnp.float32,
    }
    with jax.numpy_dtype_promotion("standard"):  # flax's own promotion needs it
        for dtypes in (wide, {"param_dtype": jnp.bfloat16}):
            ours = layers.ConvTranspose(3, (3,), (2,), **dtypes)
            theirs = nn.ConvTranspose(3, (3,), (2,), **dtypes)
            # cuDNN rounds a sum of bfloat16 products that is asked for in float32.
            rounded = jax.default_backend() != "cpu" and "dtype" in dtypes
            check_twins(ours, theirs, draw(1, 4, 2), 5e-3 if rounded else None)


def test_conv_transpose_has_linens_fields_in_order_and_its_draws():
    ours, theirs = layers.ConvTranspose, nn.ConvTranspose
    names = list(ours.__dataclass_fields__)
    assert [name for name in names if name != "algorithm"] == list(
        theirs.__dataclass_fields__
    )
    inputs = draw(1, 4, 2)

    class Unnamed(nn.Module):
        kind: type[nn.Module]

        @nn.compact
        def __call__(self, inputs):
            return self.kind(features=3, kernel_size=(3,))(inputs)

    found, expected = jax.jit(
        lambda x: (Unnamed(ours).init(KEY, x), Unnamed(theirs).init(KEY, x))
    )(inputs)
    assert set(found["params"]) == {"ConvTranspose_0"}
    assert_same_trees(found, expected)


def test_a_transposed_kernel_makes_the_adjoint_of_conv():
    inputs, outputs = draw(1, 6, 2), draw(1, 2, 3)
    conv = layers.Conv(3, 3, strides=3, padding="VALID", use_bias=False)
    back = layers.ConvTranspose(
        2, 3, strides=3, padding="VALID", use_bias=False, transpose_kernel=True
    )
    variables = drawn_like(jax.eval_shape(conv.init, KEY, inputs))
    there = apply(conv, variables, inputs)
    returned = apply(back, variables, outputs)
    left, right = np.vdot(there, outputs), np.vdot(inputs, returned)
    np.testing.assert_allclose(left, right, rtol=1e-5)


class Linens(nn.Module):
    """Depthwise and separable layers made of flax.linen's Conv."""

    multiplier: int
    strides: int

    @nn.compact
    def __call__(self, inputs):
        channels = inputs.shape[-1]
        hidden = nn.Conv(
            channels * self.multiplier,
            (3, 2),
            strides=self.strides,
            feature_group_count=channels,
            use_bias=False,
            name="depthwise",
        )(inputs)
        return nn.Conv(4, (1, 1), name="pointwise")(hidden)


def test_separable_conv_is_two_of_linens_layers_draws_included():
    inputs = draw(2, 5, 4, 3)
    ours = layers.SeparableConv(4, (3, 2), strides=2, multiplier=2)
    theirs = Linens(multiplier=2, strides=2)

    @jax.jit
    def both(inputs):
        found, expected = ours.init(KEY, inputs), theirs.init(KEY, inputs)
        params: Any = found["params"]
        kernels = [params[step]["kernel"] for step in ("depthwise", "pointwise")]
        by_operation = ops.separable_conv(inputs, kernels[0], kernels[1], strides=2)
        outputs = ours.apply(found, inputs), theirs.apply(expected, inputs)
        return (found, expected), (*outputs, by_operation)

    (found, expected), outputs = both(inputs)
    assert found["params"]["pointwise"]["bias"].shape == (4,)
    assert_same_trees(found, expected)
    for others in outputs[1:]:  # the bias is drawn as zero
        np.testing.assert_allclose(outputs[0], others, atol=1e-5)


def test_depthwise_conv_is_conv_with_as_many_groups_as_channels():
    fields = {"features": 6, "kernel_size": (3, 2), "padding": "CIRCULAR"}
    grouped = nn.Conv(feature_group_count=3, **fields)
    check_twins(layers.DepthwiseConv(**fields), grouped, draw(2, 2, 5, 4, 3))


KINDS = [
    layers.Conv(4, (3,), strides=2),
    layers.ConvTranspose(4, (3,), strides=2),
    layers.ConvLocal(4, (3,)),
    layers.DepthwiseConv(4, (3,)),
    layers.SeparableConv(4, (3,)),
    layers.TiledConv(4, (3,), tiles=2),
]


@pytest.mark.parametrize("layer", KINDS, ids=lambda layer: type(layer).__name__)
def test_every_layer_serves_flax_nnx(layer):
    inputs = draw(2, 5, 2)
    layer = layer.clone(kernel_init=nn.initializers.constant(0.5))  # compiles little
    model = nnx.bridge.ToNNX(layer, rngs=nnx.Rngs(0)).lazy_init(inputs)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))

    def loss(outputs):
        return (outputs**2).sum()

    @nnx.jit
    def both(model, params):
        theirs = nnx.value_and_grad(lambda model: loss(model(inputs)))(model)
        ours = jax.value_and_grad(lambda p: loss(layer.apply({"params": p}, inputs)))
        return theirs, ours(params)

    (value, slopes), expected = both(model, params)
    found = (value, nnx.to_pure_dict(slopes))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for left, right in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (
            layers.DepthwiseConv(4, (3,)),
            (1, 5, 3),
            "features: expected a multiple of 3 channels, got 4",
        ),
        (
            layers.SeparableConv(4, (3,), feature_group_count=3),
            (1, 5, 3),
            "feature_group_count: expected 1 in SeparableConv, got 3",
        ),
        (
            layers.ConvTranspose(4, (3,), padding="REFLECT"),
            (1, 5, 3),
            "padding: expected SAME, VALID, CIRCULAR, an integer, or one integer or "
            "pair (low, high) per axis, got 'REFLECT'",
        ),
        (layers.ConvTranspose(4, (3,), strides=0), (1, 5, 3), "strides: expected one"),
        (
            layers.ConvTranspose(4, (5,), padding=0),
            (1, 3, 3),
            "kernel larger than the padded input",
        ),
    ],
)
def test_a_wrong_field_is_answered_with_what_was_expected_and_got(
    module, shape, message
):
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.eval_shape(module.init, KEY, draw(*shape))
