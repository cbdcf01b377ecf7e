"""One step of each recurrent cell: a scan body over parameters in flax.linen's names.

    step(params, carry, inputs) -> (carry, output),   options by functools.partial

Inputs are [*N, D], states [*N, H], projected states [*N, P]; * is elementwise, @ a
matrix product. Kernels are [D, H] and [H, H], biases [H]; every bias may lack.
Arithmetic is in the dtype that params and inputs promote to; a wider carry stays wider.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.recurrent.activations import Activation, function_of
from cnn_jax.ops.recurrent.equations import (
    check_gru,
    check_lstm,
    check_rnn,
    gru_candidate,
    gru_options,
    gru_sizes,
    gru_state,
    lstm_gates,
    lstm_options,
    lstm_sizes,
    lstm_state,
    rnn_sizes,
    state_of,
)
from cnn_jax.ops.recurrent.parameters import Params, dense, promote

LSTMCarry = tuple[Array, Array]


def rnn_step(
    params: Params,
    carry: ArrayLike,
    inputs: ArrayLike,
    *,
    activation: Activation = "tanh",
    residual: bool = False,
) -> tuple[Array, Array]:
    """One step of the simple recurrent cell.

        h' = activation(inputs @ i + h @ h + b [+ h if residual])

    Args:
      params: {"i": {"kernel", "bias"}, "h": {"kernel"}}, as of flax.linen.SimpleCell.
      carry: h [*N, H].
      inputs: [*N, D].
      activation: a name of `ACTIVATION_NAMES` or a function.
      residual: whether h is added before the activation.

    Returns:
      (h', h'), each [*N, H].

    Raises:
      ValueError: params of another cell or of other sizes, or an unknown activation.

    Reference:
      Elman, Finding structure in time, 1990.
    """
    function = function_of(activation)
    inputs = jnp.asarray(inputs)
    check_rnn(params, inputs)
    params, inputs = promote(params, inputs)
    (h,) = state_of((carry,), rnn_sizes(params), inputs, "h")
    z = dense(params, "i", inputs) + dense(params, "h", h)
    h = function(z + h.astype(z.dtype) if residual else z).astype(h.dtype)
    return h, h


def lstm_step(
    params: Params,
    carry: tuple[ArrayLike, ArrayLike],
    inputs: ArrayLike,
    *,
    gate: Activation = "sigmoid",
    activation: Activation = "tanh",
    cell_clip: float | None = None,
    projection_clip: float | None = None,
) -> tuple[LSTMCarry, Array]:
    """One step of the long short-term memory.

        i = gate(inputs @ ii + h @ hi + b_i)
        f = gate(inputs @ if + h @ hf + b_f)
        g = activation(inputs @ ig + h @ hg + b_g)
        c' = f * c + i * g
        o = gate(inputs @ io + h @ ho + b_o)
        h' = o * activation(c')

    What else params hold changes the cell. Without "if" and "hf" the gates are coupled,
    f = 1 − i. "peephole" {"i", "f", "o"}, each [H], lets the gates see the cell: i and
    f gain p * c, o gains p * c'. "projection" {"kernel": [H, P]} gives
    h' = (o * activation(c')) @ projection, and the kernels h* are [P, H].

    Args:
      params: {"ii": {"kernel"}, "hi": {"kernel", "bias"}, ...} with the gates i, f, g
        and o, as of flax.linen.LSTMCell and OptimizedLSTMCell.
      carry: (c [*N, H], h [*N, H or P]).
      inputs: [*N, D].
      gate: of i, f and o: a name of `ACTIVATION_NAMES` or a function.
      activation: of g and c', likewise.
      cell_clip: c' is limited to ± this; None does not limit.
      projection_clip: h' is, after the projection.

    Returns:
      ((c', h'), h').

    Raises:
      ValueError: params of another cell or of other sizes, a carry that is no pair
        (c, h), an unknown activation, a limit below or at 0, or a projection_clip
        without a projection.

    Reference:
      Hochreiter and Schmidhuber, Long short-term memory, 1997; forget gate: Gers,
      Schmidhuber and Cummins, 2000; peepholes: Gers and Schmidhuber, 2000; coupled
      gates: Greff et al., 2015; projection: Sak, Senior and Beaufays, 2014.
    """
    options = lstm_options(gate, activation, cell_clip, projection_clip, params)
    inputs = jnp.asarray(inputs)
    check_lstm(params, inputs)
    params, inputs = promote(params, inputs)
    c, h = state_of(carry, lstm_sizes(params), inputs, "(c, h)")
    z = {
        name: dense(params, f"i{name}", inputs) + dense(params, f"h{name}", h)
        for name in lstm_gates(params)
    }
    c, h = lstm_state(params, z, c, options)
    return (c, h), h


def gru_step(
    params: Params,
    carry: ArrayLike,
    inputs: ArrayLike,
    *,
    gate: Activation = "sigmoid",
    activation: Activation = "tanh",
    update: str = "cho",
    reset: str = "after",
) -> tuple[Array, Array]:
    """One step of the gated recurrent unit.

        r = gate(inputs @ ir + b_r + h @ hr)
        z = gate(inputs @ iz + b_z + h @ hz)
        n = activation(inputs @ in + b_n + r * (h @ hn + b_hn))     reset "after"
        n = activation(inputs @ in + b_n + (r * h) @ hn + b_hn)     reset "before"
        h' = (1 − z) * n + z * h                                    update "cho"
        h' = (1 − z) * h + z * n                                    update "chung"

    Args:
      params: {"ir": {"kernel", "bias"}, "hr": {"kernel"}, ...} with r, z and n and a
        bias at "hn" too, as of flax.linen.GRUCell.
      carry: h [*N, H].
      inputs: [*N, D].
      gate: of r and z: a name of `ACTIVATION_NAMES` or a function.
      activation: of n, likewise.
      update: "cho", also flax's and torch's, or "chung".
      reset: "after" the product with hn, as in flax and torch, or "before" it.

    Returns:
      (h', h'), each [*N, H].

    Raises:
      ValueError: params of another cell or of other sizes, or an unknown option.

    Reference:
      Cho et al., Learning phrase representations using RNN encoder-decoder, 2014;
      Chung et al., Empirical evaluation of gated recurrent neural networks, 2014.
    """
    options = gru_options(gate, activation, update, reset)
    inputs = jnp.asarray(inputs)
    check_gru(params, inputs)
    params, inputs = promote(params, inputs)
    (h,) = state_of((carry,), gru_sizes(params), inputs, "h")
    r, z = (
        options.gate(dense(params, f"i{name}", inputs) + dense(params, f"h{name}", h))
        for name in "rz"
    )
    n = gru_candidate(params, dense(params, "in", inputs), r, h, options)
    h = gru_state(z, n, h, options)
    return h, h
