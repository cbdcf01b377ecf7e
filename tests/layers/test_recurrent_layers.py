"""Recurrent layers against flax.linen's own, and what ops draws for them."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers, ops
from tests.trees import assert_same_trees

KEY = jax.random.key(3)
CELLS = {
    "SimpleCell": {"residual": True},
    "LSTMCell": {},
    "OptimizedLSTMCell": {"gate_fn": nn.hard_sigmoid},
    "GRUCell": {"bias_init": nn.initializers.normal()},
}


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def twins(name, **fields):
    """RNNs over our cell and over flax.linen's."""
    ours, theirs = getattr(layers, name), getattr(nn, name)
    more = {"features": 4} | CELLS[name]
    return layers.RNN(ours(**more), **fields), nn.RNN(theirs(**more), **fields)


@pytest.mark.parametrize("name", CELLS)
def test_parameters_are_flax_linens_bit_for_bit_and_so_are_values(name):
    inputs = draw(2, 3, 5, 3)
    ours, theirs = twins(name, return_carry=True)
    variables = jax.jit(theirs.init)(KEY, inputs)
    assert_same_trees(jax.jit(ours.init)(KEY, inputs), variables)
    got, wanted = jax.jit(
        lambda variables: [each.apply(variables, inputs) for each in (ours, theirs)]
    )(variables)
    assert_same_trees(got, wanted, 1e-5, 1e-6)


@pytest.mark.parametrize("keep_order", [False, True])
def test_lengths_reverse_and_time_major_are_flax_linens_within_the_lengths(keep_order):
    inputs, lengths = draw(5, 3, 3), jnp.array([2, 5, 4])
    time = {"reverse": True, "keep_order": keep_order, "time_major": True}
    ours, theirs = twins("LSTMCell", return_carry=True, **time)
    variables = jax.jit(theirs.init)(KEY, inputs)
    got, wanted = jax.jit(
        lambda variables: [
            each.apply(variables, inputs, seq_lengths=lengths)
            for each in (ours, theirs)
        ]
    )(variables)
    assert_same_trees(got[0], wanted[0], 1e-5, 1e-6)
    live = np.arange(5)[:, None, None] < np.asarray(lengths)[:, None]
    assert_same_trees(got[1], np.where(live, wanted[1], 0), 1e-5, 1e-6)


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_the_dtype_of_the_computation_is_flax_linens(name):
    inputs, fields = draw(2, 3, 3), {"dtype": jnp.bfloat16, "features": 4}
    ours = layers.RNN(getattr(layers, name)(**fields))
    theirs = nn.RNN(getattr(nn, name)(**fields))
    with jax.numpy_dtype_promotion("standard"):
        variables = theirs.init(KEY, inputs)
        wanted = theirs.apply(variables, inputs)
    got = ours.apply(variables, inputs)
    assert jnp.result_type(got) == jnp.result_type(wanted)
    assert_same_trees(got, wanted, 0.02, 0.02)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_alone_is_flax_linens(name):
    inputs = draw(2, 3)
    fields = {"features": 4} | CELLS[name]
    ours, theirs = getattr(layers, name)(**fields), getattr(nn, name)(**fields)
    carry = ours.initialize_carry(KEY, inputs.shape)
    carry = jax.tree.map(lambda leaf: leaf + 0.3, carry)
    variables = jax.jit(theirs.init)(KEY, carry, inputs)
    assert_same_trees(jax.jit(ours.init)(KEY, carry, inputs), variables)
    got = jax.jit(ours.apply)(variables, carry, inputs)
    assert_same_trees(got, jax.jit(theirs.apply)(variables, carry, inputs), 1e-5, 1e-6)


def test_both_directions_are_flax_linens():
    inputs, lengths = draw(2, 4, 3), jnp.array([4, 2])

    def both(library):
        forward, backward = (library.RNN(library.GRUCell(4)) for _ in range(2))
        return library.Bidirectional(forward, backward)

    ours, theirs = both(layers), both(nn)
    variables = jax.jit(theirs.init)(KEY, inputs)
    assert_same_trees(jax.jit(ours.init)(KEY, inputs), variables)
    got, wanted = (
        jax.jit(each.apply)(variables, inputs, seq_lengths=lengths)
        for each in (ours, theirs)
    )
    assert_same_trees(got[0], wanted[0], 1e-5, 1e-6)
    assert_same_trees(got[1, :2], wanted[1, :2], 1e-5, 1e-6)
    trees = variables["params"]
    params = trees["forward_rnn"]["cell"], trees["backward_rnn"]["cell"]
    for layer in (ops.gru, partial(ops.gru, reverse=True)):  # both ways all the same
        _, outputs = ops.bidirectional(layer, params, inputs, lengths=lengths)
        assert_same_trees(outputs, got, 1e-6, 1e-6)


def test_a_cell_of_flax_linen_runs_as_there():
    inputs = draw(2, 4, 3)
    ours, theirs = layers.RNN(nn.MGUCell(4)), nn.RNN(nn.MGUCell(4))
    variables = theirs.init(KEY, inputs)
    assert_same_trees(ours.apply(variables, inputs), theirs.apply(variables, inputs))
    chunked = layers.RNN(nn.MGUCell(4), chunk_length=2)
    with pytest.raises(ValueError, match=r"not of cnn_jax\.layers, got 2"):
        chunked.apply(variables, inputs)


@pytest.mark.parametrize(
    ("init", "cell"),
    [
        (ops.init_rnn, nn.SimpleCell),
        (ops.init_lstm, nn.LSTMCell),
        (ops.init_gru, nn.GRUCell),
    ],
)
def test_parameters_drawn_by_ops_are_those_of_the_cell_alone(init, cell):
    module = cell(4)
    carry = module.initialize_carry(KEY, (2, 3))
    wanted = jax.jit(module.init)(KEY, carry, draw(2, 3))["params"]
    assert_same_trees(jax.jit(init, static_argnums=(1, 2))(KEY, 3, 4), wanted)


VARIANT = {"projection_features": 2, "use_peephole": True, "coupled": True}
CLIPS = {"cell_clip": 0.3, "projection_clip": 0.1}


def test_variants_of_the_lstm_draw_and_run_as_ops():
    inputs = draw(2, 5, 3)
    cell = layers.LSTMCell(4, forget_bias=1.0, **VARIANT, **CLIPS)
    carry = cell.initialize_carry(KEY, (2, 3))
    assert [part.shape for part in carry] == [(2, 4), (2, 2)]
    params = jax.jit(cell.init)(KEY, carry, inputs[:, 0])["params"]
    own = {"projection": 2, "peephole": True, "coupled": True, "forget_bias": 1.0}
    assert_same_trees(params, ops.init_lstm(KEY, 3, 4, **own), 1e-6, 1e-6)
    peephole = {name: draw(4) for name in params["peephole"]}
    variables = {"params": {"cell": params | {"peephole": peephole}}}
    wanted = ops.lstm(variables["params"]["cell"], inputs, **CLIPS)
    layer = layers.RNN(cell, return_carry=True)
    assert_same_trees(layer.apply(variables, inputs), wanted, 1e-6, 1e-6)
    assert abs(wanted[1]).max() == np.float32(0.1)


def test_chunks_of_the_layer_keep_fewer_states_for_its_gradient():
    inputs, cell = draw(2, 64, 3), layers.SimpleCell(4)
    variables = jax.jit(layers.RNN(cell).init)(KEY, inputs)

    def gradient(chunk_length):
        layer: Any = layers.RNN(cell, chunk_length=chunk_length)
        return jax.jit(jax.grad(lambda v: layer.apply(v, inputs).sum()))

    def kept(chunk_length):
        compiled = gradient(chunk_length).lower(variables).compile()
        sizes: Any = compiled.memory_analysis()
        return sizes.temp_size_in_bytes

    # A GPU's 33 MB are those that its matrix products work in, whatever is kept.
    share = 0.8 if jax.default_backend() == "cpu" else 1.0
    assert kept(8) < share * kept(None)
    assert_same_trees(gradient(8)(variables), gradient(None)(variables), 1e-5, 1e-5)


def test_steps_at_once_are_the_devices_choice_for_our_cells_only():
    assert layers.RNN(layers.SimpleCell(4)).unroll is None
    assert layers.RNN(nn.SimpleCell(4)).unroll == 1
    assert layers.RNN(layers.SimpleCell(4), unroll=3).unroll == 3


def test_forget_biases_are_what_was_asked_for():
    one = ops.init_lstm(KEY, 3, 4, forget_bias=1)
    assert (one["hf"]["bias"] == 1).all()
    assert (one["hi"]["bias"] == 0).all()
    tied = ops.init_lstm(KEY, 3, 4, forget_bias=1, coupled=True)
    assert (tied["hi"]["bias"] == -1).all()
    zeros = nn.initializers.zeros_init()
    chrono = ops.init_lstm(KEY, 3, 2000, chrono_length=100, recurrent_kernel_init=zeros)
    times = np.exp(chrono["hf"]["bias"])
    assert (chrono["hi"]["bias"] == -chrono["hf"]["bias"]).all()
    assert 1 <= times.min() < 1.5
    assert 98 < times.max() <= 99.001
    assert abs(times.mean() - 50) < 3


def test_forget_biases_of_the_layer_change_only_biases():
    inputs = draw(2, 4, 3)

    def drawn(**fields: Any) -> Any:
        layer = layers.RNN(layers.LSTMCell(4, **fields))
        return jax.jit(layer.init)(KEY, inputs)["params"]["cell"]

    plain, one, chrono = drawn(), drawn(forget_bias=1.0), drawn(chrono_length=9)
    assert (one["hf"]["bias"] == 1).all()
    assert (one["hi"]["bias"] == 0).all()
    assert (chrono["hf"]["bias"] == -chrono["hi"]["bias"]).all()
    assert (chrono["hf"]["bias"] > 0).any()
    for name in plain:
        assert (one[name]["kernel"] == plain[name]["kernel"]).all()
        assert (chrono[name]["kernel"] == plain[name]["kernel"]).all()


def test_stacked_layers_are_one_after_the_other_with_dropout_between():
    inputs = draw(2, 4, 3)
    params = [ops.init_gru(KEY, size, 300) for size in (3, 300)]
    (first, second), outputs = ops.stacked(ops.gru, params, inputs)
    carry, below = ops.gru(params[0], inputs)
    assert_same_trees(first, carry)
    assert_same_trees((second, outputs), ops.gru(params[1], below))
    seen = []

    def spying(params, inputs, carry, *, lengths):
        seen.append(inputs)
        return ops.gru(params, inputs, carry, lengths=lengths)

    ops.stacked(spying, params, inputs, dropout_rate=0.25, key=KEY)
    assert_same_trees(seen[0], inputs)
    kept = np.asarray(seen[1] != 0)
    assert abs(kept.mean() - 0.75) < 0.05
    np.testing.assert_allclose(
        np.asarray(seen[1])[kept], np.asarray(below)[kept] / 0.75, rtol=1e-6
    )
