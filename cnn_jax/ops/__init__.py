"""Pure functions of arrays: convolutions, pooling and what they share."""

from cnn_jax.ops.windows import PADDING_NAMES, output_size, patches

__all__ = [
    "PADDING_NAMES",
    "output_size",
    "patches",
]
