"""What the recurrent functions answer to arguments that cannot be right."""

import re
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax import ops
from tests.ops.recurrent_cases import CASES, FAST


def params_of(name):
    return CASES[name].draw()[0]


X = np.zeros((2, 4, 3))
H: Any = np.zeros((2, 4))
PAIR: Any = (H, H)
NAMES: Any = ["tanh"]
ERRORS = {
    "inputs: expected a last axis of 3, as ii/kernel has, got shape (2, 4, 5)": (
        lambda: ops.lstm(params_of("lstm"), np.zeros((2, 4, 5)))
    ),
    "inputs: expected [*N, T, D] with T >= 1, got shape (2, 0, 3)": (
        lambda: ops.gru(params_of("gru"), X[:, :0])
    ),
    "inputs: expected [*N, T, D] with T >= 1, got shape (3,)": (
        lambda: ops.scan(ops.rnn_step, params_of("rnn"), H, X[0, 0])
    ),
    "carry: expected (c, h) of shape (2, 4) and (2, 4), got (2, 4)": (
        lambda: ops.lstm(params_of("lstm"), X, H)
    ),
    "carry: expected h of shape (2, 4), got a tree": (
        lambda: ops.gru(params_of("gru"), X, PAIR)
    ),
    "carry: expected h of shape (2, 4), got (3, 4)": (
        lambda: ops.rnn_step(params_of("rnn"), np.zeros((3, 4)), X[:, 0])
    ),
    "lengths: expected 0 to T = 4, got 1 to 5": (
        lambda: ops.lstm(params_of("lstm"), X, lengths=np.array([1, 5]))
    ),
    "lengths: expected integers of shape (2,), got int32 of shape (3,)": (
        lambda: ops.gru(params_of("gru"), X, lengths=np.zeros(3, np.int32))
    ),
    "activation: expected one of sigmoid, tanh, relu, identity, hard_sigmoid, "
    "hard_tanh, softsign or a function, got 'tan'": (
        lambda: ops.gru(params_of("gru"), X, activation="tan")
    ),
    "gate: expected one of sigmoid, tanh, relu, identity, hard_sigmoid, hard_tanh, "
    "softsign or a function, got ['tanh']": (
        lambda: ops.lstm(params_of("lstm"), X, gate=NAMES)
    ),
    "params: expected those of an LSTM, with a matrix at hi/kernel, got h/kernel, "
    "i/bias, i/kernel": lambda: ops.lstm(params_of("rnn"), X),
    "params: expected those of a GRU, with a matrix at hr/kernel, got": (
        lambda: ops.gru(params_of("lstm"), X)
    ),
    "params: expected those of an LSTM, hf/bias?, hf/kernel": (
        lambda: ops.lstm(params_of("lstm") | {"h": {"kernel": H}}, X)
    ),
    "params: expected shape (3, 4) at io/kernel of an LSTM, got (4, 4)": (
        lambda: ops.lstm(params_of("lstm") | {"io": {"kernel": np.zeros((4, 4))}}, X)
    ),
    "update: expected 'cho' or 'chung', got 'cheng'": (
        lambda: ops.gru(params_of("gru"), X, update="cheng")
    ),
    "reset: expected 'after' or 'before', got 'never'": (
        lambda: ops.gru(params_of("gru"), X, reset="never")
    ),
    "cell_clip: expected a number above 0 or None, got 0": (
        lambda: ops.lstm(params_of("lstm"), X, cell_clip=0)
    ),
    "projection_clip: expected params with a projection, got params without": (
        lambda: ops.lstm(params_of("lstm"), X, projection_clip=1)
    ),
    "chunk_length: expected None or at least 1, got 0": (
        lambda: ops.rnn(params_of("rnn"), X, chunk_length=0)
    ),
    "params: expected a pair (forward, backward), got dict": (
        lambda: ops.bidirectional(ops.rnn, params_of("rnn"), X)
    ),
    "params and carry: expected one entry per layer and at least one layer, got 0 and "
    "0": lambda: ops.stacked(ops.rnn, [], X),
    "dropout_rate: expected 0, or below 1 with a key, got 0.5 without a key": (
        lambda: ops.stacked(ops.rnn, [params_of("rnn")], X, dropout_rate=0.5)
    ),
    "chrono_length: expected None or at least 3 with forget_bias 0, got 9 with "
    "forget_bias 1": partial(
        ops.init_lstm, jax.random.key(0), 3, 4, forget_bias=1, chrono_length=9
    ),
    "cell: expected one of rnn, lstm, gru, got 'mgu'": (
        lambda: ops.params_from_torch("mgu", {})
    ),
    "weights: expected weight_ih_l0, weight_hh_l0, ... of layers counted from 0, got "
    "weight_ih_l1": lambda: ops.params_from_torch("rnn", {"weight_ih_l1": H}),
    "weights: expected weight_ih_l0 [3·H, D] and weight_hh_l0 [3·H, H] of a gru, got "
    "[(8, 3), (8, 2)]": lambda: ops.params_from_torch(
        "gru", {"weight_ih_l0": np.ones((8, 3)), "weight_hh_l0": np.ones((8, 2))}
    ),
    "weights: expected weight_ih_l0 [4·H, D] and weight_hh_l0 [4·H, H] of a lstm, got "
    "[(12, 3), (12, 4)]": lambda: ops.params_from_torch(
        "lstm", {"weight_ih_l0": np.ones((12, 3)), "weight_hh_l0": np.ones((12, 4))}
    ),
    "got [(8, 3), (8, 1)] and weight_hr (3, 2)": lambda: ops.params_from_torch(
        "lstm",
        {
            "weight_ih_l0": np.ones((8, 3)),
            "weight_hh_l0": np.ones((8, 1)),
            "weight_hr_l0": np.ones((3, 2)),
        },
    ),
    "weights: expected bias_ih_l0 and bias_hh_l0 [4], or neither, got [(4,), None]": (
        lambda: ops.params_from_torch(
            "rnn",
            {
                "weight_ih_l0": np.ones((4, 3)),
                "weight_hh_l0": np.ones((4, 4)),
                "bias_ih_l0": np.ones(4),
            },
        )
    ),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors_name_what_was_expected_and_what_came(message):
    with jax.enable_x64(True), pytest.raises(ValueError, match=re.escape(message)):
        ERRORS[message]()


def test_lengths_that_are_traced_are_not_looked_at():
    params, carry, inputs = FAST["rnn"].draw()
    with jax.enable_x64(True):
        run = jax.jit(lambda lengths: ops.rnn(params, inputs, carry, lengths=lengths))
        assert run(np.array([1, 9]))[1].shape == (2, 4, 4)
