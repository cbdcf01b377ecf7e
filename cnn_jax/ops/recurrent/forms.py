"""The elementwise half of each fast cell, its tangent, and the transpose of that.

What is left of a cell when the matrix products are taken out: what the inputs give,
x [N, P], and what the state gives, s [N, K], give the state after. Each form has

    advance(x, s, before)       -> (after, slopes)
    moved(slopes, x, s)         -> dz, the tangents of what the activations see, r held
    push(slopes, dz, dbefore)   -> dafter
    pull(slopes, cotangent of after) -> cotangents of (dz, s, before)

By the slopes, which the forward scan keeps, the tangent is linear arithmetic; `moved`
takes its x and s as functions of the columns, in units of H. States are tuples of
[N, H] that end with h, the output; slopes have the state's dtype.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.recurrent.activations import function_of, slope

Arrays = tuple[Array, ...]
Columns = Callable[[int, int], Array]


@dataclass(frozen=True)
class RNNForm:
    """h' = activation(x + s); the state is (h,)."""

    activation: str

    def advance(self, x: Array, s: Array, before: Arrays) -> tuple[Arrays, Arrays]:
        h = function_of(self.activation)(x + s).astype(before[-1].dtype)
        return (h,), (slope(self.activation, h),)

    def moved(self, slopes: Arrays, x: Columns, s: Columns) -> Arrays:
        return (x(0, 1) + s(0, 1),)

    def push(self, slopes: Arrays, dz: Arrays, dbefore: Arrays) -> Arrays:
        return (slopes[0] * dz[0],)

    def pull(self, slopes: Arrays, cotangent: Arrays) -> tuple[Arrays, Array, Arrays]:
        (dh,) = cotangent
        dz = slopes[0] * dh
        return (dz,), dz, (jnp.zeros_like(dh),)


@dataclass(frozen=True)
class LSTMForm:
    """x + s holds i, f, g, o; c' = f * c + i * g, h' = o * activation(c')."""

    gate: str
    activation: str

    def advance(self, x: Array, s: Array, before: Arrays) -> tuple[Arrays, Arrays]:
        gate, activation = function_of(self.gate), function_of(self.activation)
        c0, _ = before
        z = x + s
        # The gate of all four and the activation of one: XLA on CPU makes vectors of a
        # loop over z as it lies, but not of one over four parts of a sum.
        i, f, _, o = jnp.split(gate(z), 4, axis=-1)
        g = activation(jnp.split(z, 4, axis=-1)[2])
        c = f.astype(c0.dtype) * c0 + (i * g).astype(c0.dtype)
        squashed = activation(c)
        h = o.astype(c.dtype) * squashed
        i, f, g, o = (gate.astype(c.dtype) for gate in (i, f, g, o))
        slopes = (
            f,
            g * slope(self.gate, i),
            c0 * slope(self.gate, f),
            i * slope(self.activation, g),
            squashed * slope(self.gate, o),
            o * slope(self.activation, squashed),
        )
        return (c, h), slopes

    def moved(self, slopes: Arrays, x: Columns, s: Columns) -> Arrays:
        return (x(0, 4) + s(0, 4),)

    def push(self, slopes: Arrays, dz: Arrays, dbefore: Arrays) -> Arrays:
        keep, *of_gates, through = slopes
        di, df, dg, do = map(jnp.multiply, of_gates, jnp.split(dz[0], 4, axis=-1))
        dc = keep * dbefore[0] + df + di + dg
        return dc, through * dc + do

    def pull(self, slopes: Arrays, cotangent: Arrays) -> tuple[Arrays, Array, Arrays]:
        keep, *of_gates, through = slopes
        dc, dh = cotangent
        dc += through * dh
        gates = map(jnp.multiply, of_gates, (dc, dc, dc, dh))
        dz = jnp.concatenate([*gates], axis=-1)
        return (dz,), dz, (keep * dc, jnp.zeros_like(dh))


@dataclass(frozen=True)
class GRUForm:
    """x holds n, r, z, and s holds r, z, n.

    n = activation(n_x + r * n_s), h' = (1 − k) * n + k * h; k is z after Cho, 1 − z
    after Chung.
    """

    gate: str
    activation: str
    update: str

    def advance(self, x: Array, s: Array, before: Arrays) -> tuple[Arrays, Arrays]:
        gate, activation = function_of(self.gate), function_of(self.activation)
        (h0,) = before
        hidden = h0.shape[-1]
        # One array with the gate of all of it, for XLA's sake as in LSTMForm.
        gates = x[..., hidden:] + s[..., : 2 * hidden]
        parts = [x[..., :hidden], gates, s[..., 2 * hidden :]]
        joined = jnp.concatenate(parts, axis=-1)
        n_x, _, _, n_s = jnp.split(joined, 4, axis=-1)
        _, r, z, _ = jnp.split(gate(joined), 4, axis=-1)
        n = activation(n_x + r * n_s)
        keep = z if self.update == "cho" else 1 - z
        h = keep.astype(h0.dtype) * h0 + ((1 - keep) * n).astype(h0.dtype)
        r, z, n, n_s, keep = (each.astype(h.dtype) for each in (r, z, n, n_s, keep))
        of_n = (1 - keep) * slope(self.activation, n)
        of_r = of_n * n_s * slope(self.gate, r)
        sign = 1 if self.update == "cho" else -1
        of_z = sign * (h0 - n) * slope(self.gate, z)
        return (h,), (keep, of_n, of_r, of_z, r)

    def moved(self, slopes: Arrays, x: Columns, s: Columns) -> Arrays:
        r = slopes[-1]
        n_s = s(2, 3)
        return x(0, 1) + r.astype(n_s.dtype) * n_s, x(1, 3) + s(0, 2)

    def push(self, slopes: Arrays, dz: Arrays, dbefore: Arrays) -> Arrays:
        keep, of_n, of_r, of_z, _ = slopes
        dn, gates = dz
        dr, dz_gate = jnp.split(gates, 2, axis=-1)
        return (keep * dbefore[0] + of_n * dn + of_r * dr + of_z * dz_gate,)

    def pull(self, slopes: Arrays, cotangent: Arrays) -> tuple[Arrays, Array, Arrays]:
        keep, of_n, of_r, of_z, r = slopes
        (dh,) = cotangent
        dn = of_n * dh
        gates = [of_r * dh, of_z * dh]
        dz = dn, jnp.concatenate(gates, axis=-1)
        return dz, jnp.concatenate([*gates, r * dn], axis=-1), (keep * dh,)


Form = RNNForm | LSTMForm | GRUForm
