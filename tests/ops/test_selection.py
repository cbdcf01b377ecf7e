"""What algorithm="auto" stands for."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import conv, conv_transpose
from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.registry import FORMS
from cnn_jax.ops.algorithms.selection import select


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


@pytest.mark.parametrize("groups", [1, 2])
def test_a_gpu_gets_products_for_integers_and_its_convolution_for_floats(groups: int):
    """cuDNN convolves no int32."""

    def program(dtype: Any) -> str:
        x, k = jnp.ones((1, 6, 6, 4), dtype), jnp.ones((3, 3, 4 // groups, 4), dtype)
        convolve = jax.jit(partial(conv, feature_group_count=groups))
        return jax.export.export(convolve, platforms=["cuda"])(x, k).mlir_module()

    assert "stablehlo.convolution" in program(jnp.float32)
    assert "stablehlo.convolution" not in program(jnp.int32)


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
