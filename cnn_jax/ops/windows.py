"""Padding modes, output sizes and the windows of an array.

What convolution, locally connected layers and pooling share. Arrays are channels
last, [N, *spatial, C]: N images, one to three spatial axes, C channels. Window axes
come before the channels, in the order of the spatial axes.
"""

import operator
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

PADDING_NAMES = ("SAME", "VALID", "FULL", "CAUSAL", "CIRCULAR", "REFLECT", "REPLICATE")

_MODES = {"CIRCULAR": "wrap", "REFLECT": "reflect", "REPLICATE": "edge"}

Pairs = tuple[tuple[int, int], ...]
Padding = str | int | Sequence[int | Sequence[int]]


def canonical(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    """One positive integer per spatial axis.

    Args:
      value: one integer for all axes, or a sequence of `rank` integers.
      rank: number of spatial axes.
      name: what the value is called in an error.

    Returns:
      `rank` integers, each at least 1.

    Raises:
      ValueError: another length, or an entry that is no integer or below 1.
    """
    try:
        values = value if isinstance(value, Sequence) else (value,) * rank
        entries = tuple(operator.index(entry) for entry in values)
    except TypeError:
        entries = ()
    if len(entries) != rank or min(entries, default=0) < 1:
        raise ValueError(
            f"{name}: expected one integer >= 1 or {rank} of them, got {value!r}"
        )
    return entries


def span(window: int, dilation: int) -> int:
    """Positions that a dilated window reaches over: (k − 1)·d + 1."""
    return (window - 1) * dilation + 1


def resolve_padding(
    padding: Padding,
    spatial: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> tuple[str, Pairs]:
    """What fills the border, and how many positions of it on each side.

    With size n, stride s and the window's span e = (k − 1)·d + 1, (low, high) is

        SAME       t = max((⌈n/s⌉ − 1)·s + e − n, 0) zeros: (⌊t/2⌋, t − ⌊t/2⌋)
        VALID      (0, 0)
        FULL       e − 1 zeros on each side
        CAUSAL     (e − 1, 0) zeros; one spatial axis only
        CIRCULAR   (⌊(e − 1)/2⌋, ⌊e/2⌋) positions of the other end
        REFLECT    the same amounts, mirrored without repeating the border
        REPLICATE  the same amounts of the border value

    Args:
      padding: one of the names above; an integer p for p zeros on every side; or per
        axis an integer or a pair (low, high) of zeros, where a negative one crops.
      spatial: sizes of the input, after input dilation.
      window: sizes of the window.
      strides: distance between windows.
      dilation: distance between the elements of a window.

    Returns:
      (mode, pairs): mode is "zeros", "wrap", "reflect" or "edge"; one (low, high)
      per axis.

    Raises:
      ValueError: an unknown name, CAUSAL with several axes, or anything else that is
        not one integer or pair per axis.
    """
    spans = [span(k, d) for k, d in zip(window, dilation, strict=True)]
    if not isinstance(padding, str):
        return "zeros", _explicit_pairs(padding, len(spans))
    if padding not in PADDING_NAMES:
        raise ValueError(
            f"padding: expected one of {', '.join(PADDING_NAMES)}, an integer, or one "
            f"integer or pair (low, high) per axis, got {padding!r}"
        )
    if padding == "CAUSAL" and len(spans) != 1:
        raise ValueError(
            f"padding 'CAUSAL': expected 1 spatial axis (time), got {len(spans)}"
        )
    sizes = zip(spatial, spans, strides, strict=True)
    pairs = tuple(_named_pair(padding, n, e, s) for n, e, s in sizes)
    return _MODES.get(padding, "zeros"), pairs


def _named_pair(padding: str, size: int, reach: int, stride: int) -> tuple[int, int]:
    match padding:
        case "SAME":
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            return total // 2, total - total // 2
        case "VALID":
            return 0, 0
        case "FULL":
            return reach - 1, reach - 1
        case "CAUSAL":
            return reach - 1, 0
        case _:
            return (reach - 1) // 2, reach // 2


def _explicit_pairs(padding: int | Sequence[int | Sequence[int]], rank: int) -> Pairs:
    pairs = []
    try:
        for entry in padding if isinstance(padding, Sequence) else (padding,) * rank:
            low, high = entry if isinstance(entry, Sequence) else (entry, entry)
            pairs.append((operator.index(low), operator.index(high)))
    except (TypeError, ValueError):
        pairs = []
    if len(pairs) != rank:
        raise ValueError(
            f"padding: expected one of {', '.join(PADDING_NAMES)}, an integer, or "
            f"{rank} integers or pairs (low, high), got {padding!r}"
        )
    return tuple(pairs)


def dilate(inputs: Array, dilation: Sequence[int]) -> Array:
    """Zeros between neighbors: position i goes to d·i.

    Args:
      inputs: [N, *spatial, C].
      dilation: d per spatial axis.

    Returns:
      [N, *((size − 1)·d + 1), C]; an empty axis stays empty.
    """
    gaps = [(0, 0, 0), *((0, 0, d - 1) for d in dilation), (0, 0, 0)]
    return lax.pad(inputs, jnp.zeros((), inputs.dtype), gaps)


def pad(inputs: Array, pairs: Pairs, mode: str, value: ArrayLike = 0) -> Array:
    """The inputs with a border.

    Args:
      inputs: [N, *spatial, C].
      pairs: (low, high) per spatial axis; negative ones crop ("zeros" only).
      mode: "zeros", "wrap", "reflect" or "edge", as `resolve_padding` returns it.
      value: what "zeros" fills in; minus infinity for a maximum.

    Returns:
      [N, *(low + size + high), C].

    Raises:
      ValueError: a border made of the values of an empty axis.
    """
    if mode == "zeros":
        edges = [(0, 0, 0), *((low, high, 0) for low, high in pairs), (0, 0, 0)]
        return lax.pad(inputs, jnp.asarray(value, inputs.dtype), edges)
    if not any(low or high for low, high in pairs):
        return inputs
    if 0 in inputs.shape[1:-1]:
        raise ValueError(
            f"padding mode {mode!r}: expected spatial sizes >= 1 to take values from, "
            f"got inputs of shape {inputs.shape}"
        )
    return jnp.pad(inputs, [(0, 0), *pairs, (0, 0)], mode=mode)


def output_size(
    size: int, window: int, stride: int, dilation: int, low: int, high: int
) -> int:
    """How many windows fit: ⌊(low + n + high − e) / s⌋ + 1 with e = (k − 1)·d + 1.

    An empty axis (n = 0) has no windows, unless its padding alone holds some.

    Raises:
      ValueError: the window is larger than the padded input.
    """
    padded = low + size + high
    reach = span(window, dilation)
    if reach <= padded:
        return (padded - reach) // stride + 1
    if size == 0:
        return 0
    raise ValueError(
        f"kernel larger than the padded input: expected at most {padded} positions "
        f"(size {size}, padding {low} + {high}), got {reach} "
        f"(window {window}, dilation {dilation})"
    )


def patches(
    inputs: Array,
    window_shape: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """The windows of an array.

        patches[n, p, w, c] = inputs[n, s·p + d·w, c]

    One axis at a time, so that k_h + k_w slices are enough for k_h·k_w offsets and the
    gradient is a sum of padded arrays, never a scatter.

    Args:
      inputs: [N, *spatial, C], already padded.
      window_shape: one size per spatial axis.
      strides: s, distance between windows.
      dilation: d, distance between the elements of a window.

    Returns:
      [N, *out, *window, C], spatial-major: flattening the last axes gives the order of
      a kernel [*window, C, O]. Rank 8 for three spatial axes: reduce it by a matmul
      (jaxlib 0.10.2 crashes on float32 products of rank 7 that are summed on the CPU).

    Raises:
      ValueError: a window larger than the input.
    """
    rank = len(window_shape)
    strides = canonical(strides, rank, "strides")
    dilation = canonical(dilation, rank, "dilation")
    outputs = inputs
    # The last axis first: the later, larger copies then move longer runs of memory.
    for axis in range(rank, 0, -1):
        k, s, d = window_shape[axis - 1], strides[axis - 1], dilation[axis - 1]
        out = output_size(inputs.shape[axis], k, s, d, 0, 0)
        starts = [offset * d for offset in range(k)] if out else [0] * k
        reach = span(out, s) if out else 0
        slices = [
            lax.slice_in_dim(outputs, start, start + reach, s, axis=axis)
            for start in starts
        ]
        outputs = jnp.stack(slices, axis=rank + 1)
    return outputs
