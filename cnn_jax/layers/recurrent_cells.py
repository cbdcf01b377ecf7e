"""Recurrent cells, for inputs [*N, D] of one step or, by `over_time`, [*N, T, D].

Cells are flax.linen's own with another way to compute: fields, parameter trees, draws
and initial carries are its.
"""

from typing import Any

import flax.linen as nn
import jax
from flax.linen.dtypes import promote_dtype
from flax.typing import Initializer
from jax import Array
from jax.typing import DTypeLike

from cnn_jax import ops
from cnn_jax.ops.recurrent.initializers import gate_biases

__all__ = ["GRUCell", "LSTMCell", "OptimizedLSTMCell", "SimpleCell"]


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
    [H or P, H] and hi/bias, ... [H]; projection/kernel [H, P] and peephole/i, f, o [H]
    where asked for; no if, hf and peephole/f where gates are coupled. Fields as there,
    and those of the cell's variants.

    Attributes:
      forget_bias: added to what `bias_init` draws for the forget gate; where gates are
        coupled, its negative to the input gate's.
      chrono_length: T_max of chrono initialization, as in `ops.init_lstm`.
      projection_features: P, the size of h after a projection of the output; None for
        none.
      use_peephole: whether the gates see the cell; the weights begin as zeros.
      coupled: whether f = 1 − i, without a forget gate of its own.
      cell_clip: c' is limited to ± this; None does not limit.
      projection_clip: h' is, after the projection.
    """

    forget_bias: float = 0.0
    chrono_length: int | None = None
    projection_features: int | None = None
    use_peephole: bool = False
    coupled: bool = False
    cell_clip: float | None = None
    projection_clip: float | None = None

    @nn.compact
    def parameters(self, in_features: int) -> dict[str, Any]:
        """The tree that `ops.lstm` takes."""
        inits = self._bias_inits()
        projected = self.projection_features
        state_size = self.features if projected is None else projected
        gates = "igo" if self.coupled else "ifgo"
        params: dict[str, Any] = {}
        for name in gates:
            params[f"i{name}"] = _dense(self, f"i{name}", in_features, False)
            params[f"h{name}"] = _dense(
                self, f"h{name}", state_size, True, inits.get(name)
            )
        if projected is not None:
            projection = _Dense(
                projected,
                False,
                self.kernel_init,
                self.bias_init,
                self.param_dtype,
                name="projection",
            )
            params["projection"] = projection(self.features)
        if self.use_peephole:
            shape, dtype = (self.features,), self.param_dtype
            peephole = _Peephole(gates.replace("g", ""), shape, dtype, name="peephole")
            params["peephole"] = peephole()
        return params

    @nn.nowrap
    def initialize_carry(
        self, rng: Array, input_shape: tuple[int, ...]
    ) -> tuple[Array, Array]:
        """(c [*N, H], h [*N, H or P]) for inputs [*N, D], drawn by `carry_init`."""
        c, h = super().initialize_carry(rng, input_shape)
        if self.projection_features is None:
            return c, h
        shape = (*input_shape[:-1], self.projection_features)
        return c, self.carry_init(jax.random.split(rng)[1], shape, self.param_dtype)

    def __call__(
        self, carry: tuple[Array, Array], inputs: Array
    ) -> tuple[tuple[Array, Array], Array]:
        """c [*N, H], h [*N, H or P], inputs [*N, D] -> ((c', h'), h')"""
        inputs, params = _drawn(self, inputs)
        return ops.lstm_step(params, carry, inputs, **self.options())

    def over_time(
        self, inputs: Array, carry: tuple[Array, Array], **time: Any
    ) -> tuple[Any, Array]:
        """[*N, T, D] -> (carry, outputs [*N, T, H or P])"""
        inputs, params = _drawn(self, inputs)
        return ops.lstm(params, inputs, carry, **time, **self.options())

    def options(self) -> dict[str, Any]:
        """What `ops.lstm_step` and `ops.lstm` take by keyword."""
        return {
            "gate": self.gate_fn,
            "activation": self.activation_fn,
            "cell_clip": self.cell_clip,
            "projection_clip": self.projection_clip,
        }

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
        if self.chrono_length is None and not self.coupled:
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


class _Peephole(nn.Module):
    """The weights by which gates see the cell."""

    gates: str
    shape: tuple[int, ...]
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self) -> dict[str, Array]:
        zeros = nn.initializers.zeros
        return {
            name: self.param(name, zeros, self.shape, self.param_dtype)
            for name in self.gates
        }


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
