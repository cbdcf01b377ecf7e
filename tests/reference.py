"""Convolution written as loops over every index, in float64 numpy: the definitions.

Nothing here knows jax or the package. inputs [N, *spatial, C]; kernel
[*window, C // groups, O]; a border is a mode ("zeros", "wrap", "reflect", "edge") and
one pair (low, high) per spatial axis.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Index = tuple[int, ...]
Pairs = Sequence[tuple[int, int]]


def border(
    name: str,
    spatial: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> tuple[str, Pairs]:
    """Mode and pairs of a named padding, each found from what the name promises."""
    modes = {"CIRCULAR": "wrap", "REFLECT": "reflect", "REPLICATE": "edge"}
    pairs = []
    for n, k, s, d in zip(spatial, window, strides, dilation, strict=True):
        last = d * (k - 1)
        if name == "VALID":
            pair = (0, 0)
        elif name == "FULL":  # the outermost windows still hold one input
            pair = (last, last)
        elif name == "CAUSAL":  # the last tap falls on the output's own position
            pair = (last, 0)
        elif name == "SAME":  # the fewest zeros that give every s-th position a window
            total = 0
            while n and num_windows(n + total, k, s, d) * s < n:
                total += 1
            pair = (total // 2, (total + 1) // 2)
        else:  # as many outputs as inputs at stride 1, an odd one behind
            pair = (last // 2, last - last // 2)
        pairs.append(pair)
    return modes.get(name, "zeros"), pairs


def keywords(
    spatial: Sequence[int],
    window: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: str | int | Pairs = "SAME",
    input_dilation: int | Sequence[int] = 1,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
) -> dict[str, Any]:
    """What the loops take, from the keywords of the package's convolution."""
    rank = len(spatial)
    steps, gaps, dilation = (
        [given] * rank if isinstance(given, int) else list(given)
        for given in (strides, input_dilation, kernel_dilation)
    )
    if isinstance(padding, str):
        sizes = [n and (n - 1) * r + 1 for n, r in zip(spatial, gaps, strict=True)]
        mode, pairs = border(padding, sizes, window, steps, dilation)
    elif isinstance(padding, int):
        mode, pairs = "zeros", [(padding, padding)] * rank
    else:
        mode, pairs = "zeros", padding
    return {
        "strides": steps,
        "mode": mode,
        "pairs": pairs,
        "input_dilation": gaps,
        "kernel_dilation": dilation,
        "groups": feature_group_count,
    }


def num_windows(padded: int, window: int, stride: int, dilation: int) -> int:
    """Windows whose last element still lies inside."""
    number = 0
    while number * stride + dilation * (window - 1) < padded:
        number += 1
    return number


def spread(inputs: np.ndarray, dilation: Sequence[int]) -> np.ndarray:
    """Zeros between the inputs."""
    sizes = [
        n and (n - 1) * d + 1 for n, d in zip(inputs.shape[1:-1], dilation, strict=True)
    ]
    outputs = np.zeros((len(inputs), *sizes, inputs.shape[-1]))
    for position in np.ndindex(*inputs.shape[1:-1]):
        target = tuple(i * d for i, d in zip(position, dilation, strict=True))
        outputs[(slice(None), *target)] = inputs[(slice(None), *position)]
    return outputs


def taps(
    inputs: np.ndarray,
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    mode: str,
    pairs: Pairs,
) -> Iterator[tuple[Index, Index, np.ndarray]]:
    """(output position, window position, values [N, C]) of every product."""
    axes = zip(inputs.shape[1:-1], window, strides, dilation, pairs, strict=True)
    out = [num_windows(n + low + high, k, s, d) for n, k, s, d, (low, high) in axes]
    for position, tap in itertools.product(np.ndindex(*out), np.ndindex(*window)):
        source = [
            p * s + w * d - low
            for p, w, s, d, (low, _) in zip(
                position, tap, strides, dilation, pairs, strict=True
            )
        ]
        yield position, tap, _values(inputs, source, mode)


def _values(inputs: np.ndarray, source: Sequence[int], mode: str) -> np.ndarray:
    sizes = inputs.shape[1:-1]
    inside = all(0 <= i < n for i, n in zip(source, sizes, strict=True))
    if mode == "zeros" and not inside:
        return np.zeros((len(inputs), inputs.shape[-1]))
    folded = [_fold(i, n, mode) for i, n in zip(source, sizes, strict=True)]
    return inputs[(slice(None), *folded)]


def _fold(i: int, size: int, mode: str) -> int:
    """Where the value outside comes from, one step at a time."""
    while not 0 <= i < size:
        if mode == "wrap":
            i += size if i < 0 else -size
        elif mode == "reflect" and size > 1:
            i = -i if i < 0 else 2 * (size - 1) - i
        else:
            i += 1 if i < 0 else -1
    return i


def conv(
    inputs: np.ndarray,
    kernel: np.ndarray,
    *,
    strides: Sequence[int],
    mode: str,
    pairs: Pairs,
    input_dilation: Sequence[int],
    kernel_dilation: Sequence[int],
    groups: int = 1,
) -> np.ndarray:
    """Cross-correlation. Returns [N, *out, O]."""
    inputs = spread(inputs.astype(np.float64), input_dilation)
    *window, group_channels, features = kernel.shape
    out = [
        num_windows(n + low + high, k, s, d)
        for n, k, s, d, (low, high) in zip(
            inputs.shape[1:-1], window, strides, kernel_dilation, pairs, strict=True
        )
    ]
    outputs = np.zeros((len(inputs), *out, features))
    for position, tap, values in taps(
        inputs, window, strides, kernel_dilation, mode, pairs
    ):
        for feature, channel in np.ndindex(features, group_channels):
            group = feature // (features // groups)
            products = values[:, group * group_channels + channel]
            weight = float(kernel[(*tap, channel, feature)])
            outputs[(slice(None), *position, feature)] += products * weight
    return outputs


def conv_transpose(
    inputs: np.ndarray,
    kernel: np.ndarray,
    spatial: Sequence[int],
    *,
    strides: Sequence[int],
    mode: str,
    pairs: Pairs,
    input_dilation: Sequence[int],
    kernel_dilation: Sequence[int],
    groups: int = 1,
) -> np.ndarray:
    """Every input is handed to the positions it came from. Returns [N, *spatial, C]."""
    *window, group_channels, features = kernel.shape
    outputs = np.zeros((len(inputs), *spatial, groups * group_channels))
    for position, tap in itertools.product(
        np.ndindex(*inputs.shape[1:-1]), np.ndindex(*window)
    ):
        target: list[int] = []
        for axis, (low, _) in enumerate(pairs):
            size = spatial[axis] and (spatial[axis] - 1) * input_dilation[axis] + 1
            i = position[axis] * strides[axis] + tap[axis] * kernel_dilation[axis] - low
            if mode != "zeros":
                i = _fold(i, size, mode)
            if 0 <= i < size and i % input_dilation[axis] == 0:
                target.append(i // input_dilation[axis])
        if len(target) < len(spatial):
            continue
        for feature, channel in np.ndindex(features, group_channels):
            to = feature // (features // groups) * group_channels + channel
            weight = float(kernel[(*tap, channel, feature)])
            given = inputs[(slice(None), *position, feature)].astype(np.float64)
            outputs[(slice(None), *target, to)] += given * weight
    return outputs


def local(
    inputs: np.ndarray,
    kernel: np.ndarray,
    *,
    strides: Sequence[int],
    mode: str,
    pairs: Pairs,
    kernel_dilation: Sequence[int],
) -> np.ndarray:
    """Position p uses kernel p mod tiles; kernel [*tiles, *window, C, O]."""
    rank = inputs.ndim - 2
    tiles, window = kernel.shape[:rank], kernel.shape[rank : 2 * rank]
    parts: dict[Index, np.ndarray] = {}
    for position, tap, values in taps(
        inputs.astype(np.float64), window, strides, kernel_dilation, mode, pairs
    ):
        tile = tuple(p % t for p, t in zip(position, tiles, strict=True))
        matrix = kernel[(*tile, *tap)].astype(np.float64)
        parts[position] = parts.get(position, 0) + values @ matrix
    out = [max(position[axis] for position in parts) + 1 for axis in range(rank)]
    outputs = np.zeros((len(inputs), *out, kernel.shape[-1]))
    for position, part in parts.items():
        outputs[(slice(None), *position)] = part
    return outputs
