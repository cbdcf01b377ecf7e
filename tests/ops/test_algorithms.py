"""What every algorithm owes: derivatives, batching, loops, precision."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import conv
from tests.derivatives import check_derivatives
from tests.trees import assert_same_trees

ALGORITHMS = ["direct", "im2col", "shifted", "banded", "fourier"]
# spatial, window, channels, features, settings
CASES: dict[str, Any] = {
    "line": ((6,), (3,), 2, 2, {"strides": 2, "input_dilation": 2}),
    "one-channel": ((5, 4), (3, 2), 1, 2, {"strides": (1, 2), "padding": "REFLECT"}),
    "depthwise": ((4, 5), (2, 3), 2, 4, {"feature_group_count": 2}),
    "groups": ((4, 5), (2, 2), 4, 2, {"feature_group_count": 2, "kernel_dilation": 2}),
    "volume": ((3, 3, 4), (2, 2, 2), 2, 2, {"padding": "CIRCULAR"}),
    "tiles": ((5, 4), (3, 3), 2, 4, {"feature_group_count": 2, "padding": "FULL"}),
}


def draw(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    spatial, window, channels, features, settings = CASES[name]
    rng = np.random.default_rng(3)
    groups = settings.get("feature_group_count", 1)
    inputs = rng.normal(size=(2, *spatial, channels))
    return inputs, rng.normal(size=(*window, channels // groups, features)), settings


TILED = [("tiles", "winograd2"), ("tiles", "winograd4")]
QUICK = {
    ("line", "direct"),
    ("one-channel", "shifted"),
    ("groups", "im2col"),
    ("line", "banded"),
    ("depthwise", "shifted"),
    ("line", "fourier"),
    ("tiles", "winograd4"),
}


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.exhaustive)
        for pair in [*itertools.product(CASES, ALGORITHMS), *TILED]
    ],
)
def test_derivatives_of_both_orders_agree_with_differences(
    name: str, algorithm: str
) -> None:
    inputs, kernel, settings = draw(name)
    check_derivatives(partial(conv, algorithm=algorithm, **settings), (inputs, kernel))


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.exhaustive)
        for pair in [*itertools.product(CASES, ALGORITHMS[1:]), *TILED]
    ],
)
def test_second_derivatives_agree_with_those_of_xla(name: str, algorithm: str) -> None:
    inputs, kernel, settings = draw(name)

    def curvature(algorithm: str) -> Any:
        def loss(x: Any, k: Any) -> Any:
            return jnp.sum(conv(x, k, algorithm=algorithm, **settings) ** 3)

        def product(x: Any, k: Any) -> Any:  # forward over reverse
            return jax.jvp(jax.grad(loss, (0, 1)), (x, k), (jnp.cos(x), jnp.sin(k)))

        return jax.jit(product)(inputs, kernel)

    with jax.enable_x64(True):
        found, wanted = curvature(algorithm), curvature("direct")
        assert_same_trees(found, wanted, 1e-10, 1e-10)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("one-channel", "shifted"),
        ("depthwise", "shifted"),
        ("groups", "im2col"),
        ("line", "fourier"),
        ("tiles", "winograd2"),
    ],
)
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_over_inputs_and_kernels_is_a_loop_over_them(
    name: str, algorithm: str, axes: Any
) -> None:
    inputs, kernel, settings = draw(name)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, *inputs.shape) if axes[0] == 0 else inputs.shape)
    k = rng.normal(size=(3, *kernel.shape) if axes[1] == 0 else kernel.shape)
    f = gradients(partial(conv, algorithm=algorithm, **settings))
    with jax.enable_x64(True):
        batched = jax.jit(jax.vmap(f, axes))(x, k)
        one = jax.jit(f)
        rows = [
            one(x[i] if axes[0] == 0 else x, k[i] if axes[1] == 0 else k)
            for i in range(3)
        ]
    looped = [np.stack(parts) for parts in zip(*rows, strict=True)]
    for got, want in zip(batched, looped, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("one-channel", "shifted"),
        ("groups", "im2col"),
        ("line", "fourier"),
        ("tiles", "winograd4"),
    ],
)
def test_a_scan_of_gradient_steps_is_a_loop_of_them(name: str, algorithm: str) -> None:
    inputs, kernel, settings = draw(name)
    slope = gradients(partial(conv, algorithm=algorithm, **settings))

    def step(kernel: Any, _: None) -> tuple[Any, None]:
        return kernel - 1e-3 * slope(jnp.asarray(inputs), kernel)[2], None

    with jax.enable_x64(True):
        scanned, _ = jax.lax.scan(step, jnp.asarray(kernel), length=3)
        looped, one = jnp.asarray(kernel), jax.jit(lambda k: step(k, None)[0])
        for _ in range(3):
            looped = one(looped)
    np.testing.assert_allclose(scanned, looped, rtol=1e-12)


def gradients(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Outputs, and the gradients of a sum of cubes to inputs and kernel."""

    def slopes(x: Any, k: Any) -> Any:
        outputs, pullback = jax.vjp(f, x, k)
        return outputs, *pullback(outputs**2)

    return slopes


def test_one_channel_volumes_have_gradients_under_two_vmaps() -> None:
    # Products of rank 7 that are summed crash jaxlib 0.10.2 on the CPU.
    x, k = jnp.ones((2, 2, 1, 8, 8, 8, 1)), jnp.ones((2, 2, 2, 2, 2, 1, 3))
    f = gradients(partial(conv, algorithm="shifted"))
    slopes = jax.jit(jax.vmap(jax.vmap(f)))(x, k)
    assert [a.shape[:2] for a in slopes] == [(2, 2)] * 3


def test_depthwise_volumes_have_gradients_under_two_vmaps() -> None:
    x, k = jnp.ones((2, 2, 1, 8, 8, 8, 2)), jnp.ones((2, 2, 2, 2, 2, 1, 2))
    f = gradients(partial(conv, feature_group_count=2, algorithm="shifted"))
    slopes = jax.jit(jax.vmap(jax.vmap(f)))(x, k)
    assert [a.shape[:2] for a in slopes] == [(2, 2)] * 3


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "shifted", "banded"])
def test_precision_reaches_every_product_of_several_channels(algorithm: str) -> None:
    def traced(precision: Any) -> str:
        f = partial(conv, algorithm=algorithm, precision=precision)
        return jax.jit(f).lower(jnp.ones((1, 4, 2)), jnp.ones((3, 2, 2))).as_text()

    assert "HIGHEST" in traced("highest")
    assert "HIGHEST" not in traced("default")


@pytest.mark.parametrize("name", ["one-channel", "groups"])
def test_auto_is_one_of_the_algorithms_bit_for_bit(name: str) -> None:
    inputs, kernel, settings = draw(name)
    x, k = jnp.float32(inputs), jnp.float32(kernel)
    outputs = jax.jit(partial(conv, **settings))(x, k)
    others = [
        jax.jit(partial(conv, algorithm=algorithm, **settings))(x, k)
        for algorithm in ALGORITHMS
    ]
    assert any((outputs == other).all() for other in others)
