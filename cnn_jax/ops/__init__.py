"""Pure functions of arrays: convolutions, pooling and what they share."""

from cnn_jax.ops.convolution import ALGORITHM_NAMES, conv, convolve
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
from cnn_jax.ops.windows import PADDING_NAMES, output_size, patches

__all__ = [
    "ALGORITHM_NAMES",
    "PADDING_NAMES",
    "avg_pool",
    "blur_pool",
    "conv",
    "convolve",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "locally_connected",
    "lp_pool",
    "max_pool",
    "min_pool",
    "output_size",
    "patches",
    "polyphase_pool",
    "pool",
    "tiled_conv",
]
