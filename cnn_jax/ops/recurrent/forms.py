"""The elementwise half of each fast cell, its derivative, and the transpose of that.

What is left of a cell when the matrix products are taken out: sums z of all gates
[N, Z·H] and the state before give the state after. Each form has three methods:

    advance(z, before)           -> (after, kept)
    push(kept, before, after, dz, dbefore)  -> dafter
    pull(kept, before, after, cotangent of after) -> (cotangents of z and of before)

Of the blocks of z, the first `num_unshared` come from the inputs alone and as many at
its end from the state alone; the others are sums. `kept` are the gates: by them, and by
the states, every slope is known. States are tuples of [N, H] that end with h, the
output.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.recurrent.activations import function_of, slope

Arrays = tuple[Array, ...]


@dataclass(frozen=True)
class RNNForm:
    """h' = activation(z); the state is (h,)."""

    activation: str
    num_blocks: ClassVar[int] = 1
    num_unshared: ClassVar[int] = 0

    def advance(self, z: Array, before: Arrays) -> tuple[Arrays, Arrays]:
        (h,) = before
        return (function_of(self.activation)(z).astype(h.dtype),), ()

    def push(
        self, kept: Arrays, before: Arrays, after: Arrays, dz: Array, dbefore: Arrays
    ) -> Arrays:
        return (slope(self.activation, after[0]) * dz,)

    def pull(
        self, kept: Arrays, before: Arrays, after: Arrays, cotangent: Arrays
    ) -> tuple[Array, Arrays]:
        (dh,) = cotangent
        return slope(self.activation, after[0]) * dh, (jnp.zeros_like(dh),)


@dataclass(frozen=True)
class LSTMForm:
    """z holds i, f, g, o; c' = f * c + i * g, h' = o * activation(c')."""

    gate: str
    activation: str
    num_blocks: ClassVar[int] = 4
    num_unshared: ClassVar[int] = 0

    def advance(self, z: Array, before: Arrays) -> tuple[Arrays, Arrays]:
        gate, activation = function_of(self.gate), function_of(self.activation)
        c, _ = before
        zi, zf, zg, zo = jnp.split(z, 4, axis=-1)
        i, f, g, o = gate(zi), gate(zf), activation(zg), gate(zo)
        c = f.astype(c.dtype) * c + (i * g).astype(c.dtype)
        h = o.astype(c.dtype) * activation(c)
        return (c, h), (i, f, g, o)

    def push(
        self, kept: Arrays, before: Arrays, after: Arrays, dz: Array, dbefore: Arrays
    ) -> Arrays:
        c, new_c = before[0], after[0]
        i, f, g, o = kept
        di, df, dg, do = jnp.split(dz, 4, axis=-1)
        squashed = function_of(self.activation)(new_c)
        dc = f * dbefore[0] + c * slope(self.gate, f) * df
        dc += g * slope(self.gate, i) * di + i * slope(self.activation, g) * dg
        dh = o * slope(self.activation, squashed) * dc
        return dc, dh + squashed * slope(self.gate, o) * do

    def pull(
        self, kept: Arrays, before: Arrays, after: Arrays, cotangent: Arrays
    ) -> tuple[Array, Arrays]:
        c, new_c = before[0], after[0]
        i, f, g, o = kept
        dc, dh = cotangent
        squashed = function_of(self.activation)(new_c)
        dc += dh * o * slope(self.activation, squashed)
        di = dc * g * slope(self.gate, i)
        df = dc * c * slope(self.gate, f)
        dg = dc * i * slope(self.activation, g)
        do = dh * squashed * slope(self.gate, o)
        dz = jnp.concatenate([di, df, dg, do], axis=-1)
        return dz, (dc * f, jnp.zeros_like(dh))


@dataclass(frozen=True)
class GRUForm:
    """z holds the inputs' part of n, then r, z, and the state's part of n.

    n = activation(n_x + r * n_h), h' = (1 − k) * n + k * h; k is z after Cho, 1 − z
    after Chung.
    """

    gate: str
    activation: str
    update: str
    num_blocks: ClassVar[int] = 4
    num_unshared: ClassVar[int] = 1

    def advance(self, z: Array, before: Arrays) -> tuple[Arrays, Arrays]:
        gate, activation = function_of(self.gate), function_of(self.activation)
        (h,) = before
        from_inputs, zr, zz, from_state = jnp.split(z, 4, axis=-1)
        r, z = gate(zr), gate(zz)
        n = activation(from_inputs + r * from_state)
        keep = self._keep(z)
        h = keep.astype(h.dtype) * h + ((1 - keep) * n).astype(h.dtype)
        return (h,), (r, z, n, from_state)

    def push(
        self, kept: Arrays, before: Arrays, after: Arrays, dz: Array, dbefore: Arrays
    ) -> Arrays:
        (h,), (dh,) = before, dbefore
        r, z, n, from_state = kept
        dfrom_inputs, dr, dz, dfrom_state = jnp.split(dz, 4, axis=-1)
        dr *= slope(self.gate, r)
        dn = slope(self.activation, n) * (
            dfrom_inputs + from_state * dr + r * dfrom_state
        )
        keep, dkeep = self._keep(z), self._sign() * slope(self.gate, z) * dz
        return ((1 - keep) * dn + keep * dh + (h - n) * dkeep,)

    def pull(
        self, kept: Arrays, before: Arrays, after: Arrays, cotangent: Arrays
    ) -> tuple[Array, Arrays]:
        (h,), (dh,) = before, cotangent
        r, z, n, from_state = kept
        keep = self._keep(z)
        dn = dh * (1 - keep) * slope(self.activation, n)
        dr = dn * from_state * slope(self.gate, r)
        dz = self._sign() * dh * (h - n) * slope(self.gate, z)
        return jnp.concatenate([dn, dr, dz, dn * r], axis=-1), (dh * keep,)

    def _keep(self, z: Array) -> Array:
        return z if self.update == "cho" else 1 - z

    def _sign(self) -> int:
        return 1 if self.update == "cho" else -1


Form = RNNForm | LSTMForm | GRUForm
