"""Rounding errors of the three forms, held to the bounds that the algorithms state."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops.algorithms import Settings, direct, winograd
from cnn_jax.ops.algorithms.registry import FORMS

IMAGES, SPATIAL, CHANNELS, FEATURES = 3, (13, 11), 8, 6
SETTINGS = Settings((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1))
UNIT = 2.0**-24
# Half a unit in the last place of the result, once.
LAST = {"float32": 2.0**-24, "bfloat16": 2.0**-8}


def three_forms(algorithm: str, x: Any, k: Any, ct: Any) -> tuple[Any, ...]:
    forward, to_inputs, to_kernel = (FORMS[form][algorithm] for form in FORMS)
    return (
        forward(x, k, SETTINGS),
        to_inputs(ct, k, SETTINGS, SPATIAL),
        to_kernel(x, ct, SETTINGS, (3, 3)),
    )


def draw(dtype: str) -> list[Any]:
    """Values of the dtype, of several magnitudes: x, k and the cotangent."""
    rng = np.random.default_rng(0)
    shapes = [(IMAGES, *SPATIAL, CHANNELS), (3, 3, CHANNELS, FEATURES)]
    shapes.append((IMAGES, *SPATIAL, FEATURES))
    scales = [10.0 ** rng.integers(-1, 2, shape) for shape in shapes]
    pairs = zip(shapes, scales, strict=True)
    return [jnp.asarray(s * rng.normal(size=shape), dtype) for shape, s in pairs]


def exact(arrays: list[Any]) -> tuple[Any, ...]:
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(each, np.float64)) for each in arrays]
        forms = jax.jit(lambda *arrays: three_forms("direct", *arrays))(*wide)
        return tuple(np.asarray(each) for each in forms)


def largest(array: np.ndarray, axes: tuple[int, ...]) -> float:
    """The largest sum of magnitudes over the axes."""
    return float(np.abs(array).sum(axes).max())


def winograd_bounds(m: int, x: Any, k: Any, ct: Any) -> list[float]:
    amplified = UNIT * {2: 4.0, 4: 88 / 3}[m] ** 2
    terms = 3**2 + 2 * (m + 2) ** 2
    tiles = IMAGES * math.prod(-(-size // m) for size in SPATIAL)
    return [
        (CHANNELS + terms) * amplified * np.abs(x).max() * largest(k, (0, 1, 2)),
        (FEATURES + terms) * amplified * np.abs(ct).max() * largest(k, (0, 1, 3)),
        (tiles + terms) * amplified * np.abs(x).max() * largest(ct, (0, 1, 2)),
    ]


def fourier_bounds(x: Any, k: Any, ct: Any) -> list[float]:
    def norms(array: np.ndarray, order: int, axes: tuple[int, int]) -> np.ndarray:
        return (np.abs(array) ** order).sum(axes) ** (1 / order)

    stages = 24 * math.log2(15 * 15)
    taps = norms(k, 1, (0, 1))
    return [
        (stages + 2 * CHANNELS) * UNIT * (norms(x, 2, (1, 2)) @ taps).max(),
        (stages + 2 * FEATURES) * UNIT * (norms(ct, 2, (1, 2)) @ taps.T).max(),
        (stages + 2 * IMAGES)
        * UNIT
        * (norms(x, 2, (1, 2)).T @ norms(ct, 1, (1, 2))).max(),
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("algorithm", ["winograd2", "winograd4", "fourier"])
def test_errors_stay_below_what_the_algorithm_states(
    algorithm: str, dtype: str
) -> None:
    arrays = draw(dtype)
    wide = [np.asarray(each, np.float64) for each in arrays]
    if algorithm == "fourier":
        bounds = fourier_bounds(*wide)
    else:
        bounds = winograd_bounds(int(algorithm[-1]), *wide)
    got = jax.jit(lambda *arrays: three_forms(algorithm, *arrays))(*arrays)
    for part, wanted, bound in zip(got, exact(arrays), bounds, strict=True):
        assert part.dtype == dtype
        error = np.abs(np.asarray(part, np.float64) - wanted)
        assert (error <= bound + LAST[dtype] * (np.abs(wanted) + bound)).all()
        assert bound < 0.2 * np.abs(wanted).max()  # it says something


@pytest.mark.parametrize("m", [2, 4])
def test_the_transforms_compute_the_convolution_of_polynomials(m: int) -> None:
    inputs, window, outputs = winograd.matrices(m)
    rng = np.random.default_rng(1)
    values, taps = rng.normal(size=m + 2), rng.normal(size=3)
    products = (window @ taps) * (inputs @ values)
    wanted = np.correlate(values, taps, "valid")
    np.testing.assert_allclose(outputs.T @ products, wanted, rtol=1e-12)
    amplified = np.abs(outputs.T) @ (np.abs(window).max(1) * np.abs(inputs).sum(1))
    assert amplified.max() == pytest.approx({2: 4, 4: 88 / 3}[m])


@pytest.mark.parametrize("algorithm", ["winograd2", "winograd4", "fourier"])
def test_typical_errors_are_what_the_algorithm_says(algorithm: str) -> None:
    rng = np.random.default_rng(2)
    shapes = [(2, *SPATIAL, 32), (3, 3, 32, 16)]
    x, k = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)

    def errors(name: str) -> float:
        outputs = jax.jit(lambda x, k: FORMS["forward"][name](x, k, SETTINGS))(x, k)
        return float(np.sqrt(np.mean((np.asarray(outputs) - wanted) ** 2)))

    with jax.enable_x64(True):
        wide = (jnp.asarray(np.asarray(each, np.float64)) for each in (x, k))
        compute = jax.jit(lambda x, k: direct.forward(x, k, SETTINGS))
        wanted = np.asarray(compute(*wide))
    ratio = errors(algorithm) / errors("direct")
    least, most = (2, 12) if algorithm == "winograd4" else (0.3, 1.5)
    assert least < ratio < most
