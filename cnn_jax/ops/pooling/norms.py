"""The p-norm in pieces that neither overflow nor have a NaN in a derivative.

    m = max |x|,   ‖x‖_p = m · (Σ (|x| / m)^p)^(1/p)
                         = m · exp(log(Σ exp(p · log(|x| / m))) / p)

m is a constant to differentiation: the norm does not depend on it, whatever it is. The
first form is faster, the second also sums terms that are far too small for the first.

m has no part in the gradient, which depends on ratios alone: ∇f(x) = ∇f(x / m) for an
f that scales as norms do.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

# Finite, unlike log(0), so that differences of it are no NaN.
_LOG_OF_ZERO = -1e30


def check_exponent(p: float) -> None:
    """Raises ValueError unless 1 <= p < ∞: below 1 it is no norm."""
    try:
        within = 1 <= float(p) < math.inf and not isinstance(p, str)
    except (TypeError, ValueError, OverflowError):  # no number, or none known yet
        within = False
    if not within:
        raise ValueError(f"p: expected 1 <= p < inf, got {p!r}")


class Scale(NamedTuple):
    """m as s / e, e a power of 2: constants to differentiation.

    Where m is above 1, e is 1/8: XLA may multiply by 1 / s instead of dividing, and
    CPUs flush an inverse below the least normal number to 0.
    """

    divisor: Array
    factor: Array

    def divide(self, values: Array) -> Array:
        """x / m"""
        return values * self.factor / self.divisor

    def restore(self, norms: Array) -> Array:
        """m · y"""
        return self.divisor * norms / self.factor


def scale_of(largest: Array) -> Scale:
    """m, or 1 where dividing by it has no meaning (0, infinity, NaN)."""
    usable = (largest > 0) & (largest < math.inf)
    large = usable & (largest > 1)
    factor = jnp.where(large, 0.125, 1).astype(largest.dtype)
    divisor = jnp.where(usable, largest * factor, 1)
    return Scale(lax.stop_gradient(divisor), lax.stop_gradient(factor))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def scaled(function: Callable[[Array], Array], values: Array, scale: Scale) -> Array:
    """f(x) as m · f(x / m), of an f with f(a · x) = a · f(x) for a > 0.

    Its tangent is f's own at x / m. Multiplied by m and divided by it again, it would
    vanish or overflow where m is near an end of the range.
    """
    return scale.restore(function(scale.divide(values)))


@scaled.defjvp
def _scaled_jvp(function, primals, tangents):
    values, scale = primals
    moved, _ = tangents
    outputs, tangent = jax.jvp(function, (scale.divide(values),), (moved,))
    return scale.restore(outputs), tangent


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
