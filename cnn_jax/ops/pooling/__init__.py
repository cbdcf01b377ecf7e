"""Pooling: windows of an array, each summed up in one number per channel.

`windowed` has `pool`, the definition for any reducer, and the fast named pools;
`weighted` draws from windows and mixes pools; `switches` remembers where maxima were;
`whole` pools over all positions, `regions` to a given number of them, `ordered` to the
largest values; `antialiased` and `polyphase` downsample with less aliasing. They stand
on `frames`, the padded inputs, and on `sliding`, sums and maxima with fast gradients.

Maxima are found by comparison: -0 equals 0, and a NaN wins, with gradient 0. Equal ones
share the gradient, as each pool tells, or the first has all of it where places matter:
by switches (a NaN has it there) and of the k largest.
"""

from cnn_jax.ops.pooling.antialiased import blur_pool
from cnn_jax.ops.pooling.ordered import dynamic_k_max_pool, k_max_pool
from cnn_jax.ops.pooling.polyphase import polyphase_pool
from cnn_jax.ops.pooling.regions import (
    adaptive_avg_pool,
    adaptive_max_pool,
    fractional_max_pool,
    spatial_pyramid_pool,
)
from cnn_jax.ops.pooling.switches import max_pool_with_switches, max_unpool
from cnn_jax.ops.pooling.weighted import gaussian_pool, mixed_pool, stochastic_pool
from cnn_jax.ops.pooling.whole import (
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
)
from cnn_jax.ops.pooling.windowed import avg_pool, lp_pool, max_pool, min_pool, pool

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "blur_pool",
    "dynamic_k_max_pool",
    "fractional_max_pool",
    "gaussian_pool",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "k_max_pool",
    "lp_pool",
    "max_pool",
    "max_pool_with_switches",
    "max_unpool",
    "min_pool",
    "mixed_pool",
    "polyphase_pool",
    "pool",
    "spatial_pyramid_pool",
    "stochastic_pool",
]
