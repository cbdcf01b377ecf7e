"""What a layer does before and inside its scan, for each cell and its options.

A plan has the kernels of all gates and the fast form if there is one, or else the step
of a plain scan. Time comes first: [T, N, D].
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.recurrent import equations
from cnn_jax.ops.recurrent.activations import Activation, function_of, name_of
from cnn_jax.ops.recurrent.equations import Function
from cnn_jax.ops.recurrent.forms import Form, GRUForm, LSTMForm, RNNForm
from cnn_jax.ops.recurrent.fused import (
    Gates,
    Recurrence,
    Weights,
    hoisted,
    keep_ended,
    recur,
)
from cnn_jax.ops.recurrent.parameters import (
    Params,
    Shape,
    biases_of,
    kernels_of,
    promote,
)

Arrays = tuple[Array, ...]
Options = TypeVar("Options", equations.LSTMOptions, equations.GRUOptions)
# What a step of the plain scan does with the joined product of its inputs; the last
# argument tells which sequences still run.
Advance = Callable[[Weights, Array, Arrays, Array | None], Arrays]


class Plan(NamedTuple):
    """A cell ready to run.

    Attributes:
      gates: their kernels and biases.
      sizes: of the state's parts.
      carry_name: for errors.
      way: the fast form, or else the step of a plain scan.
    """

    gates: Gates
    sizes: Shape
    carry_name: str
    way: Form | Advance

    def state(self, carry: Any, batch: Shape) -> Arrays:
        """The first state [*N, size], zeros by default."""
        dtype = self.gates.kernels[0].dtype
        if carry is None:
            return tuple(jnp.zeros((*batch, size), dtype) for size in self.sizes)
        like = jnp.zeros((*batch, 0), dtype)
        return equations.state_of(carry, self.sizes, like, self.carry_name)

    def run(
        self,
        state: Arrays,
        inputs: Array,
        mask: Array | None,
        reverse: bool,
        unroll: int,
    ) -> tuple[Arrays, Array]:
        """[T, N, D] -> (last state, outputs [T, N, H])"""
        inputs = inputs.astype(self.gates.kernels[0].dtype)
        if isinstance(self.way, Form):
            recurrence = Recurrence(self.way, reverse, unroll)
            return recur(recurrence, self.gates, inputs, state, mask)
        weights, advance = self.gates.joined(), self.way
        steps, project = hoisted(weights, inputs)

        def body(before: Arrays, step: tuple) -> tuple[Arrays, Array]:
            inputs, live = step
            after = advance(weights, project(inputs), before, live)
            after = keep_ended(live, after, before)
            return after, after[-1]

        return lax.scan(body, state, (steps, mask), reverse=reverse, unroll=unroll)


def rnn(
    params: Params, inputs: Array, *, activation: Activation, residual: bool
) -> Plan:
    """The plan of `rnn_step`."""
    function = function_of(activation)
    equations.check_rnn(params, inputs)
    params, _ = promote(params, inputs)
    name = name_of(activation)

    def advance(
        weights: Weights, projected: Array, state: Arrays, live: Array | None
    ) -> Arrays:
        (h,) = state
        z = projected + weights.of_state(h)
        z = z + h.astype(z.dtype) if residual else z
        return (_while_live(live, function)(z).astype(h.dtype),)

    way = RNNForm(name) if name and not residual else advance
    gates = _gates(params, ["i"], ["h"])
    return Plan(gates, equations.rnn_sizes(params), "h", way)


def lstm(
    params: Params,
    inputs: Array,
    *,
    gate: Activation,
    activation: Activation,
    cell_clip: float | None,
    projection_clip: float | None,
) -> Plan:
    """The plan of `lstm_step`."""
    options = equations.lstm_options(
        gate, activation, cell_clip, projection_clip, params
    )
    equations.check_lstm(params, inputs)
    params, _ = promote(params, inputs)
    names = equations.lstm_gates(params)

    def advance(
        weights: Weights, projected: Array, state: Arrays, live: Array | None
    ) -> Arrays:
        c, h = state
        sums = projected + weights.of_state(h)
        blocks = jnp.split(sums, len(names), axis=-1)
        z = dict(zip(names, blocks, strict=True))
        return equations.lstm_state(params, z, c, _all_while_live(live, options))

    named = name_of(gate), name_of(activation)
    plain = len(names) == 4 and not {"peephole", "projection"} & params.keys()
    way: Form | Advance = advance
    if plain and cell_clip is None and all(named):
        way = LSTMForm(str(named[0]), str(named[1]))
    gates = _gates(
        params, [f"i{each}" for each in names], [f"h{each}" for each in names]
    )
    return Plan(gates, equations.lstm_sizes(params), "(c, h)", way)


def gru(
    params: Params,
    inputs: Array,
    *,
    gate: Activation,
    activation: Activation,
    update: str,
    reset: str,
) -> Plan:
    """The plan of `gru_step`."""
    options = equations.gru_options(gate, activation, update, reset)
    equations.check_gru(params, inputs)
    params, _ = promote(params, inputs)
    of_gates = jnp.concatenate(kernels_of(params, ["hr", "hz"]), axis=-1)

    def advance(
        weights: Weights, projected: Array, state: Arrays, live: Array | None
    ) -> Arrays:
        (h,) = state
        now = _all_while_live(live, options)
        from_inputs, rest = jnp.split(projected, [h.shape[-1]], axis=-1)
        sums = rest + h.astype(rest.dtype) @ of_gates
        r, z = jnp.split(now.gate(sums), 2, axis=-1)
        n = equations.gru_candidate(params, from_inputs, r, h, now)
        return (equations.gru_state(z, n, h, now),)

    named = name_of(gate), name_of(activation)
    way: Form | Advance = advance
    if reset == "after" and all(named):
        way = GRUForm(str(named[0]), str(named[1]), update)
    gates = _gates(params, ["in", "ir", "iz"], ["hr", "hz", "hn"])
    return Plan(gates, equations.gru_sizes(params), "h", way)


def _while_live(live: Array | None, function: Function) -> Function:
    """The function, without a derivative where a sequence has ended.

    Nothing comes of such a step, but an infinite slope there times a derivative of 0
    would be NaN: beside a sequence of length 0, say, of a function steep at 0. The
    mask before it is for reverse mode, the one behind it for forward mode. Functions
    that have a name are nowhere infinitely steep.
    """
    if live is None or name_of(function):
        return function

    def held(values: Array) -> Array:
        return jnp.where(live, values, lax.stop_gradient(values))

    return lambda z: held(function(held(z)))


def _all_while_live(live: Array | None, options: Options) -> Options:
    return options._replace(
        gate=_while_live(live, options.gate),
        activation=_while_live(live, options.activation),
    )


def _gates(params: Params, inner: list[str], recurrent: list[str]) -> Gates:
    return Gates(
        kernels_of(params, inner),
        kernels_of(params, recurrent),
        biases_of(params, inner),
        biases_of(params, recurrent),
    )
