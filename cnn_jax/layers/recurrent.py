"""Recurrent cells, and layers of them over time, for inputs [*N, T, D].

Cells are flax.linen's own with another way to compute: fields, parameter trees, draws
and initial carries are its. `RNN` over one of them runs the fast layers of ops, with
parameters under "cell"; over any other cell it is flax.linen's. `Bidirectional` is
flax.linen's: it runs what it is given.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen import Bidirectional
from flax.linen.dtypes import promote_dtype
from flax.typing import Initializer
from jax import Array
from jax.typing import DTypeLike

from cnn_jax import ops
from cnn_jax.ops.recurrent.initializers import gate_biases

__all__ = [
    "RNN",
    "Bidirectional",
    "GRUCell",
    "LSTMCell",
    "OptimizedLSTMCell",
    "SimpleCell",
]


class SimpleCell(nn.SimpleCell):
    """flax.linen.SimpleCell, computed by `ops.rnn_step`.

    Parameters: i/kernel [D, H], i/bias [H], h/kernel [H, H]. Fields as there.
    """

    @nn.compact
    def parameters(self, in_features: int) -> dict[str, Any]:
        """The tree that `ops.rnn` takes."""
        inner = _dense(self, "i", in_features, True)
        return {"i": inner, "h": _dense(self, "h", self.features, False)}

    def __call__(self, carry: Array, inputs: Array) -> tuple[Array, Array]:
        """h [*N, H], inputs [*N, D] -> (h', h')"""
        inputs, params = _drawn(self, inputs)
        return ops.rnn_step(params, carry, inputs, **self.options())

    def over_time(self, inputs: Array, carry: Array, **time: Any) -> tuple[Any, Array]:
        """[*N, T, D] -> (carry, outputs [*N, T, H])"""
        inputs, params = _drawn(self, inputs)
        return ops.rnn(params, inputs, carry, **time, **self.options())

    def options(self) -> dict[str, Any]:
        """What `ops.rnn_step` and `ops.rnn` take by keyword."""
        return {"activation": self.activation_fn, "residual": self.residual}


class LSTMCell(nn.LSTMCell):
    """flax.linen.LSTMCell, computed by `ops.lstm_step`.

    Parameters: ii/kernel, if/kernel, ig/kernel, io/kernel [D, H]; hi/kernel, ...
    [H, H] and hi/bias, ... [H]. Fields as there, and two for the biases drawn.

    Attributes:
      forget_bias: added to what `bias_init` draws for the forget gate.
      chrono_length: T_max of chrono initialization, as in `ops.init_lstm`.
    """

    forget_bias: float = 0.0
    chrono_length: int | None = None

    @nn.compact
    def parameters(self, in_features: int) -> dict[str, Any]:
        """The tree that `ops.lstm` takes."""
        inits = self._bias_inits()
        params = {}
        for name in "ifgo":
            params[f"i{name}"] = _dense(self, f"i{name}", in_features, False)
            params[f"h{name}"] = _dense(
                self, f"h{name}", self.features, True, inits.get(name)
            )
        return params

    def __call__(
        self, carry: tuple[Array, Array], inputs: Array
    ) -> tuple[tuple[Array, Array], Array]:
        """(c, h) [*N, H] each, inputs [*N, D] -> ((c', h'), h')"""
        inputs, params = _drawn(self, inputs)
        return ops.lstm_step(params, carry, inputs, **self.options())

    def over_time(
        self, inputs: Array, carry: tuple[Array, Array], **time: Any
    ) -> tuple[Any, Array]:
        """[*N, T, D] -> (carry, outputs [*N, T, H])"""
        inputs, params = _drawn(self, inputs)
        return ops.lstm(params, inputs, carry, **time, **self.options())

    def options(self) -> dict[str, Any]:
        """What `ops.lstm_step` and `ops.lstm` take by keyword."""
        return {"gate": self.gate_fn, "activation": self.activation_fn}

    def _bias_inits(self) -> dict[str, Initializer]:
        """Those of the gates whose biases are not drawn by `bias_init` alone."""
        if not self.is_initializing():
            return {}
        if not self.forget_bias and self.chrono_length is None:
            return {}
        biases = gate_biases(
            self.make_rng("params"),
            self.features,
            self.forget_bias,
            self.chrono_length,
            self.param_dtype,
        )
        if self.chrono_length is None:
            del biases["i"]

        def raised(name: str) -> Initializer:
            return lambda *of: self.bias_init(*of) + biases[name]

        return {name: raised(name) for name in biases}


class OptimizedLSTMCell(LSTMCell):
    """flax.linen.OptimizedLSTMCell: parameters, fields and values are `LSTMCell`'s."""


class GRUCell(nn.GRUCell):
    """flax.linen.GRUCell, computed by `ops.gru_step`.

    Parameters: ir/kernel, iz/kernel, in/kernel [D, H], hr/kernel, hz/kernel, hn/kernel
    [H, H]; ir/bias, iz/bias, in/bias, hn/bias [H]. Fields as there, and the two
    conventions.

    Attributes:
      update: "cho" or "chung", as in `ops.gru_step`.
      reset: "after" or "before", as in `ops.gru_step`.
    """

    update: str = "cho"
    reset: str = "after"

    @nn.compact
    def parameters(self, in_features: int) -> dict[str, Any]:
        """The tree that `ops.gru` takes."""
        params = {}
        for name in "rzn":
            params[f"i{name}"] = _dense(self, f"i{name}", in_features, True)
            params[f"h{name}"] = _dense(self, f"h{name}", self.features, name == "n")
        return params

    def __call__(self, carry: Array, inputs: Array) -> tuple[Array, Array]:
        """h [*N, H], inputs [*N, D] -> (h', h')"""
        inputs, params = _drawn(self, inputs)
        return ops.gru_step(params, carry, inputs, **self.options())

    def over_time(self, inputs: Array, carry: Array, **time: Any) -> tuple[Any, Array]:
        """[*N, T, D] -> (carry, outputs [*N, T, H])"""
        inputs, params = _drawn(self, inputs)
        return ops.gru(params, inputs, carry, **time, **self.options())

    def options(self) -> dict[str, Any]:
        """What `ops.gru_step` and `ops.gru` take by keyword."""
        return {
            "gate": self.gate_fn,
            "activation": self.activation_fn,
            "update": self.update,
            "reset": self.reset,
        }


class RNN(nn.RNN):
    """flax.linen.RNN, computed by `ops.rnn`, `ops.lstm` or `ops.gru` over our cells.

    Fields and arguments as there; those of flax.linen.scan (variable_axes and the like)
    matter only to other cells. With seq_lengths, outputs beyond a length are zero,
    where flax.linen leaves what the padding computes, and inputs there are not read.
    """

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
        """[*N, T, D] -> outputs [*N, T, H], or (carry, outputs) with return_carry"""
        given = {
            "return_carry": return_carry,
            "time_major": time_major,
            "reverse": reverse,
            "keep_order": keep_order,
        }
        if not isinstance(self.cell, SimpleCell | LSTMCell | GRUCell):
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
        )
        if now["time_major"]:
            outputs = jnp.moveaxis(outputs, -2, 0)
        return (carry, outputs) if now["return_carry"] else outputs


class _Dense(nn.Module):
    """The parameters of flax.linen.Dense, without its product."""

    features: int
    use_bias: bool
    kernel_init: Initializer
    bias_init: Initializer
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, in_features: int) -> dict[str, Array]:
        shape = (in_features, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        if not self.use_bias:
            return {"kernel": kernel}
        shape = (self.features,)
        bias = self.param("bias", self.bias_init, shape, self.param_dtype)
        return {"kernel": kernel, "bias": bias}


def _dense(
    cell: Any,
    name: str,
    in_features: int,
    use_bias: bool,
    bias_init: Initializer | None = None,
) -> dict[str, Array]:
    """Kernel and bias of one gate, of the inputs (i*) or of the state (h*)."""
    inner = name.startswith("i")
    dense = _Dense(
        cell.features,
        use_bias,
        cell.kernel_init if inner else cell.recurrent_kernel_init,
        bias_init or cell.bias_init,
        cell.param_dtype,
        name=name,
    )
    return dense(in_features)


def _drawn(cell: Any, inputs: Array) -> tuple[Array, Any]:
    """Inputs and parameters in the dtype of the computation."""
    leaves, structure = jax.tree.flatten(cell.parameters(inputs.shape[-1]))
    inputs, *leaves = promote_dtype(inputs, *leaves, dtype=cell.dtype)
    return inputs, jax.tree.unflatten(structure, leaves)
