"""Recurrent layers over time, for inputs [*N, T, D].

`RNN` over a cell of `recurrent_cells` runs the fast layers of ops, with parameters
under "cell"; over any other cell it is flax.linen's. `Bidirectional` is flax.linen's:
it runs what it is given.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen import Bidirectional
from jax import Array

from cnn_jax.layers.recurrent_cells import GRUCell, LSTMCell, SimpleCell

__all__ = ["RNN", "Bidirectional"]

_OURS = SimpleCell | LSTMCell | GRUCell


class RNN(nn.RNN):
    """flax.linen.RNN, computed by `ops.rnn`, `ops.lstm` or `ops.gru` over our cells.

    Fields and arguments as there; those of flax.linen.scan (variable_axes and the like)
    matter only to other cells. With seq_lengths, outputs beyond a length are zero,
    where flax.linen leaves what the padding computes, and inputs there are not read.

    Attributes:
      unroll: steps per iteration of the loop; None: 1 on a CPU and with cells of
        flax.linen's own, 8 elsewhere.
      chunk_length: steps whose states are kept at once for the gradient, as in
        `ops.lstm`; None keeps all. Not with cells of flax.linen's own.
    """

    unroll: int | None = None  # pyrefly: ignore
    chunk_length: int | None = None

    def __post_init__(self) -> None:
        if self.unroll is None and not isinstance(self.cell, _OURS):
            self.unroll = 1
        super().__post_init__()

    def __call__(
        self,
        inputs: Array,
        *,
        initial_carry: Any = None,
        init_key: Array | None = None,
        seq_lengths: Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """[*N, T, D] -> outputs [*N, T, H or P], or (carry, outputs) if return_carry"""
        given = {
            "return_carry": return_carry,
            "time_major": time_major,
            "reverse": reverse,
            "keep_order": keep_order,
        }
        if not isinstance(self.cell, _OURS):
            if self.chunk_length is not None:
                raise ValueError(
                    "chunk_length: expected None with a cell that is not of "
                    f"cnn_jax.layers, got {self.chunk_length}"
                )
            return super().__call__(
                inputs,
                initial_carry=initial_carry,
                init_key=init_key,
                seq_lengths=seq_lengths,
                **given,
            )
        now = {name: getattr(self, name) for name in given}
        now |= {name: value for name, value in given.items() if value is not None}
        if now["time_major"]:
            inputs = jnp.moveaxis(inputs, 0, -2)
        carry = initial_carry
        if carry is None:
            key = jax.random.key(0) if init_key is None else init_key
            step_shape = (*inputs.shape[:-2], inputs.shape[-1])
            carry = self.cell.initialize_carry(key, step_shape)
        carry, outputs = self.cell.over_time(
            inputs,
            carry,
            lengths=seq_lengths,
            reverse=now["reverse"],
            keep_order=now["keep_order"],
            unroll=self.unroll,
            chunk_length=self.chunk_length,
        )
        if now["time_major"]:
            outputs = jnp.moveaxis(outputs, -2, 0)
        return (carry, outputs) if now["return_carry"] else outputs
