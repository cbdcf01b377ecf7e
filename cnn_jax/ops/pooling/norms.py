"""The p-norm in pieces that neither overflow nor have a NaN in a derivative.

    m = max |x|,   ‖x‖_p = m · (Σ (|x| / m)^p)^(1/p)
                         = m · exp(log(Σ exp(p · log(|x| / m))) / p)

m is a constant to differentiation: the norm does not depend on it, whatever it is, so
that a little less than max |x| does where its inverse would be no normal number. The
first form is faster, the second also sums terms that are far too small for the first.
"""

import math

import jax.numpy as jnp
from jax import Array, lax

# Finite, unlike log(0), so that differences of it are no NaN.
_LOG_OF_ZERO = -1e30


def check_exponent(p: float) -> None:
    """Raises ValueError unless 1 <= p < ∞: below 1 it is no norm."""
    try:
        within = bool(1 <= p < math.inf)
    except TypeError:  # no real number, or one that is not known yet
        within = False
    if not within:
        raise ValueError(f"p: expected 1 <= p < inf, got {p!r}")


def scale_of(largest: Array) -> Array:
    """m, or 1 where dividing by it has no meaning (0, infinity, NaN).

    At most 2^125 in float32, an eighth of the range: XLA may multiply by 1 / m instead
    of dividing, and CPUs flush an inverse below the least normal number to 0.
    """
    usable = (largest > 0) & (largest < math.inf)
    invertible = float(0.5 / jnp.finfo(largest.dtype).tiny)
    scale = jnp.minimum(largest, invertible)
    return lax.stop_gradient(jnp.where(usable, scale, 1))


def power(values: Array, p: float) -> Array:
    """|x|^p, whose derivatives at 0 are the true ones where they exist, else 0.

    A fractional power by exp and log: XLA has a fast path for these on CPU. An odd one
    by sign, because jax.numpy's abs has derivative 1 at 0.
    """
    if p == int(p):
        whole = values ** int(p)
        return whole if p % 2 == 0 else whole * jnp.sign(values)
    return jnp.where(values == 0, 0, jnp.exp(log_power(values, p)))


def root(total: Array, p: float) -> Array:
    """total^(1/p), with derivative 0 at total 0."""
    zero = total == 0
    safe = jnp.where(zero, 1, total)
    if p == 1:
        value = safe
    elif p == 2:
        value = jnp.sqrt(safe)
    else:
        value = jnp.exp(jnp.log(safe) / p)
    return jnp.where(zero, 0, value)


def log_power(values: Array, p: float) -> Array:
    """log |x|^p, a very negative number with derivative 0 at 0."""
    zero = values == 0
    return jnp.where(zero, _LOG_OF_ZERO, p * jnp.log(abs(jnp.where(zero, 1, values))))


def root_of_log(log_total: Array, p: float) -> Array:
    """total^(1/p) from log total, with derivative 0 where all terms were `log 0`."""
    zero = log_total < _LOG_OF_ZERO / 2
    return jnp.where(zero, 0, jnp.exp(jnp.where(zero, 0, log_total) / p))
