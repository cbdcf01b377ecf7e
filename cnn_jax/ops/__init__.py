"""Pure functions of arrays: convolutions, pooling, normalization, activations."""

from cnn_jax.ops.activations import binarize, htanh, maxout, prelu, rrelu
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
from cnn_jax.ops.normalization import (
    Statistics,
    batch_statistics,
    normalize,
    update_statistics,
)
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
from cnn_jax.ops.separable import depthwise_conv, separable_conv
from cnn_jax.ops.transposed import conv_transpose
from cnn_jax.ops.windows import PADDING_NAMES, output_size, patches

__all__ = [
    "ALGORITHM_NAMES",
    "PADDING_NAMES",
    "Choice",
    "Field",
    "Layer",
    "Statistics",
    "avg_pool",
    "batch_statistics",
    "binarize",
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
    "htanh",
    "locally_connected",
    "lp_pool",
    "max_pool",
    "maxout",
    "min_pool",
    "normalize",
    "num_macs",
    "num_params",
    "output_shapes",
    "output_size",
    "patches",
    "polyphase_pool",
    "pool",
    "prelu",
    "receptive_field",
    "recording_choices",
    "rrelu",
    "separable_conv",
    "tiled_conv",
    "update_statistics",
]
