"""In which dtype means are computed, and in which they are returned."""

import jax.numpy as jnp


def accumulator(dtype: jnp.dtype) -> jnp.dtype:
    """Where sums are held: float32 for integers and narrower floats."""
    wide = jnp.issubdtype(dtype, jnp.inexact) and jnp.finfo(dtype).bits >= 32
    return dtype if wide else jnp.dtype(jnp.float32)


def output_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """What a mean is returned in: the inputs' own type, float32 for integers."""
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.dtype(jnp.float32)
