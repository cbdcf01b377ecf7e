"""Pure functions of arrays: convolutions, pooling and what they share."""

from cnn_jax.ops.convolution import ALGORITHM_NAMES, conv, convolve
from cnn_jax.ops.local import locally_connected, tiled_conv
from cnn_jax.ops.windows import PADDING_NAMES, output_size, patches

__all__ = [
    "ALGORITHM_NAMES",
    "PADDING_NAMES",
    "conv",
    "convolve",
    "locally_connected",
    "output_size",
    "patches",
    "tiled_conv",
]
