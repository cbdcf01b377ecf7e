"""Pooling written as loops over every output, in float64 numpy: the definitions.

Nothing here knows jax or the package. inputs [N, *spatial, C]; paddings are explicit
pairs (low, high) per spatial axis.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

Pairs = Sequence[tuple[int, int]]


def same_pairs(
    spatial: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> Pairs:
    """What "SAME" adds: enough for ceil(size / stride) windows, the odd one behind."""
    pairs = []
    for size, k, s in zip(spatial, window, strides, strict=True):
        windows = math.ceil(size / s)
        missing = max(0, (windows - 1) * s + k - size)
        pairs.append((missing // 2, missing - missing // 2))
    return pairs


def pool(
    reducer: Callable[[np.ndarray, np.ndarray], float],
    inputs: np.ndarray,
    window: Sequence[int],
    strides: Sequence[int],
    pairs: Pairs,
    fill: float = 0.0,
) -> np.ndarray:
    """reducer(values, inside) of each window; `inside` is False on padded cells."""
    inputs = np.asarray(inputs, np.float64)
    spatial = inputs.shape[1:-1]
    sizes = []
    for n, k, s, (low, high) in zip(spatial, window, strides, pairs, strict=True):
        sizes.append((low + n + high - k) // s + 1)
    outputs = np.empty((len(inputs), *sizes, inputs.shape[-1]))
    for n, *position, c in np.ndindex(outputs.shape):
        values = np.full(tuple(window), float(fill))
        inside = np.zeros(tuple(window), bool)
        for cell in np.ndindex(*window):
            at = [
                p * s + w - low
                for p, s, w, (low, _) in zip(
                    position, strides, cell, pairs, strict=True
                )
            ]
            if all(0 <= a < size for a, size in zip(at, spatial, strict=True)):
                values[cell] = inputs[(n, *at, c)]
                inside[cell] = True
        outputs[(n, *position, c)] = reducer(values, inside)
    return outputs


def max_pool(inputs, window, strides, pairs):
    return pool(lambda v, _: v.max(), inputs, window, strides, pairs, -math.inf)


def min_pool(inputs, window, strides, pairs):
    return pool(lambda v, _: v.min(), inputs, window, strides, pairs, math.inf)


def avg_pool(inputs, window, strides, pairs, count_include_pad=True):
    def mean(values, inside):
        cells = values.size if count_include_pad else inside.sum()
        return values.sum() / cells if cells else math.nan

    return pool(mean, inputs, window, strides, pairs)


def lp_pool(inputs, p, window, strides, pairs):
    def p_norm(values, _):
        return sum(abs(v) ** p for v in values.ravel()) ** (1 / p)

    return pool(p_norm, inputs, window, strides, pairs)


BINOMIAL = {
    1: [1.0],
    2: [1 / 2, 1 / 2],
    3: [1 / 4, 1 / 2, 1 / 4],
    4: [1 / 8, 3 / 8, 3 / 8, 1 / 8],
    5: [1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16],
    6: [1 / 32, 5 / 32, 5 / 16, 5 / 16, 5 / 32, 1 / 32],
    7: [1 / 64, 3 / 32, 15 / 64, 5 / 16, 15 / 64, 3 / 32, 1 / 64],
}


def blur_pool(inputs, strides, taps, mode):
    """Σ b[w]·x[s·p + w − (t − 1) // 2], x beyond the border as `mode` continues it."""
    inputs = np.asarray(inputs, np.float64)
    spatial = inputs.shape[1:-1]
    sizes = [math.ceil(n / s) for n, s in zip(spatial, strides, strict=True)]
    outputs = np.zeros((len(inputs), *sizes, inputs.shape[-1]))
    for n, *position, c in np.ndindex(outputs.shape):
        for cell in np.ndindex(*(taps,) * len(spatial)):
            weight = math.prod(BINOMIAL[taps][w] for w in cell)
            at = [
                _continued(p * s + w - (taps - 1) // 2, size, mode)
                for p, s, w, size in zip(position, strides, cell, spatial, strict=True)
            ]
            if None not in at:
                outputs[(n, *position, c)] += weight * inputs[(n, *at, c)]
    return outputs


def _continued(at: int, size: int, mode: str) -> int | None:
    if 0 <= at < size:
        return at
    if mode == "SAME":
        return None
    if mode == "CIRCULAR":
        return at % size
    if mode == "REPLICATE":
        return min(max(at, 0), size - 1)
    return -at if at < 0 else 2 * (size - 1) - at


def polyphase_pool(inputs, strides):
    """Per image the grid whose sum of squares is largest, the first of equals.

    Zeros at the end extend the sizes to multiples of the strides.
    """
    inputs = np.asarray(inputs, np.float64)
    sizes = zip(inputs.shape[1:-1], strides, strict=True)
    inputs = np.pad(inputs, [(0, 0), *((0, -n % s) for n, s in sizes), (0, 0)])
    chosen = []
    for image in inputs:
        best, best_energy = np.empty(0), -1.0
        for offsets in itertools.product(*map(range, strides)):
            cells = zip(offsets, strides, strict=True)
            grid = image[tuple(slice(a, None, s) for a, s in cells)]
            energy = sum(value**2 for value in grid.ravel())
            if energy > best_energy:
                best, best_energy = grid, energy
        chosen.append(best)
    return np.stack(chosen)


def gaussian_pool(inputs, window, strides, pairs, sigmas):
    weights = np.ones(tuple(window))
    for cell in np.ndindex(*window):
        for w, k, sigma in zip(cell, window, sigmas, strict=True):
            weights[cell] *= math.exp(-((w - (k - 1) / 2) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    return pool(lambda v, _: (weights * v).sum(), inputs, window, strides, pairs)


def contraharmonic_pool(inputs, window, strides, pairs):
    """The mean of a draw in proportion to the values: Σa² / Σa, 0 for zeros."""

    def mean(values, _):
        total = values.sum()
        return (values**2).sum() / total if total else 0.0

    return pool(mean, inputs, window, strides, pairs)


def max_pool_with_switches(inputs, window, strides, pairs):
    """Maxima, and the row-major index of the first of each; −1 where all is padding."""
    outputs = max_pool(inputs, window, strides, pairs)
    switches = np.full(outputs.shape, -1)
    spatial = inputs.shape[1:-1]
    for n, *position, c in np.ndindex(outputs.shape):
        for cell in np.ndindex(*window):
            steps = zip(position, strides, cell, pairs, strict=True)
            at = [p * s + w - low for p, s, w, (low, _) in steps]
            if not all(0 <= a < size for a, size in zip(at, spatial, strict=True)):
                continue
            if inputs[(n, *at, c)] == outputs[(n, *position, c)]:
                switches[(n, *position, c)] = np.ravel_multi_index(at, spatial)
                break
    return outputs, switches


def max_unpool(inputs, switches, spatial):
    outputs = np.zeros((len(inputs), math.prod(spatial), inputs.shape[-1]))
    for index in np.ndindex(inputs.shape):
        if switches[index] >= 0:
            outputs[index[0], switches[index], index[-1]] += inputs[index]
    return outputs.reshape(len(inputs), *spatial, inputs.shape[-1])


def region_pool(reducer, inputs, edges):
    """reducer of each region, given per axis as a list of (start, end)."""
    inputs = np.asarray(inputs, np.float64)
    sizes = [len(each) for each in edges]
    outputs = np.empty((len(inputs), *sizes, inputs.shape[-1]))
    for n, *position, c in np.ndindex(outputs.shape):
        region = [edges[axis][p] for axis, p in enumerate(position)]
        cells = tuple(slice(start, end) for start, end in region)
        outputs[(n, *position, c)] = reducer(inputs[(n, *cells, c)])
    return outputs


def adaptive_edges(size, num):
    return [
        (math.floor(i * size / num), math.ceil((i + 1) * size / num))
        for i in range(num)
    ]


def k_max_pool(rows, k):
    """[T] -> the k largest in their order, of equal ones the first."""
    places = sorted(range(len(rows)), key=lambda t: (-rows[t], t))[:k]
    return [rows[t] for t in sorted(places)]
