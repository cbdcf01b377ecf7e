"""ResNet: the reference's sizes, its shortcuts, and what its fields exchange."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers, ops
from cnn_jax.models import ResNet, TrainingBatchNorm
from tests.trees import assert_same_trees, drawn_like

KEY = jax.random.key(0)
SMALL = functools.partial(ResNet, 8, features=(2, 3, 4), num_classes=3)


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


IMAGES = draw(4, 5, 6, 1)


def sketch(model, images):
    """Shapes of (logits, activations) and variables."""
    outputs, variables = jax.eval_shape(model.init_with_output, KEY, images)
    return *outputs, variables


def drawn(model, images=IMAGES):
    """Parameters of the model's shapes."""
    params = drawn_like(sketch(model, images)[2]["params"])
    return jax.tree.map(lambda leaf: leaf / 2, params)


def run(model, params, images=IMAGES):
    """logits, activations"""
    return jax.jit(model.apply)({"params": params}, images)


def num_params(model, channels=3):
    variables = sketch(model, jnp.zeros((1, 32, 32, channels)))[2]
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("depth", "millions"),
    [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")],
)
def test_the_number_of_parameters_rounds_to_what_the_paper_prints(depth, millions):
    digits = len(millions.partition(".")[2])
    assert f"{num_params(ResNet(depth)) / 1e6:.{digits}f}" == millions


def test_the_number_of_parameters_is_that_of_the_closed_form():
    kernels = [(3, 16), *[(16, 16)] * 6, (16, 32), *[(32, 32)] * 5]
    kernels += [(32, 64), *[(64, 64)] * 5]
    convolutions = sum(9 * before * after for before, after in kernels)
    norms = sum(2 * after for _, after in kernels)
    assert num_params(ResNet()) == convolutions + norms + 65 * 10
    assert num_params(ResNet(residual=False)) == num_params(ResNet())
    biases = norms // 2
    assert num_params(ResNet(norm=None)) == convolutions + biases + 65 * 10
    projections = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert (
        num_params(ResNet(shortcut="projection")) - num_params(ResNet()) == projections
    )


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(32, (32, 16, 8)), (28, (28, 14, 7)), (8, (8, 4, 2)), (1, (1,) * 3)],
)
def test_every_layers_output_is_an_activation(size, sizes):
    logits, activations, variables = sketch(ResNet(14), jnp.zeros((2, size, size, 1)))
    assert logits.shape == (2, 10)
    assert set(variables) == {"params"}
    assert set(activations) == {"head", *(f"layer{n}" for n in range(1, 14))}
    stages = [1] + [stage for stage in (1, 2, 3) for _ in range(4)]
    for number, stage in enumerate(stages, start=1):
        shape = activations[f"layer{number}"].shape
        assert shape == (2, *[sizes[stage - 1]] * 2, 8 * 2**stage)
    assert activations["head"].shape == (2, 64)


def by_hand(params, images, residual, shortcut):
    """The equations of the docstring for depth 8, with stock flax.linen parts."""

    def convolve(inputs, name, strides):
        kernel = params[f"{name}_conv"]["kernel"]
        size = kernel.shape[0]
        conv = nn.Conv(
            kernel.shape[-1], (size, size), strides, size // 2, use_bias=False
        )
        outputs = conv.apply({"params": {"kernel": kernel}}, inputs)
        zeros = jnp.zeros(kernel.shape[-1])
        variables = {
            "params": params[f"{name}_norm"],
            "batch_stats": {"mean": zeros, "var": zeros},
        }
        norm = nn.BatchNorm(use_running_average=False, use_fast_variance=False)
        return norm.apply(variables, outputs, mutable=["batch_stats"])[0]

    hidden = nn.relu(convolve(images, "layer1", 1))
    for block, strides in enumerate((1, 2, 2), start=1):
        inner = nn.relu(convolve(hidden, f"layer{2 * block}", strides))
        outputs = convolve(inner, f"layer{2 * block + 1}", 1)
        if residual and strides == 1:
            outputs += hidden
        elif residual and shortcut == "projection":
            outputs += convolve(hidden, f"shortcut{2 * block}", strides)
        elif residual:
            every = hidden[:, ::2, ::2]
            outputs = outputs.at[..., : every.shape[-1]].add(every)
        hidden = nn.relu(outputs)
    last = params["logits"]
    return hidden.mean((1, 2)) @ last["kernel"] + last["bias"][None]


@pytest.mark.parametrize(
    ("residual", "shortcut"), [(True, "pad"), (True, "projection"), (False, "pad")]
)
def test_the_network_is_the_equations(residual, shortcut):
    model = SMALL(residual=residual, shortcut=shortcut)
    params = drawn(model)
    logits, _ = run(model, params)
    expected = jax.jit(by_hand, static_argnums=(2, 3))(
        params, IMAGES, residual, shortcut
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_the_last_stage_sees_the_pixels_its_shortcut_keeps():
    """With kernels of zeros but the middle, a residual and its shortcut coincide."""
    model = SMALL(norm=None, features=(2, 2, 2), activation=lambda h: h)
    params = jax.tree.map(jnp.zeros_like, drawn(model))
    for name, layer in params.items():
        if name.endswith("_conv"):
            middle = jnp.eye(*layer["kernel"].shape[2:])
            layer["kernel"] = layer["kernel"].at[1, 1].set(middle)
    _, activations = run(model, params, draw(1, 8, 8, 1))
    outputs, before = activations["layer5"], activations["layer3"]
    np.testing.assert_allclose(outputs, 2 * before[:, ::2, ::2], rtol=1e-6)


def test_linens_conv_and_batch_norm_are_one_word_exchanges():
    theirs = functools.partial(nn.BatchNorm, use_running_average=False)
    ours, other = SMALL(), SMALL(conv=nn.Conv, norm=theirs)
    params = drawn(ours)
    variables = sketch(other, IMAGES)[2]
    assert set(variables) == {"params", "batch_stats"}
    assert variables["params"] == sketch(ours, IMAGES)[2]["params"]
    stats = jax.tree.map(lambda s: jnp.zeros(s.shape), variables["batch_stats"])
    apply = jax.jit(functools.partial(other.apply, mutable=["batch_stats"]))
    outputs, _ = apply({"params": params, "batch_stats": stats}, IMAGES)
    assert_same_trees(run(ours, params), outputs, 1e-3, 1e-4)


def test_group_norm_makes_images_independent_and_batch_norm_does_not():
    grouped = functools.partial(nn.GroupNorm, num_groups=1)
    for model, independent in ((SMALL(norm=grouped), True), (SMALL(), False)):
        classify = jax.jit(model.apply)
        variables = {"params": drawn(model)}
        first, _ = classify(variables, IMAGES)
        second, _ = classify(variables, IMAGES.at[2:].power(2))
        assert np.allclose(first[:2], second[:2], rtol=1e-4, atol=1e-5) == independent
        assert not np.allclose(first[2:], second[2:], rtol=1e-4, atol=1e-5)


def test_the_norm_by_the_batch_is_the_operation():
    module = TrainingBatchNorm(epsilon=0.1)
    scale, bias = draw(1), draw(1) + 2
    found = module.apply({"params": {"scale": scale, "bias": bias}}, IMAGES)
    statistics = ops.batch_statistics(IMAGES)
    expected = ops.normalize(IMAGES, statistics, scale, bias, epsilon=0.1)
    assert_same_trees(found, expected, 1e-6, 1e-6)


def test_any_layer_class_and_activation_can_be_put_in():
    maxout = functools.partial(ops.maxout, pieces=1)
    model = SMALL(conv=layers.ConvLocal, activation=maxout)
    assert sketch(model, IMAGES)[0].shape == (4, 3)


def test_a_model_is_hashable_and_equal_to_its_copy():
    assert SMALL() == SMALL()
    assert hash(SMALL(kernel_init=nn.initializers.ones)) is not None
    assert SMALL() != SMALL(residual=False)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (ResNet(21), (1, 8, 8, 1), "depth: expected 6n + 2, n >= 1, got 21"),
        (ResNet(2), (1, 8, 8, 1), "depth: expected 6n + 2, n >= 1, got 2"),
        (
            ResNet(shortcut="A"),
            (1, 8, 8, 1),
            "shortcut: expected 'pad' or 'projection', got 'A'",
        ),
        (ResNet(), (8, 8, 1), "images: expected [N, H, W, C], got (8, 8, 1)"),
    ],
)
def test_a_wrong_field_or_shape_is_answered_with_what_was_expected(
    model, shape, message
):
    with pytest.raises(ValueError, match=re.escape(message)):
        model.init(KEY, draw(*shape))
