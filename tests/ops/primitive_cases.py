"""Convolutions of each kind that "auto" tells apart, and their three forms."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cnn_jax.ops.algorithms import Settings
from tests.trees import assert_same_trees

# spatial, window, channels, features, settings: one of each kind that "auto" tells
# apart, with odd sizes, crops and lopsided borders.
CASES: dict[str, Any] = {
    "dense": ((9, 8), (3, 2), 5, 4, Settings((1, 1), ((1, 0), (2, 1)), (1, 1), (2, 1))),
    "cropped": (
        (9, 8),
        (3, 2),
        3,
        4,
        Settings((1, 1), ((-1, 2), (0, -2)), (1, 1), (1, 3)),
    ),
    "three-taps": (
        (7, 6),
        (3, 3),
        3,
        2,
        Settings((1, 1), ((1, 0), (-1, 2)), (1, 1), (1, 1)),
    ),
    "strided": (
        (9, 11),
        (3, 4),
        5,
        3,
        Settings((2, 3), ((1, 0), (-1, 1)), (1, 1), (1, 1)),
    ),
    "stem": ((9, 11), (5, 4), 3, 2, Settings((2, 3), ((1, 2), (0, 1)), (1, 1), (1, 1))),
    "skipping": (
        (7, 11),
        (2, 2),
        5,
        2,
        Settings((3, 3), ((0, 1), (0, 2)), (1, 1), (1, 1)),
    ),
    "pointwise": (
        (7, 6),
        (1, 1),
        3,
        4,
        Settings((2, 3), ((-1, 2), (1, 0)), (1, 1), (1, 1)),
    ),
    "line": ((9,), (3,), 3, 4, Settings((2,), ((1, 2),), (1,), (2,))),
    "volume": (
        (5, 4, 6),
        (2, 1, 3),
        3,
        2,
        Settings((2, 1, 1), ((1, 0), (0, 1), (1, 1)), (1, 1, 1), (1, 2, 1)),
    ),
    "undilated-volume": (
        (5, 4, 6),
        (2, 3, 4),
        3,
        2,
        Settings((2, 1, 3), ((1, 0), (-1, 2), (1, 1)), (1, 1, 1), (1, 1, 1)),
    ),
    "flat-volume": (
        (5, 4, 6),
        (3, 1, 1),
        3,
        2,
        Settings((1, 1, 1), ((1, 0), (0, 1), (-1, 1)), (1, 1, 1), (2, 1, 1)),
    ),
    "fractional-volume": (
        (3, 4, 3),
        (2, 1, 2),
        3,
        2,
        Settings((1, 2, 1), ((1, 0), (0, 1), (1, -1)), (2, 1, 3), (2, 1, 1)),
    ),
    "cropped-away": (
        (1, 5),
        (2, 2),
        3,
        2,
        Settings((2, 1), ((-1, 3), (1, 0)), (1, 1), (1, 1)),
    ),
    "patches": (
        (9, 8),
        (3, 2),
        2,
        5,
        Settings((3, 2), ((0, 0), (1, 1)), (1, 1), (1, 1)),
    ),
    "undilated-line": ((9,), (3,), 4, 3, Settings((2,), ((1, 2),), (1,), (1,))),
    "few-features": (
        (9, 8),
        (3, 2),
        8,
        2,
        Settings((1, 1), ((2, 0), (-1, 1)), (1, 1), (1, 3)),
    ),
    "one-channel": (
        (9, 8),
        (3, 2),
        1,
        4,
        Settings((1, 2), ((1, 0), (2, 1)), (1, 1), (1, 1)),
    ),
    "depthwise": (
        (9, 8),
        (3, 3),
        4,
        8,
        Settings((2, 1), ((1, 0), (2, 1)), (1, 1), (1, 2), 4),
    ),
    "groups": (
        (9, 8),
        (3, 3),
        6,
        4,
        Settings((2, 1), ((1, 0), (2, 1)), (1, 1), (1, 1), 2),
    ),
    "fractional": (
        (5, 4),
        (3, 2),
        4,
        2,
        Settings((1, 2), ((1, 0), (2, 1)), (2, 3), (1, 2), 2),
    ),
}


def draw(name: str, seed: int = 3) -> tuple[Any, Any, Any, Settings]:
    """Inputs, kernel, cotangent and settings."""
    spatial, window, channels, features, settings = CASES[name]
    rng = np.random.default_rng(seed)
    groups = settings.feature_group_count
    x = rng.normal(size=(2, *spatial, channels))
    k = rng.normal(size=(*window, channels // groups, features))
    ct = rng.normal(size=(2, *settings.out(spatial, window), features))
    return x, k, ct, settings


def three_forms(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    def forms(x: Any, k: Any, ct: Any) -> Any:
        outputs, pullback = jax.vjp(f, x, k)
        return outputs, *pullback(ct)

    return forms


def assert_close(got: Any, want: Any, tolerance: float = 1e-10) -> None:
    assert_same_trees(got, want, tolerance, tolerance)
