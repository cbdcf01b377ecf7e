"""Pooling: windows of an array, each summed up in one number per channel.

`windowed` has `pool`, the definition for any reducer, and the fast named pools;
`whole` pools over all positions; `antialiased` downsamples with less aliasing.
"""

from cnn_jax.ops.pooling.antialiased import blur_pool, polyphase_pool
from cnn_jax.ops.pooling.whole import (
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
)
from cnn_jax.ops.pooling.windowed import avg_pool, lp_pool, max_pool, min_pool, pool

__all__ = [
    "avg_pool",
    "blur_pool",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "lp_pool",
    "max_pool",
    "min_pool",
    "polyphase_pool",
    "pool",
]
