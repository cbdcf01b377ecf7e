"""Named data sets, decoded once and kept as arrays.

`load("digits")` needs no network. Decoded arrays are cached in CNN_JAX_CACHE, or the
user's cache directory; deleting that directory is always safe.
"""

from cnn_jax.data.datasets import Dataset, Split, load
from cnn_jax.data.errors import DataError
from cnn_jax.data.photographs import photographs, whole_photographs
from cnn_jax.data.sources import describe, names

__all__ = [
    "DataError",
    "Dataset",
    "Split",
    "describe",
    "load",
    "names",
    "photographs",
    "whole_photographs",
]
