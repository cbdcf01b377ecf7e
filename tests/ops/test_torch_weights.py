"""Weights of torch's recurrent modules in ops."""

import jax
import numpy as np
import pytest

from cnn_jax import ops
from tests import reference_recurrent
from tests.trees import assert_same_trees


def torch_state(gates, size, hidden, directions=("",), out=None, depth=2):
    rng = np.random.default_rng(2)
    state, below, out = {}, size, out or hidden
    for level in range(depth):
        for way in directions:
            shapes = {
                "weight_ih": (gates * hidden, below),
                "weight_hh": (gates * hidden, out),
                "bias_ih": (gates * hidden,),
                "bias_hh": (gates * hidden,),
            }
            if out != hidden:
                shapes["weight_hr"] = (out, hidden)
            for name, shape in shapes.items():
                state[f"{name}_l{level}{way}"] = rng.normal(size=shape) * 0.5
        below = out * len(directions)
    return state


def torch_gru_step(state, h, x):
    """torch's documented equations of one step of layer 0."""
    w_ir, w_iz, w_in = np.split(state["weight_ih_l0"], 3)
    w_hr, w_hz, w_hn = np.split(state["weight_hh_l0"], 3)
    b_ir, b_iz, b_in = np.split(state["bias_ih_l0"], 3)
    b_hr, b_hz, b_hn = np.split(state["bias_hh_l0"], 3)
    r = reference_recurrent.sigmoid(w_ir @ x + b_ir + w_hr @ h + b_hr)
    z = reference_recurrent.sigmoid(w_iz @ x + b_iz + w_hz @ h + b_hz)
    n = np.tanh(w_in @ x + b_in + r * (w_hn @ h + b_hn))
    return (1 - z) * n + z * h


def torch_lstm_step(state, carry, x):
    """torch's documented equations of one step of layer 0."""
    c, h = carry
    sums = state["weight_ih_l0"] @ x + state["bias_ih_l0"]
    sums = sums + state["weight_hh_l0"] @ h + state["bias_hh_l0"]
    i, f, g, o = np.split(sums, 4)
    sigmoid = reference_recurrent.sigmoid
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return c, state["weight_hr_l0"] @ (sigmoid(o) * np.tanh(c))


def test_weights_of_torch_give_torchs_equations():
    x, h, c = (np.random.default_rng(k).normal(size=s) for k, s in enumerate((3, 4, 4)))
    with jax.enable_x64(True):
        state = torch_state(3, 3, 4, depth=1)
        (params,) = ops.params_from_torch("gru", state)
        got = ops.gru_step(params, h, x)[0]
        assert_same_trees(got, torch_gru_step(state, h, x), 1e-12, 1e-12)
        state = torch_state(4, 3, 4, out=2, depth=1)
        (params,) = ops.params_from_torch("lstm", state)
        got = ops.lstm_step(params, (c, h[:2]), x)[0]
        assert_same_trees(got, torch_lstm_step(state, (c, h[:2]), x), 1e-12, 1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_weights_of_torch_give_torchs_values(cell):
    torch = pytest.importorskip("torch")
    out = {"proj_size": 2} if cell == "lstm" else {}
    module = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](
        3, 4, 2, batch_first=True, bidirectional=True, dtype=torch.float64, **out
    )
    inputs = np.random.default_rng(1).normal(size=(2, 5, 3))
    with torch.no_grad():
        wanted = module(torch.from_numpy(inputs))[0].numpy()
    state = {name: array.numpy() for name, array in module.state_dict().items()}
    layer = getattr(ops, cell)

    def both_ways(params, inputs, carry, **time):
        return ops.bidirectional(layer, params, inputs, carry, **time)

    with jax.enable_x64(True):
        params = ops.params_from_torch(cell, state)
        got = ops.stacked(both_ways, params, inputs)[1]
    assert_same_trees(got, wanted, 1e-10, 1e-10)
