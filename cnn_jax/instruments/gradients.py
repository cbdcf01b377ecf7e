"""How gradients travel through time.

A step is any `step(params, carry, inputs) -> (carry, output)` with a pytree as carry; a
sequence is a pytree of inputs [T, ...]. h_t is the carry after t steps, flattened to a
vector [n]; h_0 is the one given. One sequence at a time: vmap over others, and over
draws of the params.

Products over many steps leave every floating format, so they are scaled by powers of
two as they grow or shrink, which rounds nothing, and come back as log10; -inf is zero.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from cnn_jax.ops.dtypes import accumulator

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
Entries = slice | Sequence[int]

ALL = slice(None)
# The exponent of zero: below that of any product, and far from an integer's limits.
NOTHING = -(2**28)


def carry_jacobians(step: Step, params: Any, carry: Any, inputs: Any) -> Array:
    """How each carry depends on the one before.

        J[t] = ∂h_t / ∂h_t-1,   t = 1 ... T

    Args:
      step: (params, carry, inputs) -> (carry, output).
      params: whatever `step` takes.
      carry: h_0, n numbers in all; a tuple (c, h) is flattened in that order.
      inputs: [T, ...], a pytree.

    Returns:
      [T, n, n].
    """
    start, unravel = ravel_pytree(carry)

    def advance(flat: Array, now: Any) -> tuple[Array, Array]:
        def after(flat: Array) -> Array:
            return ravel_pytree(step(params, unravel(flat), now)[0])[0]

        return after(flat), jax.jacfwd(after)(flat)

    return lax.scan(advance, start, inputs)[1]


def log_jacobian_norms(
    jacobians: Array,
    distances: Sequence[int] | None = None,
    *,
    rows: Entries = ALL,
    columns: Entries = ALL,
) -> Array:
    """log10 of the largest singular value of the product of the first d Jacobians.

        log10 ‖∂h_d / ∂h_0‖₂ = log10 ‖J[d] ··· J[1]‖₂

    Exact to rounding at any distance. Of a part of the carry, what is below 10^-38 (in
    float32) of the largest entry of the whole reads as zero.

    Args:
      jacobians: [T, n, n], from `carry_jacobians`.
      distances: each d, from 1 to T; all of them where none are given.
      rows: which entries of h_d count; slice(0, n // 2) is the cell of an LSTM.
      columns: which entries of h_0 count.

    Returns:
      [number of distances].

    Raises:
      ValueError: Jacobians that are not [T, n, n], a distance outside 1 ... T, or
        entries outside 0 ... n - 1.

    Reference:
      Bengio, Simard and Frasconi, Learning long-term dependencies with gradient descent
      is difficult, 1994.
    """
    jacobians = _wide(jacobians)
    num_steps = len(jacobians)
    if distances is None:
        distances = range(1, num_steps + 1)
    whole = [isinstance(distance, int | np.integer) for distance in distances]
    if not all(whole) or any(not 1 <= each <= num_steps for each in distances):
        raise ValueError(
            f"distances: expected integers from 1 to {num_steps}, got {distances}"
        )
    identity = jnp.eye(jacobians.shape[-1], dtype=jacobians.dtype)
    _check_entries("rows", rows, len(identity))
    _check_entries("columns", columns, len(identity))

    def multiply(state: tuple[Array, Array], jacobian: Array) -> tuple[Any, Any]:
        product, exponent = _rescaled(jacobian @ state[0], state[1])
        return (product, exponent), (product, exponent)

    start = identity[:, _index(columns)], jnp.int32(0)
    _, (products, exponents) = lax.scan(multiply, start, jacobians)
    wanted = jnp.asarray([distance - 1 for distance in distances], int)
    chosen = products[wanted][:, _index(rows)]
    # One matrix at a time: LAPACK calls with a batch, two of them at once, can wait for
    # each other for ever in jaxlib 0.10.
    norms = lax.map(lambda each: jnp.linalg.norm(each, 2), chosen)
    return _log10(norms, exponents[wanted])


def log_singular_values(jacobians: Array, *, sweeps: int = 4) -> Array:
    """log10 of all singular values of the product of the Jacobians, however far apart.

        Q[t] R[t] = J[t] Q[t-1],   Q[0] orthogonal
        first sweep: values = Σ_t log10 |diag R[t]|
        each later sweep: the same with J := R[T]ᵀ, ..., R[1]ᵀ and Q[0] := I

    One sweep is Benettin's method, whose values are right up to a constant while the
    distance grows. Each further sweep is one step of the QR algorithm on the product,
    in factors: values a factor ρ < 1 apart come nearer to the truth by ρ²: after
    four, values far apart are right to rounding, close ones to about a tenth. Their sum
    is always log10 |det|. A value of zero beside others that are not reads as rounding,
    about 10^-7 of them in float32; where the whole product is zero, all are -inf.

    Args:
      jacobians: [T, n, n], from `carry_jacobians`; a part of it for shorter distances.
      sweeps: 1 or more.

    Returns:
      [n], the largest first.

    Raises:
      ValueError: Jacobians that are not [T, n, n], no step, or no sweep.

    Reference:
      Benettin, Galgani, Giorgilli and Strelcyn, Lyapunov characteristic exponents,
      1980; Stewart, On graded QR decompositions of products of matrices, 1995.
    """
    if sweeps < 1:
        raise ValueError(f"sweeps: expected 1 or more, got {sweeps}")
    factors = _wide(jacobians)
    largest = log_jacobian_norms(factors, [len(factors)])
    size = factors.shape[-1]
    basis = _generic_basis(size, factors.dtype)
    for _ in range(sweeps):
        _, uppers = lax.scan(_turn, basis, factors)
        factors = jnp.flip(uppers, 0).swapaxes(1, 2)
        basis = jnp.eye(size, dtype=factors.dtype)
    diagonals = jnp.abs(jnp.diagonal(factors, axis1=1, axis2=2))
    values = jnp.sum(jnp.log10(diagonals), axis=0)
    return jnp.flip(jnp.sort(jnp.minimum(values, largest)))


def _turn(basis: Array, factor: Array) -> tuple[Array, Array]:
    """(Q[t], R[t]) of Q[t-1] and J[t]; not a closure, so that sweeps compile once."""
    q, r = jnp.linalg.qr(factor @ basis)  # newer jax has a type of its own for both
    return q, r


def _generic_basis(size: int, dtype: Any) -> Array:
    """The discrete Hartley transform: orthogonal, and no axis lies in part of it.

    From the axes themselves a singular triangular factor would look like zero.
    """
    angles = 2 * np.pi / size * np.outer(np.arange(size), np.arange(size))
    return jnp.asarray((np.cos(angles) + np.sin(angles)) / math.sqrt(size), dtype)


def lyapunov_slopes(log_norms: Array, distances: Sequence[int] | None = None) -> Array:
    """Mean growth per step, in nats: constant over distance where it is exponential.

        λ(d) = ln ‖∂h_d / ∂h_0‖ / d

    Args:
      log_norms: [K], log10 of norms, from `log_jacobian_norms`.
      distances: [K] steps; 1 ... K where none are given.

    Returns:
      [K] nats per step; below 0 gradients vanish, above 0 they explode.

    Raises:
      ValueError: not one distance per norm.
    """
    if distances is None:
        distances = range(1, len(log_norms) + 1)
    if log_norms.shape != (len(distances),):
        raise ValueError(
            f"distances: expected one for each of {log_norms.shape} norms, "
            f"got {len(distances)}"
        )
    return math.log(10) * log_norms / jnp.asarray(list(distances), log_norms.dtype)


def log_carry_gradients(
    step: Step, params: Any, carry: Any, inputs: Any, loss: Callable[[Any], Array]
) -> Array:
    """log10 of the gradient that reaches each carry.

        profile[t] = log10 ‖∂L / ∂h_t‖₂,   t = 0 ... T-1,   L = loss(outputs)

    h_t acts on L through steps t + 1 to T. The output of step t is made beside h_t, not
    from it, so it does not count.

    Args:
      step, params, carry, inputs: as in `carry_jacobians`.
      loss: outputs, a pytree [T, ...], -> [].

    Returns:
      [T].
    """
    start, unravel = ravel_pytree(carry)

    def flat_step(flat: Array, now: Any) -> tuple[Array, Any]:
        after, output = step(params, unravel(flat), now)
        return ravel_pytree(after)[0], output

    def advance(flat: Array, now: Any) -> tuple[Array, tuple[Array, Any]]:
        after, output = flat_step(flat, now)
        return after, (flat, output)

    _, (carries, outputs) = lax.scan(advance, start, inputs)
    direct = jax.grad(loss)(outputs)

    def retreat(state: tuple[Array, Array], at: Any) -> tuple[Any, Array]:
        gradient, exponent = state
        before, now, from_output = at
        _, pull = jax.vjp(lambda flat: flat_step(flat, now), before)
        no_output = jax.tree.map(jnp.zeros_like, from_output)
        (later,) = pull((gradient, no_output))
        (here,) = pull((jnp.zeros_like(gradient), from_output))
        total = _sum(_rescaled(later, exponent), _rescaled(here, jnp.int32(0)))
        return total, _log10(jnp.linalg.norm(total[0]), total[1])

    last = jnp.zeros_like(start), jnp.int32(0)
    return lax.scan(retreat, last, (carries, inputs, direct), reverse=True)[1]


def half_life(profile: Array) -> Array:
    """Steps back from the last entry until a gradient has fallen to half of it.

        min k: profile[T-1-k] ≤ profile[T-1] − log10 2

    Args:
      profile: [T], log10, from `log_carry_gradients`.

    Returns:
      [] integer: T where it never falls that far (censored; NaN has not fallen), 0
      where the last entry is -inf.
    """
    fallen = jnp.flip(profile <= profile[-1] - math.log10(2))
    return jnp.where(jnp.any(fallen), jnp.argmax(fallen), profile.shape[0])


def _wide(jacobians: Array) -> Array:
    """In at least float32.

    Raises:
      ValueError: not [T, n, n].
    """
    jacobians = jnp.asarray(jacobians)
    jacobians = jacobians.astype(accumulator(jacobians.dtype))
    if jacobians.ndim != 3 or jacobians.shape[1] != jacobians.shape[2]:
        raise ValueError(f"jacobians: expected [T, n, n], got {jacobians.shape}")
    return jacobians


def _check_entries(name: str, entries: Entries, size: int) -> None:
    if isinstance(entries, slice | jax.core.Tracer):
        return
    if not all(0 <= entry < size for entry in np.ravel(entries)):
        raise ValueError(
            f"{name}: expected entries from 0 to {size - 1}, got {entries}"
        )


def _index(entries: Entries) -> slice | Array:
    return entries if isinstance(entries, slice) else jnp.asarray(entries, int)


def _rescaled(array: Array, exponent: Array) -> tuple[Array, Array]:
    """array · 2^exponent with its largest entry in [1/2, 1); zero as 0 · 2^NOTHING."""
    _, shift = jnp.frexp(jnp.max(jnp.abs(array)))
    exponent = jnp.where(jnp.any(array != 0), exponent + shift, NOTHING)
    return jnp.ldexp(array, -shift), exponent


def _sum(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    """left[0] · 2^left[1] + right[0] · 2^right[1], in the larger exponent."""
    exponent = jnp.maximum(left[1], right[1])
    terms = [
        jnp.ldexp(array, jnp.maximum(own - exponent, -3000))
        for array, own in (left, right)
    ]
    return terms[0] + terms[1], exponent


def _log10(norm: Array, exponent: Array) -> Array:
    """log10(norm · 2^exponent), exactly 0 of 1/2 · 2¹."""
    return jnp.log10(2 * norm) + (exponent - 1).astype(norm.dtype) * math.log10(2)
