"""The sizes of outputs, against the formulas of the notes; one spatial axis.

Sizes are those of the operations, by abstract evaluation. Every metric has a leading
axis of length 1: no count depends on a seed. "cases/ID" [1, 2] holds in how many cases
a statement holds and how many there are.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import conv, conv_transpose
from cnn_jax.ops.windows import span
from experiments.convolution_identities.transposed import Transposed, grid
from experiments.harness.claims import Metric, Metrics, Shown


class Size(NamedTuple):
    """A convolution of one spatial axis, for its output size."""

    inputs: int
    window: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def fits(self) -> bool:
        """Whether the kernel is no larger than the padded input."""
        return span(self.window, self.dilation) <= self.inputs + 2 * self.padding


def output_sizes(
    operation: Callable, cases: Sequence[Size], padding: str = ""
) -> np.ndarray:
    """The operation's output size of every case; a named padding replaces the cases'.

    Three cases are the three axes of one array: the axes do not see each other, and it
    is a third of the work.
    """
    filled = [*cases, *[cases[-1]] * (-len(cases) % 3)]
    triples = [filled[start : start + 3] for start in range(0, len(filled), 3)]

    def apply(arrays: Sequence[jax.Array], triple: Sequence[Size]) -> jax.Array:
        _, _, strides, paddings, dilations = zip(*triple, strict=True)
        return operation(
            *arrays,
            strides=strides,
            padding=padding or paddings,
            kernel_dilation=dilations,
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


def mismatches(
    name: str, differ: np.ndarray, cases: Sequence[Size | Transposed]
) -> Metrics:
    """The metric NAME [1], how many cases differ, and "cases/NAME" [1, 2].

    Where some do, "first/NAME" is the first of them.
    """
    holds = np.asarray([[np.sum(~differ), differ.size]])
    found = {name: np.asarray([np.sum(differ)]), f"cases/{name}": holds}
    if not differ.any():
        return found
    first = cases[int(np.argmax(differ))]
    label = f"smallest counterexample of {name}: {', '.join(first._fields)}"
    return {**found, f"first/{name}": Shown(np.asarray(first), label)}


def sizes() -> Metrics:
    """sizes/*: mismatches of each formula of the notes with `conv`, one axis.

    Map m <= 16, kernel f <= 7, p <= 3 zeros on both sides, stride s <= 4, rate r <= 3;
    where the kernel fits.
    """
    plain = [Size(m, f) for m in range(1, 17) for f in range(1, 8)]
    padded = [
        Size(m, f, s, p)
        for (m, f, *_), s, p in itertools.product(plain, range(1, 5), range(4))
    ]
    strided = [case for case in padded if case.fits]
    dilated = [case._replace(dilation=r) for case in padded for r in (2, 3)]
    # name -> (cases, padding by name, formula)
    formulas: dict[str, tuple[list[Size], str, Callable]] = {
        "valid": (
            [case for case in plain if case.fits],
            "VALID",
            lambda m, f, s, p, r: m - f + 1,
        ),
        "same": (
            [Size(m, f, 1, (f - 1) // 2) for m, f, *_ in plain if f % 2],
            "",
            lambda m, f, s, p, r: m,
        ),
        "full": (plain, "FULL", lambda m, f, s, p, r: m + f - 1),
        "strided": (strided, "", lambda m, f, s, p, r: (m + 2 * p - f) // s + 1),
        "strided-no-floor": (
            strided,
            "",
            lambda m, f, s, p, r: (m + 2 * p - f) / s + 1,
        ),
        "dilated": (
            [case for case in dilated if case.fits],
            "",
            lambda m, f, s, p, r: (m + 2 * p - (f + (f - 1) * (r - 1))) // s + 1,
        ),
    }
    metrics: dict[str, Metric] = {}
    for name, (cases, padding, formula) in formulas.items():
        measured = output_sizes(conv, cases, padding)
        differ = measured != formula(*np.asarray(cases).T)
        metrics |= mismatches(f"sizes/{name}", differ, cases)
    return metrics


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
    i, k, s, p = np.asarray(cases).T
    smallest = (out - 1) * s + k - 2 * p
    whole = smallest + [case.remainder for case in cases]
    shown = (k == 3) & (s == 3) & (p == 1) & (i <= 20)
    return {
        **mismatches("transposed-is-adjoint/size", smallest != i, cases),
        "transposed-is-adjoint/remainder": np.asarray([np.sum(whole != i)]),
        "inputs-of-outputs": np.stack([out[shown], i[shown]], -1)[None],
        **_upsampling(),
    }


def _upsampling() -> Metrics:
    """Every transposed convolution of i <= 32, k <= 7, s <= 4, p < k with an output."""
    cases = [
        Size(i, k, s, p)
        for i, k, s in itertools.product(range(1, 33), range(1, 8), range(1, 5))
        for p in range(k)
        if (i - 1) * s + k - 2 * p >= 1
    ]
    i, k, s, p, _ = np.asarray(cases).T
    grows = output_sizes(conv_transpose, cases) > i
    said = (i - 1) * (s - 1) + k - 1 > 2 * p
    return {
        **mismatches("upsampling-grows", ~grows, cases),
        "upsampling-grows/condition": np.asarray([np.sum(grows != said)]),
    }
