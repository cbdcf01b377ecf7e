"""What every algorithm owes: derivatives, batching, loops, one rule for "auto"."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from cnn_jax.ops import conv, conv_transpose
from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.registry import FORMS
from cnn_jax.ops.algorithms.selection import select
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
    f = jax.jit(partial(conv, algorithm=algorithm, **settings))
    with jax.enable_x64(True):
        check_grads(f, (inputs, kernel), order=2, modes=("fwd", "rev"), rtol=1e-6)


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


def plain(
    groups: int = 1,
    input_dilation: int = 1,
    strides: int = 1,
    rank: int = 2,
    dilation: int = 1,
) -> Settings:
    pairs = ((2, 2),) * rank
    axes = [(each,) * rank for each in (strides, input_dilation, dilation)]
    return Settings(axes[0], pairs, axes[1], axes[2], groups)


@pytest.mark.parametrize(
    ("images", "size", "kernel", "settings", "algorithms"),
    [
        (8, 32, (5, 5, 1, 6), plain(), ("banded", "banded", "tall")),
        (16, 16, (5, 5, 6, 16), plain(), ("direct", "banded", "tall")),
        (15, 16, (5, 5, 6, 16), plain(), ("direct", "im2col", "tall")),
        (5, 16, (5, 5, 6, 16), plain(), ("direct", "im2col", "tall")),
        (4, 16, (5, 5, 6, 16), plain(), ("direct", "im2col", "im2col")),
        (3, 16, (5, 5, 6, 17), plain(), ("direct", "im2col", "tall")),
        (8, 41, (5, 5, 1, 6), plain(), ("banded", "banded", "tall")),
        (8, 42, (5, 5, 1, 6), plain(), ("shifted", "im2col", "tall")),
        (8, 128, (9, 9, 1, 6), plain(), ("direct", "im2col", "tall")),
        (64, 16, (5, 5, 7, 16), plain(), ("direct", "im2col", "tall")),
        (64, 32, (3, 3, 4, 16), plain(), ("im2col", "im2col", "tall")),
        (64, 32, (4, 3, 4, 16), plain(), ("direct", "im2col", "tall")),
        (64, 32, (3, 3, 8, 16), plain(), ("direct", "direct", "tall")),
        (64, 900, (3, 3, 4, 16), plain(), ("direct", "direct", "tall")),
        (64, 32, (3, 3, 5, 16), plain(), ("direct", "im2col", "tall")),
        (64, 32, (3, 3, 7, 16), plain(), ("direct", "im2col", "tall")),
        (
            8,
            227,
            (11, 11, 3, 96),
            plain(strides=4),
            ("space_to_depth",) * 3,
        ),
        (8, 32, (7, 7, 1, 32), plain(strides=2), ("direct", "im2col", "im2col")),
        (
            8,
            32,
            (3, 3, 3, 32),
            plain(strides=2, dilation=2),
            ("im2col", "direct", "imagewise"),
        ),
        (8, 10**5, (3, 512, 512), plain(rank=1), ("direct",) * 3),
        (8, 32, (3, 3, 1, 6), plain(groups=6), ("shifted", "shifted", "depthwise")),
        (8, 32, (9, 9, 1, 6), plain(groups=6), ("direct",) * 3),
        (8, 16, (5, 5, 3, 16), plain(groups=2), ("grouped",) * 3),
        (8, 56, (1, 1, 64, 256), plain(strides=2), ("pointwise",) * 3),
        (8, 56, (3, 3, 64, 64), plain(), ("tall",) * 3),
        (8, 32, (3, 3, 16, 16), plain(), ("direct", "direct", "tall")),
        (8, 5, (3, 3, 64, 392), plain(), ("im2col",) * 3),
        (8, 5, (3, 3, 64, 391), plain(), ("tall",) * 3),
        (8, 56, (3, 3, 64, 64), plain(strides=2), ("direct", "phases", "imagewise")),
        (8, 56, (7, 7, 3, 8), plain(strides=2), ("direct",) + ("space_to_depth",) * 2),
        (8, 56, (7, 7, 9, 8), plain(strides=2), ("direct", "phases", "imagewise")),
        (8, 56, (5, 5, 3, 32), plain(strides=2), ("direct",) + ("space_to_depth",) * 2),
        (8, 56, (5, 5, 9, 32), plain(strides=2), ("direct", "phases", "imagewise")),
        (8, 32, (4, 4, 32, 64), plain(strides=2), ("space_to_depth",) * 3),
        (
            8,
            32,
            (4, 4, 33, 64),
            plain(strides=2),
            ("direct",) + ("space_to_depth",) * 2,
        ),
        (
            8,
            32,
            (4, 4, 32, 64),
            plain(strides=2, dilation=2),
            ("direct", "direct", "imagewise"),
        ),
        (1, 64, (16, 16, 3, 384), plain(strides=16), ("space_to_depth",) * 3),
        (1, 64, (4, 8, 384), plain(strides=4, rank=1), ("space_to_depth",) * 3),
        (8, 32, (3, 3, 64, 3), plain(), ("col2im",) * 3),
        (8, 32, (3, 3, 64, 5), plain(), ("direct", "tall", "col2im")),
        (8, 32, (3, 3, 15, 4), plain(), ("direct", "direct", "col2im")),
        (8, 32, (3, 3, 64, 9), plain(), ("tall",) * 3),
        (4, 32, (5, 5, 64, 3), plain(), ("direct", "direct", "col2im")),
        (8, 64, (2, 2, 64, 64), plain(strides=8), ("direct", "im2col", "im2col")),
        (8, 64, (2, 2, 64, 64), plain(strides=3), ("direct", "phases", "im2col")),
        (8, 2500, (3, 3, 64, 3), plain(), ("direct", "direct", "tall")),
        (8, 2500, (7, 7, 64, 64), plain(), ("tall",) * 3),
        (8, 200, (3, 3, 3, 64, 3), plain(rank=3), ("planes",) * 3),
        (1, 10**7, (9, 32, 8), plain(rank=1), ("direct",) * 3),
        (8, 32, (5, 5, 1, 6), plain(input_dilation=2), ("direct",) * 3),
        (8, 16, (3, 3, 3, 3, 64), plain(rank=3), ("im2col",) * 3),
        (8, 16, (3, 3, 3, 9, 64), plain(rank=3), ("planes",) * 3),
        (8, 16, (3, 3, 3, 9, 64), plain(rank=3, dilation=2), ("planes",) * 3),
        (8, 16, (9, 3, 3, 9, 64), plain(rank=3), ("direct", "direct", "imagewise")),
        (8, 16, (3, 3, 3, 64, 3), plain(rank=3), ("col2im",) * 3),
        (1, 4, (3, 3, 3, 64, 512), plain(rank=3), ("direct", "im2col", "im2col")),
        (
            8,
            16,
            (3, 3, 3, 9, 64),
            plain(strides=2, rank=3),
            ("direct", "phases", "imagewise"),
        ),
        (
            8,
            16,
            (3, 3, 3, 3, 64),
            plain(strides=2, rank=3),
            ("im2col", "space_to_depth", "imagewise"),
        ),
        (8, 50, (3, 120, 120), plain(rank=1), ("direct", "direct", "im2col")),
        (1, 50, (3, 120, 120), plain(rank=1), ("direct", "im2col", "im2col")),
        (8, 50, (3, 300, 100), plain(rank=1), ("direct", "direct", "col2im")),
    ],
)
def test_auto_follows_its_rule(
    images: int, size: int, kernel: Any, settings: Settings, algorithms: Any
) -> None:
    spatial = (size,) * len(settings.strides)
    chosen = [select(form, spatial, kernel, settings, images) for form in FORMS]
    assert tuple(chosen) == algorithms


def test_windows_as_large_as_the_inputs_are_not_copied_per_pixel() -> None:
    whole = Settings((1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1))
    chosen = [select(form, (16, 16), (16, 16, 64, 3), whole, 16) for form in FORMS]
    assert chosen == ["direct", "direct", "im2col"]


@pytest.mark.parametrize("features", [4, 1])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_integers_are_convolved_whatever_the_rule_takes(
    rank: int, features: int
) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (1, *(6,) * rank, 16))
    k = rng.integers(-9, 9, (*(3,) * rank, 16, features))
    x, k = jnp.asarray(x, jnp.int32), jnp.asarray(k, jnp.int32)
    outputs = jax.jit(conv)(x, k)
    wide = jax.jit(partial(conv, algorithm="direct"))(jnp.float32(x), jnp.float32(k))
    np.testing.assert_array_equal(outputs, wide)
    back = jax.jit(partial(conv_transpose, algorithm="im2col"))(outputs, k)
    wide = jax.jit(conv_transpose)(jnp.float32(outputs), jnp.float32(k))
    assert back.dtype == jnp.int32
    np.testing.assert_allclose(back, wide, rtol=1e-6)


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
