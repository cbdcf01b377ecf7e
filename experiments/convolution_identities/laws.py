"""The identities, measured over shapes and seeds.

Every function takes numbers [seeds, NUMBERS], standard normals that inputs and kernels
are cut from, and returns metrics with a leading seed axis: Grids of
‖left - right‖ / ‖right‖, cases ordered from small to large.
"""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.instruments import relative_error
from cnn_jax.ops import avg_pool, max_pool
from experiments.convolution_identities import sides
from experiments.convolution_identities.sides import Sides
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.seeds import cut, normals, over_seeds

NUMBERS = 4096
MAP = 8  # edge of the maps that are pooled
MONOTONE = ("sigmoid", "tanh", "relu")
NOT_MONOTONE = ("silu", "gelu")
# Shapes of a and b, as image and kernel in turn.
PAIRS = (((3,), (2,)), ((9,), (9,)), ((3, 3), (2, 2)), ((5, 4), (3, 6)))
# Shape, window, stride, zeros on each side, dilation.
MATRICES = (
    ((6,), (3,), 1, 0, 1),
    ((6,), (4,), 2, 3, 1),
    ((6, 6), (3, 3), 1, 1, 1),
    ((7, 6), (2, 3), 2, 1, 2),
)
STRIDED = tuple((n, k, s) for n in (8, 9) for k in (2, 3, 5) for s in (2, 3))

Case = Callable[[jax.Array], Sides]


def draw(keys: jax.Array) -> jax.Array:
    """[seeds, NUMBERS]; drawn in one program, for a draw takes longest to compile."""
    return over_seeds(lambda key: normals(key, (NUMBERS,))[0])(keys)


def error(both: Sides) -> jax.Array:
    """‖left - right‖ / ‖right‖, one number."""
    left, right = both
    return relative_error(left[None], right[None])[0]


def errors(numbers: jax.Array, cases: Mapping[str, Case], axis: str = "case") -> Grid:
    """The error of every case [seeds, case], all cases in one program."""

    def measure(numbers: jax.Array) -> jax.Array:
        return jnp.stack([error(case(numbers)) for case in cases.values()])

    return Grid(np.asarray(over_seeds(measure)(numbers)), {axis: tuple(cases)})


def by(size: tuple[int, ...]) -> str:
    """(3, 2) as "3x2"."""
    return "x".join(map(str, size))


def commuting(numbers: jax.Array) -> Metrics:
    """commutes-by-flip: a with b against b with a; and multichannel-commutes/if."""

    def swapped(operation: Callable) -> Grid:
        def case(numbers: jax.Array, a: tuple[int, ...], b: tuple[int, ...]) -> Sides:
            return sides.swapped_sides(operation, *cut(numbers, a, b))

        cases = {
            f"{by(a)} and {by(b)}": functools.partial(case, a=a, b=b) for a, b in PAIRS
        }
        return errors(numbers, cases, "shapes")

    def order(numbers: jax.Array, groups: int) -> Sides:
        kernel = (3, 3, 4 // groups, 4)
        return sides.order_sides(
            *cut(numbers, (1, 6, 6, 4), kernel, kernel), groups=groups
        )

    return {
        "commutes-by-flip/convolution": swapped(sides.direct_convolve),
        "commutes-by-flip/correlation": swapped(sides.direct_conv),
        "multichannel-commutes/if": errors(
            numbers, {"4 -> 4": functools.partial(order, groups=1)}
        ),
        "multichannel-commutes/depthwise": errors(
            numbers, {"4 groups": functools.partial(order, groups=4)}
        ),
    }


def matrices(numbers: jax.Array) -> Metrics:
    """conv-is-matrix: outputs, and distinct non-zeros beyond the kernel's size.

    Returns:
        conv-is-matrix/{outputs, distinct} [seeds, case]; "matrix", one matrix.
    """
    labels = [
        f"{by(n)}, kernel {by(k)}, stride {s}, padding {p}, dilation {d}"
        for n, k, s, p, d in MATRICES
    ]

    def measure(numbers: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        found = []
        for spatial, window, stride, padding, dilation in MATRICES:
            kernel, inputs = cut(numbers, window, (4, *spatial, 1))
            options = (stride, [(padding, padding)] * len(window), dilation)
            both = sides.matrix_sides(inputs, kernel, *options)
            matrix = sides.dense_matrix(kernel, spatial, *options)
            found.append((error(both), matrix))
        return found

    found = over_seeds(measure)(numbers)
    beyond = [
        [distinct_nonzeros(each) - np.prod(window) for each in np.asarray(matrix)]
        for (_, matrix), (_, window, *_) in zip(found, MATRICES, strict=True)
    ]
    axes = {"case": tuple(labels)}
    outputs = np.stack([np.asarray(each) for each, _ in found], axis=1)
    return {
        "conv-is-matrix/outputs": Grid(outputs, axes),
        "conv-is-matrix/distinct": Grid(np.asarray(beyond).T, axes),
        "matrix": np.asarray(found[2][1])[:1],
    }


def distinct_nonzeros(matrix: np.ndarray) -> int:
    """How many different numbers other than 0 a matrix holds."""
    return len(np.unique(matrix[matrix != 0]))


def dense_to_conv(numbers: jax.Array) -> Metrics:
    """dense-to-conv: a classifier of 8 x 8 images on its own size and on larger ones.

    Returns:
        dense-to-conv [seeds, case].
    """

    def case(numbers: jax.Array, edge: int) -> Sides:
        shapes = (2, edge, edge, 2), (3, 3, 2, 3), (6 * 6 * 3, 10)
        return sides.sliding_sides(*cut(numbers, *shapes), size=8)

    cases = {f"{n}x{n} images": functools.partial(case, edge=n) for n in (8, 11)}
    return {"dense-to-conv": errors(numbers, cases)}


def strides(numbers: jax.Array) -> Metrics:
    """stride-is-subsampling/{explicit, same}, one spatial axis: [seeds, case]."""

    def case(numbers: jax.Array, n: int, k: int, s: int, padding: int | str) -> Sides:
        inputs, kernel = cut(numbers, (2, n, 2), (k, 2, 2))
        return sides.strided_sides(inputs, kernel, s, padding)

    def grid(same: bool) -> Grid:
        cases = {
            f"{n}, kernel {k}, stride {s}": functools.partial(
                case, n=n, k=k, s=s, padding="SAME" if same else k // 2
            )
            for n, k, s in STRIDED
        }
        return errors(numbers, cases, "size")

    return {
        "stride-is-subsampling/explicit": grid(same=False),
        "stride-is-subsampling/same": grid(same=True),
    }


def fourier_and_im2col(numbers: jax.Array) -> Metrics:
    """fourier/identity [seeds, case]; im2col/{equal, orientation, pixels}.

    im2col takes the note's example in the size of the ledger, a 6 x 6 image and a
    3 x 3 kernel; orientation [1] is the number of rows of the note's matrix.
    """

    def fourier(numbers: jax.Array, window: tuple[int, int], padding: str) -> Sides:
        inputs, kernel = cut(numbers, (2, 9, 8, 2), (*window, 2, 3))
        return sides.fourier_sides(inputs, kernel, padding)

    def im2col(numbers: jax.Array) -> Sides:
        return sides.im2col_sides(*cut(numbers, (6, 6), (3, 3)))

    image = jnp.arange(36.0).reshape(6, 6)
    drawn = np.asarray(sides.note_matrix(image, (3, 3)))
    cases = {
        f"{padding.lower()}, kernel {by(window)}": functools.partial(
            fourier, window=window, padding=padding
        )
        for padding, window in (
            ("CIRCULAR", (3, 3)),
            ("CIRCULAR", (4, 5)),
            ("FULL", (4, 5)),
        )
    }
    return {
        "fourier/identity": errors(numbers, cases),
        "im2col/equal": errors(numbers, {"6x6, kernel 3x3": im2col}),
        "im2col/orientation": np.asarray([len(drawn)]),
        "im2col/pixels": Shown(
            drawn, "im2col as the note draws it: pixel numbers [row; window]"
        ),
    }


def activation_order(numbers: jax.Array) -> Metrics:
    """activation-pool-order/{max, max-nonmonotone, avg} [seeds, activation]."""

    def case(numbers: jax.Array, name: str, pool: Callable) -> Sides:
        (inputs,) = cut(numbers, (4, MAP, MAP, 3))
        return sides.activation_sides(getattr(jax.nn, name), pool, inputs)

    def grid(names: tuple[str, ...], pool: Callable) -> Grid:
        cases = {n: functools.partial(case, name=n, pool=pool) for n in names}
        return errors(numbers, cases, "activation")

    return {
        "activation-pool-order/max": grid(MONOTONE, max_pool),
        "activation-pool-order/max-nonmonotone": grid(NOT_MONOTONE, max_pool),
        "activation-pool-order/avg": grid(MONOTONE, avg_pool),
    }
