"""The p-norm in pieces that neither overflow nor have a NaN in a derivative.

    m = max |x|,   ‖x‖_p = m · (Σ (|x| / m)^p)^(1/p)

m is a constant to differentiation: the norm does not depend on it, whatever it is.
"""

import math

import jax.numpy as jnp
from jax import Array, lax


def check_exponent(p: float) -> None:
    """Raises ValueError unless 1 <= p < ∞: below 1 it is no norm."""
    if not 1 <= p < math.inf:
        raise ValueError(f"p: expected 1 <= p < inf, got {p!r}")


def scale_of(largest: Array) -> Array:
    """m, or 1 where dividing by it has no meaning (0, infinity, NaN)."""
    usable = (largest > 0) & (largest < math.inf)
    return lax.stop_gradient(jnp.where(usable, largest, 1))


def power(values: Array, p: float) -> Array:
    """|x|^p, whose derivatives at 0 are finite: the true ones where they exist."""
    if p % 2 == 0:
        return values ** int(p)
    zero = values == 0
    return jnp.where(zero, 0, abs(jnp.where(zero, 1, values)) ** p)


def root(total: Array, scale: Array, p: float) -> Array:
    """m · total^(1/p), with derivative 0 at total 0."""
    zero = total == 0
    return scale * jnp.where(zero, 0, jnp.where(zero, 1, total) ** (1 / p))
