"""LeNet: its shapes, its activations, and what its fields exchange."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers, ops
from cnn_jax.models import LeNet
from tests.trees import assert_same_trees, drawn_like

KEY = jax.random.key(0)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape), jnp.float32)


IMAGES = draw(3, 32, 32, 1)


def drawn(model, images=IMAGES):
    """Parameters of the model's shapes."""
    params = drawn_like(sketch(model, images)[2])
    return jax.tree.map(lambda leaf: leaf * np.prod(leaf.shape[:-1]) ** -0.5, params)


def run(model, params, images=IMAGES):
    """logits, activations"""
    return jax.jit(model.apply)({"params": params}, images)


def sketch(model, images=IMAGES):
    """Shapes of (logits, activations) and parameters."""
    outputs, variables = jax.eval_shape(model.init_with_output, KEY, images)
    return *outputs, variables["params"]


def shapes(activations):
    return {name: values.shape[1:] for name, values in activations.items()}


def test_the_default_network_has_lenets_shapes():
    logits, activations, params = sketch(LeNet())
    assert logits.shape == (3, 10)
    assert shapes(activations) == {
        "conv1": (32, 32, 6),
        "active1": (32, 32, 6),
        "pool1": (16, 16, 6),
        "conv2": (16, 16, 16),
        "active2": (16, 16, 16),
        "pool2": (8, 8, 16),
        "head": (1024,),
        "dense1": (120,),
        "dense2": (84,),
    }
    assert params["conv1"]["kernel"].shape == (5, 5, 1, 6)
    assert params["logits"]["kernel"].shape == (84, 10)


def test_lenet_5s_own_sizes_come_out_with_its_padding():
    _, activations, params = sketch(LeNet(padding="VALID"))
    assert activations["pool2"].shape == (3, 5, 5, 16)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 61_706


def test_linens_conv_is_a_one_word_exchange():
    ours, theirs = LeNet(), LeNet(conv=nn.Conv)
    params = drawn(ours)
    assert sketch(ours) == sketch(theirs)
    assert_same_trees(run(ours, params), run(theirs, params), 1e-4, 1e-5)


def test_linens_conv_draws_the_same_parameters():
    small = functools.partial(LeNet, (2,), (2, 2), (), 2)

    @jax.jit
    def params(images):
        return small().init(KEY, images), small(conv=nn.Conv).init(KEY, images)

    assert_same_trees(*params(draw(1, 4, 4, 1)))


def test_the_gradient_equals_that_with_linens_conv():
    params = drawn(LeNet())

    def loss(model, params):
        return jnp.sum(model.apply({"params": params}, IMAGES)[0] ** 2)

    gradients = [
        jax.jit(jax.grad(functools.partial(loss, model)))(params)
        for model in (LeNet(), LeNet(conv=nn.Conv))
    ]
    assert_same_trees(*gradients, rtol=1e-3, atol=1e-4)


def test_the_strided_twin_has_the_same_parameters_and_map_sizes():
    _, pooled, pooled_params = sketch(LeNet())
    _, strided, params = sketch(LeNet(pool=None, conv_strides=2))
    assert params == pooled_params
    assert "pool1" not in strided
    assert strided["conv1"].shape == pooled["pool1"].shape
    assert strided["head"].shape == pooled["head"].shape


def test_activations_are_those_of_the_computation():
    model = LeNet(activation=jnp.tanh)
    params = drawn(model)
    logits, activations = run(model, params)
    np.testing.assert_allclose(
        activations["active1"], np.tanh(activations["conv1"]), rtol=1e-5, atol=1e-6
    )
    pooled = ops.max_pool(activations["active2"], (2, 2), (2, 2))
    np.testing.assert_array_equal(activations["pool2"], pooled)
    np.testing.assert_array_equal(activations["head"], pooled.reshape(3, -1))
    last = params["logits"]
    by_hand = np.asarray(activations["dense2"]) @ last["kernel"] + last["bias"][None]
    np.testing.assert_allclose(logits, by_hand, rtol=1e-5, atol=1e-5)


def test_the_global_head_averages_positions_and_takes_any_image_size():
    model = LeNet(head="global", dense=())
    params = drawn(model)
    assert set(params) == {"conv1", "conv2", "logits"}
    images = draw(2, 20, 28, 1)
    logits, activations = run(model, params, images)
    assert logits.shape == (2, 10)
    expected = activations["pool2"].mean((1, 2))
    np.testing.assert_allclose(activations["head"], expected, rtol=1e-5, atol=1e-6)


def test_widths_and_depth_are_fields():
    model = LeNet(features=(4, 5, 6), kernel_size=(3, 3), dense=(7,), num_classes=3)
    logits, activations, _ = sketch(model)
    assert logits.shape == (3, 3)
    assert activations["conv3"].shape == (3, 8, 8, 6)
    assert activations["dense1"].shape == (3, 7)


def test_any_pool_and_any_layer_class_can_be_put_in():
    blur, choose = lambda x: ops.blur_pool(x, 2), lambda x: ops.polyphase_pool(x, 2)
    tiled = functools.partial(layers.TiledConv, tiles=2)
    for pool, conv in ((blur, layers.ConvLocal), (choose, tiled)):
        logits, activations, _ = sketch(LeNet(pool=pool, conv=conv))
        assert logits.shape == (3, 10)
        assert activations["pool2"].shape == (3, 8, 8, 16)


def test_circular_convolutions_with_polyphase_pooling_ignore_circular_shifts():
    model = LeNet(
        pool=lambda x: ops.polyphase_pool(x, 2), padding="CIRCULAR", head="global"
    )
    image = draw(1, 16, 16, 1)
    shifts = [(0, 0), (1, 0), (2, 3), (15, 6)]
    moved = jnp.concatenate([jnp.roll(image, shift, (1, 2)) for shift in shifts])
    logits, _ = run(model, drawn(model, image), moved)
    expected = np.broadcast_to(logits[:1], logits.shape)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_model_is_hashable_and_equal_to_its_copy():
    assert hash(LeNet()) == hash(LeNet())
    assert LeNet(pool=None, conv_strides=2) == LeNet(pool=None, conv_strides=2)
    assert LeNet() != LeNet(head="global")


def test_an_empty_batch_gives_no_logits():
    assert sketch(LeNet(), IMAGES[:0])[0].shape == (0, 10)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (
            LeNet(head="mean"),
            (1, 8, 8, 1),
            "expected 'flatten' or 'global', got 'mean'",
        ),
        (LeNet(), (8, 8, 1), "images: expected [N, H, W, C], got (8, 8, 1)"),
    ],
)
def test_a_wrong_field_or_shape_is_answered_with_what_was_expected(
    model, shape, message
):
    with pytest.raises(ValueError, match=re.escape(message)):
        model.init(KEY, draw(*shape))
