"""Named data sets, decoded once and kept as arrays, or read batch by batch.

`load("digits")` needs no network, nor does `stream("digits", ...)`. What is decoded is
cached in CNN_JAX_CACHE, or the user's cache directory, and safe to delete at any time.
"""

from cnn_jax.data.datasets import Dataset, Split, load
from cnn_jax.data.errors import DataError
from cnn_jax.data.photographs import photographs, whole_photographs
from cnn_jax.data.sources import describe, names
from cnn_jax.data.streams import Stream, stream

__all__ = [
    "DataError",
    "Dataset",
    "Split",
    "Stream",
    "describe",
    "load",
    "names",
    "photographs",
    "stream",
    "whole_photographs",
]
