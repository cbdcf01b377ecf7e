"""What a layer does before and inside its scan, for each cell and its options.

A plan hoists the products with the inputs into one, joins the kernels of all gates,
and picks the fast form if there is one. Time comes first: [T, N, D].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.recurrent import equations
from cnn_jax.ops.recurrent.activations import Activation, function_of, name_of
from cnn_jax.ops.recurrent.forms import Form, GRUForm, LSTMForm, RNNForm
from cnn_jax.ops.recurrent.fused import (
    Recurrence,
    Weights,
    hoisted,
    keep_ended,
    recur,
)
from cnn_jax.ops.recurrent.parameters import (
    Params,
    Shape,
    bias_of,
    joined_biases,
    joined_kernels,
    promote,
)

Arrays = tuple[Array, ...]
# What a step of the plain scan does with the joined product of its inputs.
Advance = Callable[[Array, Arrays], Arrays]


class Plan(NamedTuple):
    """A cell ready to run.

    Attributes:
      weights: joined over the gates.
      sizes: of the state's parts.
      carry_name: for errors.
      way: the fast form, or else the step of a plain scan.
    """

    weights: Weights
    sizes: Shape
    carry_name: str
    way: Form | Advance

    def state(self, carry: Any, batch: Shape) -> Arrays:
        """The first state [*N, size], zeros by default."""
        dtype = self.weights.kernel.dtype
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
        weights = self.weights
        inputs = inputs.astype(weights.kernel.dtype)
        if isinstance(self.way, Form):
            recurrence = Recurrence(self.way, reverse, unroll)
            return recur(recurrence, weights, inputs, state, mask)
        steps, project = hoisted(weights, inputs)
        advance = self.way

        def body(before: Arrays, step: tuple) -> tuple[Arrays, Array]:
            inputs, live = step
            after = keep_ended(live, advance(project(inputs), before), before)
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
    kernel, recurrent_kernel = params["i"]["kernel"], params["h"]["kernel"]
    weights = Weights(kernel, recurrent_kernel, bias_of(params, "i"), None)

    def advance(projected: Array, state: Arrays) -> Arrays:
        (h,) = state
        z = projected + weights.of_state(h)
        z = z + h.astype(z.dtype) if residual else z
        return (function(z).astype(h.dtype),)

    way = RNNForm(name) if name and not residual else advance
    return Plan(weights, equations.rnn_sizes(params), "h", way)


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
    gates = equations.lstm_gates(params)
    inner, recurrent = ([f"{side}{name}" for name in gates] for side in "ih")
    weights = Weights(
        joined_kernels(params, inner),
        joined_kernels(params, recurrent),
        None,
        joined_biases(params, recurrent),
    )

    def advance(projected: Array, state: Arrays) -> Arrays:
        c, h = state
        sums = projected + weights.of_state(h)
        blocks = jnp.split(sums, len(gates), axis=-1)
        z = dict(zip(gates, blocks, strict=True))
        return equations.lstm_state(params, z, c, options)

    names = name_of(gate), name_of(activation)
    plain = len(gates) == 4 and not {"peephole", "projection"} & params.keys()
    way: Form | Advance = advance
    if plain and cell_clip is None and all(names):
        way = LSTMForm(str(names[0]), str(names[1]))
    return Plan(weights, equations.lstm_sizes(params), "(c, h)", way)


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
    inner, recurrent = ["in", "ir", "iz"], ["hr", "hz", "hn"]
    weights = Weights(
        joined_kernels(params, inner),
        joined_kernels(params, recurrent),
        joined_biases(params, inner),
        joined_biases(params, recurrent),
    )
    gates = joined_kernels(params, ["hr", "hz"])

    def advance(projected: Array, state: Arrays) -> Arrays:
        (h,) = state
        from_inputs, rest = jnp.split(projected, [h.shape[-1]], axis=-1)
        r, z = jnp.split(options.gate(rest + h.astype(rest.dtype) @ gates), 2, axis=-1)
        n = equations.gru_candidate(params, from_inputs, r, h, options)
        return (equations.gru_state(z, n, h, options),)

    names = name_of(gate), name_of(activation)
    way: Form | Advance = advance
    if reset == "after" and all(names):
        way = GRUForm(str(names[0]), str(names[1]), update)
    return Plan(weights, equations.gru_sizes(params), "h", way)
