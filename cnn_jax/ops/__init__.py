"""Pure functions of arrays: convolutions, pooling and what they share."""

from cnn_jax.ops.algorithms.choices import Choice, recording_choices
from cnn_jax.ops.arguments import ALGORITHM_NAMES
from cnn_jax.ops.arithmetic import (
    Field,
    Layer,
    field_positions,
    num_macs,
    num_params,
    output_shapes,
    receptive_field,
)
from cnn_jax.ops.convolution import conv, convolve, dense_as_conv
from cnn_jax.ops.local import locally_connected, tiled_conv
from cnn_jax.ops.pooling import (
    avg_pool,
    blur_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    lp_pool,
    max_pool,
    min_pool,
    polyphase_pool,
    pool,
)
from cnn_jax.ops.recurrent import (
    ACTIVATION_NAMES,
    bidirectional,
    gru,
    gru_step,
    init_gru,
    init_lstm,
    init_rnn,
    lstm,
    lstm_step,
    params_from_torch,
    rnn,
    rnn_step,
    scan,
    stacked,
)
from cnn_jax.ops.separable import depthwise_conv, separable_conv
from cnn_jax.ops.transposed import conv_transpose
from cnn_jax.ops.windows import PADDING_NAMES, output_size, patches

__all__ = [
    "ACTIVATION_NAMES",
    "ALGORITHM_NAMES",
    "PADDING_NAMES",
    "Choice",
    "Field",
    "Layer",
    "avg_pool",
    "bidirectional",
    "blur_pool",
    "conv",
    "conv_transpose",
    "convolve",
    "dense_as_conv",
    "depthwise_conv",
    "field_positions",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "gru",
    "gru_step",
    "init_gru",
    "init_lstm",
    "init_rnn",
    "locally_connected",
    "lp_pool",
    "lstm",
    "lstm_step",
    "max_pool",
    "min_pool",
    "num_macs",
    "num_params",
    "output_shapes",
    "output_size",
    "params_from_torch",
    "patches",
    "polyphase_pool",
    "pool",
    "receptive_field",
    "recording_choices",
    "rnn",
    "rnn_step",
    "scan",
    "separable_conv",
    "stacked",
    "tiled_conv",
]
