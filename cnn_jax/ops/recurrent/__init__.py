"""Recurrent cells, and layers of them over time."""

from cnn_jax.ops.recurrent.activations import ACTIVATION_NAMES
from cnn_jax.ops.recurrent.cells import gru_step, lstm_step, rnn_step
from cnn_jax.ops.recurrent.composed import bidirectional, stacked
from cnn_jax.ops.recurrent.initializers import init_gru, init_lstm, init_rnn
from cnn_jax.ops.recurrent.sequences import gru, lstm, rnn, scan
from cnn_jax.ops.recurrent.torch_weights import params_from_torch

__all__ = [
    "ACTIVATION_NAMES",
    "bidirectional",
    "gru",
    "gru_step",
    "init_gru",
    "init_lstm",
    "init_rnn",
    "lstm",
    "lstm_step",
    "params_from_torch",
    "rnn",
    "rnn_step",
    "scan",
    "stacked",
]
