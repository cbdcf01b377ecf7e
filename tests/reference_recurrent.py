"""Recurrent cells as loops over images, times and features, in float64 numpy.

Nothing here knows jax or the package. params as in flax.linen: nested dicts of kernels
[D, H] and biases [H]; inputs [N, T, D]; lengths [N]. A cell's step is for one sequence
at one time: state (a tuple that ends with h) and x [D] to the new state.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

State = tuple[np.ndarray, ...]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def row(params: Any, entry: str, x: np.ndarray, feature: int) -> float:
    """One feature of x @ kernel + bias."""
    kernel = params[entry]["kernel"]
    total = sum(x[d] * kernel[d, feature] for d in range(len(x)))
    return total + (params[entry]["bias"][feature] if "bias" in params[entry] else 0)


def rnn(
    params: Any, state: State, x: np.ndarray, f: Any = np.tanh, residual: bool = False
) -> State:
    (h,) = state
    new = [
        f(row(params, "i", x, j) + row(params, "h", h, j) + (h[j] if residual else 0))
        for j in range(len(h))
    ]
    return (np.array(new),)


def lstm(
    params: Any,
    state: State,
    x: np.ndarray,
    cell_clip: float = np.inf,
    projection_clip: float = np.inf,
) -> State:
    c, h = state
    peephole = params.get("peephole", {})
    new_c, new_h = [], []
    for j in range(len(c)):

        def total(gate: str, seen: float, j: int = j) -> float:
            sums = row(params, f"i{gate}", x, j) + row(params, f"h{gate}", h, j)
            return sums + (peephole[gate][j] * seen if gate in peephole else 0)

        i = sigmoid(total("i", c[j]))
        f = sigmoid(total("f", c[j])) if "if" in params else 1 - i
        g = np.tanh(total("g", 0))
        new_c.append(min(max(f * c[j] + i * g, -cell_clip), cell_clip))
        new_h.append(sigmoid(total("o", new_c[-1])) * np.tanh(new_c[-1]))
    if "projection" in params:
        size = params["projection"]["kernel"].shape[1]
        full = np.array(new_h)
        new_h = [row(params, "projection", full, j) for j in range(size)]
    new_h = [min(max(value, -projection_clip), projection_clip) for value in new_h]
    return np.array(new_c), np.array(new_h)


def gru(
    params: Any, state: State, x: np.ndarray, update: str = "cho", reset: str = "after"
) -> State:
    (h,) = state
    features = range(len(h))
    r, z = (
        np.array(
            [
                sigmoid(row(params, f"i{gate}", x, j) + row(params, f"h{gate}", h, j))
                for j in features
            ]
        )
        for gate in "rz"
    )
    if reset == "after":
        inner = [r[j] * row(params, "hn", h, j) for j in features]
    else:
        inner = [row(params, "hn", r * h, j) for j in features]
    n = [np.tanh(row(params, "in", x, j) + inner[j]) for j in features]
    if update == "cho":
        return (np.array([(1 - z[j]) * n[j] + z[j] * h[j] for j in features]),)
    return (np.array([(1 - z[j]) * h[j] + z[j] * n[j] for j in features]),)


def over_time(
    step: Callable[..., State],
    params: Any,
    inputs: np.ndarray,
    state: State,
    lengths: Sequence[int] | None = None,
    reverse: bool = False,
    keep_order: bool = False,
    **options: Any,
) -> tuple[State, np.ndarray]:
    """The last state of each sequence, and its outputs: zeros beyond its length."""
    num, steps, _ = inputs.shape
    outputs = np.zeros((num, steps, state[-1].shape[-1]))
    finals = []
    for n in range(num):
        now = tuple(part[n] for part in state)
        length = steps if lengths is None else lengths[n]
        times = list(range(length))[:: -1 if reverse else 1]
        for count, t in enumerate(times):
            now = partial(step, params)(now, inputs[n, t], **options)
            outputs[n, t if keep_order else count] = now[-1]
        finals.append(now)
    return tuple(np.stack(parts) for parts in zip(*finals, strict=True)), outputs
