"""Weights of torch's RNN, LSTM and GRU as parameters of ours; torch is not imported."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

# The order in which torch stacks the gates, in flax's names; "" has one gate only.
_GATES = {"rnn": ("",), "lstm": tuple("ifgo"), "gru": tuple("rzn")}


def params_from_torch(cell: str, weights: Mapping[str, Any]) -> list[Any]:
    """What `stacked` takes, from a state dict of torch.nn.RNN, LSTM or GRU.

    Torch keeps kernels transposed, all gates in one, and two biases that are added; the
    two stay apart only at n of the GRU, where the reset gate comes between.

    Args:
      cell: "rnn", "lstm" or "gru".
      weights: arrays by torch's names, "weight_ih_l0" and so on.

    Returns:
      One entry per layer: its params, or the pair (forward, backward) of them.

    Raises:
      ValueError: another cell, no layer 0, a missing or unknown name, a kernel that
        does not hold as many gates as the cell has, or biases of other sizes.
    """
    if cell not in _GATES:
        raise ValueError(f"cell: expected one of {', '.join(_GATES)}, got {cell!r}")
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    suffixes = []
    while f"weight_ih_l{len(suffixes)}" in arrays:
        suffixes.append(f"_l{len(suffixes)}")
    both = bool(suffixes) and f"weight_ih{suffixes[0]}_reverse" in arrays
    taken: set[str] = set()
    layers: list[Any] = []
    for suffix in suffixes:
        directions = (suffix, f"{suffix}_reverse") if both else (suffix,)
        parts = tuple(_one(cell, arrays, each, taken) for each in directions)
        layers.append(parts if both else parts[0])
    if not layers or arrays.keys() - taken:
        raise ValueError(
            "weights: expected weight_ih_l0, weight_hh_l0, ... of layers counted from "
            f"0, got {', '.join(sorted(arrays.keys() - taken)) or 'none'}"
        )
    return layers


def _one(
    cell: str, arrays: Mapping[str, np.ndarray], suffix: str, taken: set[str]
) -> dict:
    """One layer in one direction."""

    def take(name: str) -> np.ndarray | None:
        taken.add(name + suffix)
        return arrays.get(name + suffix)

    inner, recurrent = take("weight_ih"), take("weight_hh")
    projection = take("weight_hr") if cell == "lstm" else None
    gates = _GATES[cell]
    narrow = recurrent if projection is None else projection
    units = 0 if narrow is None else narrow.shape[1]
    if (
        inner is None
        or recurrent is None
        or len(inner) != len(recurrent)
        or len(inner) != len(gates) * units
        or (projection is not None and recurrent.shape[1] != len(projection))
    ):
        shapes = [None if w is None else w.shape for w in (inner, recurrent)]
        raise ValueError(
            f"weights: expected weight_ih{suffix} [{len(gates)}·H, D] and "
            f"weight_hh{suffix} [{len(gates)}·H, H] of a {cell}, got {shapes}"
            + ("" if projection is None else f" and weight_hr {projection.shape}")
        )
    params: dict = {}
    for name, i, h in _by_gate(cell, inner, recurrent):
        params[f"i{name}"] = {"kernel": jnp.asarray(i.T)}
        params[f"h{name}"] = {"kernel": jnp.asarray(h.T)}
    inner_bias, recurrent_bias = take("bias_ih"), take("bias_hh")
    _check_biases(suffix, len(inner), inner_bias, recurrent_bias)
    if inner_bias is not None and recurrent_bias is not None:
        _add_biases(params, cell, inner_bias, recurrent_bias)
    if projection is not None:
        params["projection"] = {"kernel": jnp.asarray(projection.T)}
    return params


def _check_biases(suffix: str, size: int, *biases: np.ndarray | None) -> None:
    shapes = [None if bias is None else bias.shape for bias in biases]
    if shapes not in ([None, None], [(size,)] * 2):
        raise ValueError(
            f"weights: expected bias_ih{suffix} and bias_hh{suffix} [{size}], "
            f"or neither, got {shapes}"
        )


def _by_gate(
    cell: str, *stacked: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The gates' names, and their part of each array."""
    parts = (np.split(array, len(_GATES[cell])) for array in stacked)
    return zip(_GATES[cell], *parts, strict=True)


def _add_biases(
    params: dict, cell: str, inner: np.ndarray, recurrent: np.ndarray
) -> None:
    side = "h" if cell == "lstm" else "i"
    for name, i, h in _by_gate(cell, inner, recurrent):
        if (cell, name) == ("gru", "n"):
            params["hn"]["bias"] = jnp.asarray(h)
            h = np.zeros_like(h)
        params[side + name]["bias"] = jnp.asarray(i + h)
