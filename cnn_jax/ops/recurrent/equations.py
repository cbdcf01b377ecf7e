"""What a step and a layer of one cell share: options, equations, sizes and checks.

Letters as in `cells`: inputs [*N, D], states [*N, H], projected states [*N, P].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.recurrent.activations import Activation, function_of
from cnn_jax.ops.recurrent.parameters import (
    Params,
    Shape,
    check_params,
    dense,
    kernel_shape,
)

Function = Callable[[Array], Array]


class LSTMOptions(NamedTuple):
    """What `lstm_step` takes by keyword, checked."""

    gate: Function
    activation: Function
    cell_clip: float | None
    projection_clip: float | None


class GRUOptions(NamedTuple):
    """What `gru_step` takes by keyword, checked."""

    gate: Function
    activation: Function
    update: str
    reset: str


def lstm_options(
    gate: Activation,
    activation: Activation,
    cell_clip: float | None,
    projection_clip: float | None,
    params: Params,
) -> LSTMOptions:
    """Raises ValueError as `lstm_step` says."""
    clips = {"cell_clip": cell_clip, "projection_clip": projection_clip}
    for name, clip in clips.items():
        if clip is not None and not clip > 0:
            raise ValueError(f"{name}: expected a number above 0 or None, got {clip}")
    if projection_clip is not None and "projection" not in params:
        raise ValueError(
            "projection_clip: expected params with a projection, got params without"
        )
    gates, states = function_of(gate, "gate"), function_of(activation)
    return LSTMOptions(gates, states, cell_clip, projection_clip)


def gru_options(
    gate: Activation, activation: Activation, update: str, reset: str
) -> GRUOptions:
    """Raises ValueError as `gru_step` says."""
    if update not in ("cho", "chung"):
        raise ValueError(f"update: expected 'cho' or 'chung', got {update!r}")
    if reset not in ("after", "before"):
        raise ValueError(f"reset: expected 'after' or 'before', got {reset!r}")
    return GRUOptions(function_of(gate, "gate"), function_of(activation), update, reset)


def lstm_gates(params: Params) -> tuple[str, ...]:
    """The gates that have kernels, in flax's order."""
    coupled = "if" not in params and "hf" not in params
    return ("i", "g", "o") if coupled else ("i", "f", "g", "o")


def lstm_state(
    params: Params, z: dict[str, Array], c: Array, options: LSTMOptions
) -> tuple[Array, Array]:
    """(c', h') from the gates' sums z and the cell c."""
    gate, activation, cell_clip, projection_clip = options
    peephole = params.get("peephole", {})

    def seeing(name: str, cell: Array) -> Array:
        if name not in peephole:
            return gate(z[name])
        weight = peephole[name].reshape((1,) * (cell.ndim - 1) + (-1,))
        return gate(z[name] + (weight.astype(cell.dtype) * cell).astype(weight.dtype))

    i = seeing("i", c)
    f = seeing("f", c) if "f" in z else 1 - i
    g = activation(z["g"])
    c = f.astype(c.dtype) * c + (i * g).astype(c.dtype)
    if cell_clip is not None:
        c = jnp.clip(c, -cell_clip, cell_clip)
    h = seeing("o", c).astype(c.dtype) * activation(c)
    if "projection" in params:
        h = dense(params, "projection", h).astype(c.dtype)
    if projection_clip is not None:
        h = jnp.clip(h, -projection_clip, projection_clip)
    return c, h


def gru_candidate(
    params: Params, from_inputs: Array, r: Array, h: Array, options: GRUOptions
) -> Array:
    """n from its part that the inputs give."""
    if options.reset == "after":
        return options.activation(from_inputs + r * dense(params, "hn", h))
    return options.activation(from_inputs + dense(params, "hn", r.astype(h.dtype) * h))


def gru_state(z: Array, n: Array, h: Array, options: GRUOptions) -> Array:
    """h' from the update gate and the candidate."""
    keep = z if options.update == "cho" else 1 - z
    return keep.astype(h.dtype) * h + ((1 - keep) * n).astype(h.dtype)


def rnn_sizes(params: Params) -> Shape:
    """(H,)"""
    return kernel_shape(params, "h", "an RNN")[1:]


def lstm_sizes(params: Params) -> Shape:
    """(H, H), or (H, P) with a projection."""
    return kernel_shape(params, "hi", "an LSTM")[::-1]


def gru_sizes(params: Params) -> Shape:
    """(H,)"""
    return kernel_shape(params, "hr", "a GRU")[1:]


def check_rnn(params: Params, inputs: Array) -> None:
    """Raises ValueError unless params are an RNN's and the inputs have their size."""
    (hidden,) = rnn_sizes(params)
    features = _features(params, "i", inputs, "an RNN")
    expected: dict[str, Shape] = {
        "i/kernel": (features, hidden),
        "i/bias?": (hidden,),
        "h/kernel": (hidden, hidden),
    }
    check_params(params, expected, "an RNN")


def check_lstm(params: Params, inputs: Array) -> None:
    """Raises ValueError unless params are an LSTM's and the inputs have their size."""
    hidden, projected = lstm_sizes(params)
    features = _features(params, "ii", inputs, "an LSTM")
    expected: dict[str, Shape] = {}
    for name in lstm_gates(params):
        expected[f"i{name}/kernel"] = (features, hidden)
        expected[f"h{name}/kernel"] = (projected, hidden)
        expected[f"h{name}/bias?"] = (hidden,)
        if "peephole" in params and name != "g":
            expected[f"peephole/{name}"] = (hidden,)
    if "projection" in params:
        expected["projection/kernel"] = (hidden, projected)
    elif hidden != projected:
        expected["hi/kernel"] = (hidden, hidden)
    check_params(params, expected, "an LSTM")


def check_gru(params: Params, inputs: Array) -> None:
    """Raises ValueError unless params are a GRU's and the inputs have their size."""
    (hidden,) = gru_sizes(params)
    features = _features(params, "ir", inputs, "a GRU")
    expected: dict[str, Shape] = {"hn/bias?": (hidden,)}
    for name in "rzn":
        expected[f"i{name}/kernel"] = (features, hidden)
        expected[f"i{name}/bias?"] = (hidden,)
        expected[f"h{name}/kernel"] = (hidden, hidden)
    check_params(params, expected, "a GRU")


def _features(params: Params, entry: str, inputs: Array, cell: str) -> int:
    """D of the kernel that the inputs meet."""
    features = kernel_shape(params, entry, cell)[0]
    if inputs.ndim < 1 or inputs.shape[-1] != features:
        raise ValueError(
            f"inputs: expected a last axis of {features}, as {entry}/kernel has, "
            f"got shape {inputs.shape}"
        )
    return features


def state_of(carry: Any, sizes: Shape, inputs: Array, name: str) -> tuple[Array, ...]:
    """The carry's arrays, [*N, size] each, at least as wide as the inputs' dtype.

    Raises:
      ValueError: another number of arrays, or other shapes.
    """
    parts = carry if isinstance(carry, tuple | list) else (carry,)
    batch = inputs.shape[:-1]
    wanted = tuple((*batch, size) for size in sizes)
    found = tuple(
        "a tree" if isinstance(part, tuple | list | dict) else jnp.shape(part)
        for part in parts
    )
    if found != wanted:
        expected = " and ".join(map(str, wanted))
        raise ValueError(
            f"carry: expected {name} of shape {expected}, "
            f"got {' and '.join(map(str, found))}"
        )
    arrays = [_wide(jnp.asarray(part), inputs.dtype) for part in parts]
    dtype = jnp.result_type(*arrays)
    return tuple(array.astype(dtype) for array in arrays)


def _wide(array: Array, dtype: Any) -> Array:
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    if floating and jnp.finfo(array.dtype).bits >= jnp.finfo(dtype).bits:
        return array
    return array.astype(dtype)
