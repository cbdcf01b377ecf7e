"""Sequence networks: sizes in closed form, causality, fields, flax.linen's layers."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers
from cnn_jax.instruments import bounding_box, gradient_support
from cnn_jax.models import RecurrentNet, TemporalConvNet
from tests.trees import drawn_like

KEY = jax.random.key(0)
INPUTS = jnp.asarray(np.random.default_rng(0).random((2, 12, 3)), jnp.float32)
SMALL = TemporalConvNet(4, 5, (1, 2), 2, "every")


def sketch(model, inputs=INPUTS):
    """Shapes of (logits, activations) and parameters."""
    outputs, variables = jax.eval_shape(model.init_with_output, KEY, inputs)
    return *outputs, variables["params"]


def filled(model, value=None, inputs=INPUTS):
    """Parameters of the model's shapes, all of one value or drawn."""
    shapes = sketch(model, inputs)[2]
    if value is None:
        return drawn_like(shapes)
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, value, leaf.dtype), shapes)


def size(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("cell", "gates", "more"),
    [(layers.SimpleCell, 1, 0), (layers.LSTMCell, 4, 0), (layers.GRUCell, 3, 1)],
)
def test_recurrent_nets_have_as_many_parameters_as_the_closed_form(cell, gates, more):
    _, _, params = sketch(RecurrentNet(7, 5, cell, num_layers=2))
    first, second = gates * 7 * (3 + 7 + 1), gates * 7 * (7 + 7 + 1)
    assert size(params) == first + second + 2 * 7 * more + (7 + 1) * 5


@pytest.mark.parametrize(("features", "shortcut"), [(4, (3 + 1) * 4), (3, 0)])
def test_a_temporal_net_has_as_many_parameters_as_the_closed_form(features, shortcut):
    _, _, params = sketch(TemporalConvNet(features, 5, (1, 2, 4), 6))
    kernels = 6 * (3 + 5 * features) * features
    assert size(params) == kernels + 6 * features + shortcut + (features + 1) * 5


@pytest.mark.parametrize(
    "model", [RecurrentNet(4, 5), SMALL.clone(head="last")], ids=["recurrent", "tcn"]
)
def test_the_last_steps_logits_are_the_ones_of_every_step(model):
    params = filled(model)

    def logits(head):
        return jax.jit(model.clone(head=head).apply)({"params": params}, INPUTS)[0]

    last, every = logits("last"), logits("every")
    assert (last.shape, every.shape) == ((2, 5), (2, 12, 5))
    np.testing.assert_allclose(last, every[:, -1], rtol=1e-5)


def test_every_recurrent_layer_holds_its_cell():
    _, _, params = sketch(RecurrentNet(4, 5, layers.GRUCell, num_layers=2))
    assert set(params) == {"layer1", "layer2", "logits"}
    assert set(params["layer2"]["cell"]) == {"ir", "iz", "in", "hr", "hz", "hn"}


def test_activations_are_named_by_layer():
    _, activations, _ = sketch(RecurrentNet(4, 5, num_layers=2))
    assert {name: a.shape for name, a in activations.items()} == {
        "layer1": (2, 12, 4),
        "layer2": (2, 12, 4),
    }
    _, activations, _ = sketch(SMALL)
    assert set(activations) == {"inner1", "layer1", "inner2", "layer2"}
    assert {a.shape for a in activations.values()} == {(2, 12, 4)}


@pytest.mark.parametrize("model", [RecurrentNet(4, 5, head="every"), SMALL])
def test_no_output_has_a_gradient_at_a_later_input(model):
    params = filled(model)

    def logits(inputs):
        return jnp.sum(model.apply({"params": params}, inputs)[0], axis=-1)

    jacobian = jax.jit(jax.jacobian(logits))(INPUTS[:1])[0, :, 0]  # [T, T, D]
    later = np.triu(np.ones((12, 12), bool), 1)
    seen = np.any(np.asarray(jacobian) != 0, axis=-1)
    assert not seen[later].any()
    assert seen.diagonal().all()


@pytest.mark.parametrize(
    ("dilations", "kernel_size", "field"),
    [((1, 2, 4), 3, 29), ((1, 2), 2, 7), ((1,), 4, 7), ((3, 1), 3, 17)],
)
def test_the_field_is_the_support_of_the_gradient(dilations, kernel_size, field):
    model = TemporalConvNet(1, 1, dilations, kernel_size, "every")
    assert model.field == field
    inputs = jnp.ones((1, field + 9, 1))
    params = filled(model, 0.5, inputs)

    def apply(params, inputs):
        return model.apply({"params": params}, inputs)[0]

    seen = jax.jit(lambda p, x: gradient_support(apply, p, x, (field + 3,)))
    start, length = bounding_box(seen(params, inputs))
    assert (int(start[0]), int(length[0])) == (4, field)


def test_a_temporal_net_is_its_equation():
    params = jax.tree.map(np.asarray, filled(SMALL))

    def causal(values, place, dilation):
        kernel, bias = params[place]["kernel"], params[place]["bias"]
        outputs = np.zeros((*values.shape[:2], kernel.shape[-1])) + bias
        for tap in range(2):
            back = (1 - tap) * dilation
            moved = np.pad(values, ((0, 0), (back, 0), (0, 0)))[:, : values.shape[1]]
            outputs += moved @ kernel[tap]
        return np.maximum(outputs, 0)

    hidden = np.asarray(INPUTS, float)
    for number, dilation in ((1, 1), (2, 2)):
        inner = causal(hidden, f"inner{number}_conv", dilation)
        outer = causal(inner, f"layer{number}_conv", dilation)
        if number == 1:
            shortcut = params["shortcut1"]
            hidden = hidden @ shortcut["kernel"][0] + shortcut["bias"]
        hidden = np.maximum(outer + hidden, 0)
    logits = hidden @ params["logits"]["kernel"] + params["logits"]["bias"]
    found, _ = jax.jit(SMALL.apply)({"params": params}, INPUTS)
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SMALL, SMALL.clone(conv=nn.Conv)),
        (
            RecurrentNet(4, 5, layers.GRUCell),
            RecurrentNet(4, 5, nn.GRUCell, rnn=nn.RNN),
        ),
    ],
    ids=["tcn", "recurrent"],
)
def test_flax_linens_layers_give_the_same_network(ours, theirs):
    params = filled(ours)
    assert jax.tree.map(jnp.shape, sketch(theirs)[2]) == jax.tree.map(jnp.shape, params)
    found = [
        jax.jit(model.apply)({"params": params}, INPUTS)[0] for model in (ours, theirs)
    ]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_an_unshared_net_has_an_own_kernel_at_every_step():
    _, _, params = sketch(SMALL.clone(conv=layers.ConvLocal))
    assert params["layer2_conv"]["kernel"].shape == (12, 2 * 4, 4)
    shared = filled(SMALL)

    def repeated(place, leaf):
        if place[0].key == "logits":
            return leaf
        if place[-1].key == "bias":
            return jnp.broadcast_to(leaf, (12, *leaf.shape))
        columns = jnp.moveaxis(leaf, 0, 1).reshape(-1, leaf.shape[-1])
        return jnp.broadcast_to(columns, (12, *columns.shape))

    local = jax.tree.map_with_path(repeated, shared)
    unshared = SMALL.clone(conv=layers.ConvLocal)
    found = jax.jit(unshared.apply)({"params": local}, INPUTS)[0]
    wanted = jax.jit(SMALL.apply)({"params": shared}, INPUTS)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_models_are_hashable():
    cell = functools.partial(layers.LSTMCell, forget_bias=1.0)
    assert hash(RecurrentNet(4, 5, cell)) == hash(RecurrentNet(4, 5, cell))
    assert hash(SMALL) == hash(SMALL.clone())


@pytest.mark.parametrize("model", [RecurrentNet(4, 5), SMALL])
def test_bad_heads_and_shapes_are_refused(model):
    with pytest.raises(ValueError, match="head: expected 'every' or 'last', got 'x'"):
        sketch(model.clone(head="x"))
    with pytest.raises(
        ValueError, match=r"inputs: expected \[N, T, D\], got \(12, 3\)"
    ):
        sketch(model, INPUTS[0])
