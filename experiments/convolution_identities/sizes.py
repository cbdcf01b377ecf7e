"""The sizes of outputs, against the formulas of the notes; one spatial axis.

Sizes are those of the operations, by abstract evaluation. Every metric has a leading
axis of length 1: no count depends on a seed. "cases/ID" [1, 2] holds in how many cases
a statement holds and how many there are.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import conv, conv_transpose
from experiments.convolution_identities.transposed import grid
from experiments.harness.claims import Metrics


class Size(NamedTuple):
    """A convolution of one spatial axis, for its output size."""

    inputs: int
    window: int
    stride: int = 1
    padding: int | str = 0
    dilation: int = 1


def output_sizes(operation: Callable, cases: Sequence[Size]) -> np.ndarray:
    """The operation's output size of every case, all of one kind of padding.

    Three cases are the three axes of one array: the axes do not see each other, and it
    is a third of the work.
    """
    filled = [*cases, *[cases[-1]] * (-len(cases) % 3)]
    triples = [filled[start : start + 3] for start in range(0, len(filled), 3)]

    def apply(arrays: Sequence[jax.Array], triple: Sequence[Size]) -> jax.Array:
        _, _, strides, paddings, dilations = zip(*triple, strict=True)
        padding = paddings[0] if isinstance(paddings[0], str) else paddings
        return operation(
            *arrays, strides=strides, padding=padding, kernel_dilation=dilations
        )

    def arrays(triple: Sequence[Size]) -> list[jax.ShapeDtypeStruct]:
        inputs, window, *_ = zip(*triple, strict=True)
        shapes = ((1, *inputs, 1), (*window, 1, 1))
        return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]

    outputs = jax.eval_shape(
        lambda every: list(map(apply, every, triples)), list(map(arrays, triples))
    )
    found = [size for each in outputs for size in each.shape[1:-1]]
    return np.asarray(found[: len(cases)])


def mismatches(name: str, differs: Iterable[bool]) -> dict[str, np.ndarray]:
    """The metric NAME [1], how many differ, and its "cases" [1, 2]."""
    wrong = np.asarray(list(differs), bool)
    cases = np.asarray([[np.sum(~wrong), len(wrong)]])
    return {name: np.asarray([np.sum(wrong)]), f"cases/{name}": cases}


def sizes() -> Metrics:
    """sizes/*: mismatches of each formula of the notes with the operation, one axis.

    Map m <= 16, kernel f <= 7, p <= 3 zeros on both sides, stride s <= 4, rate r <= 3;
    where the kernel fits.
    """
    maps, kernels = range(1, 17), range(1, 8)
    plain = [Size(m, f) for m in maps for f in kernels if f <= m]
    strided = [
        Size(m, f, s, p)
        for m, f, s, p in itertools.product(maps, kernels, range(1, 5), range(4))
        if f <= m + 2 * p
    ]
    dilated = [
        case._replace(dilation=r)
        for case in strided
        for r in (2, 3)
        if case.window + (case.window - 1) * (r - 1) <= case.inputs + 2 * case.padding
    ]

    def exact(m: int, f: int, s: int, p: int) -> float:
        return (m + 2 * p - f) / s + 1

    def test(name: str, cases: list[Size], formula: Callable, measured=None) -> Metrics:
        measured = output_sizes(conv, cases) if measured is None else measured
        claimed = [formula(*case) for case in cases]
        return mismatches(f"sizes/{name}", measured != np.asarray(claimed))

    odd = [Size(m, f, 1, f // 2) for m in maps for f in kernels if f % 2]
    valid = [case._replace(padding="VALID") for case in plain]
    full = [Size(m, f, 1, "FULL") for m in maps for f in kernels]
    return {
        **test("valid", valid, lambda m, f, s, p, r: m - f + 1),
        **test("same", odd, lambda m, f, s, p, r: m),
        **test("full", full, lambda m, f, s, p, r: m + f - 1),
        **test("strided", strided, lambda m, f, s, p, r: exact(m, f, s, p) // 1),
        **test("strided-no-floor", strided, lambda m, f, s, p, r: exact(m, f, s, p)),
        **test(
            "dilated",
            dilated,
            lambda m, f, s, p, r: exact(m, f + (f - 1) * (r - 1), s, p) // 1,
        ),
    }


def transposed_sizes() -> Metrics:
    """transposed-is-adjoint/size and upsampling-grows.

    Returns:
        .../size [1]: convolutions whose input size i is not (o - 1)·s + k - 2p;
        .../remainder [1]: nor with (i + 2p - k) mod s added. upsampling-grows [1]:
        transposed convolutions whose output is no larger than their input;
        .../condition [1]: those of which (i - 1)(s - 1) + k - 1 > 2p says otherwise.
        "inputs-of-outputs" [1, cases, 2]: o and i for k = 3, s = 3, p = 1.
    """
    cases = grid()
    out = output_sizes(conv, [Size(*case) for case in cases])
    smallest = np.asarray(
        [(o - 1) * s + k - 2 * p for o, (_, k, s, p) in zip(out, cases, strict=True)]
    )
    actual = np.asarray([case.size for case in cases])
    remainder = np.asarray([case.remainder for case in cases])
    shown = [
        (o, case.size)
        for o, case in zip(out, cases, strict=True)
        if case[1:] == (3, 3, 1) and case.size <= 20
    ]
    exact = mismatches(
        "transposed-is-adjoint/remainder", smallest + remainder != actual
    )
    return {
        **mismatches("transposed-is-adjoint/size", smallest != actual),
        "transposed-is-adjoint/remainder": exact["transposed-is-adjoint/remainder"],
        "inputs-of-outputs": np.asarray([shown]),
        **_upsampling(),
    }


def _upsampling() -> Metrics:
    cases = [
        Size(i, k, s, p)
        for i, k, s in itertools.product(range(1, 33), range(1, 8), range(1, 5))
        for p in range(k)
        if (i - 1) * s + k - 2 * p >= 1
    ]
    grows = output_sizes(conv_transpose, cases) > [case.inputs for case in cases]
    said = [(i - 1) * (s - 1) + k - 1 > 2 * p for i, k, s, p, _ in cases]
    return {
        **mismatches("upsampling-grows", ~grows),
        "upsampling-grows/condition": np.asarray([np.sum(grows != said)]),
    }
