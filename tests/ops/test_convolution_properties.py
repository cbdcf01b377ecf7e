"""conv on drawn shapes: the definition where windows fit, an error where none does."""

from functools import partial
from typing import Any, NamedTuple

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st

from cnn_jax.ops import conv
from tests import reference


class Case(NamedTuple):
    inputs: np.ndarray
    kernel: np.ndarray
    settings: dict[str, Any]
    algorithm: str


NAMES = ("SAME", "VALID", "FULL", "CAUSAL", "CIRCULAR", "REFLECT", "REPLICATE")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Sizes 0 and 1, odd and even, and every setting, small enough for loops."""
    rank = draw(st.sampled_from((2, 1, 3)))

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return draw(st.tuples(*[st.integers(low, high)] * rank))

    largest = (9, 7, 4)[rank - 1]
    spatial, window = per_axis(1, largest), per_axis(1, min(4, largest))
    if draw(st.sampled_from((False,) * 9 + (True,))):
        spatial = (0, *spatial[1:])
    groups, num_images = draw(st.integers(1, 3)), draw(st.sampled_from((2, 1, 2, 1, 0)))
    channels, features = draw(st.tuples(*[st.integers(1, 2)] * 2))
    pair = st.tuples(st.integers(-1, 3), st.integers(-1, 3))
    padding = draw(
        st.one_of(
            st.sampled_from(
                NAMES if rank == 1 else [n for n in NAMES if n != "CAUSAL"]
            ),
            st.tuples(*[pair] * rank),
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return Case(
        rng.normal(size=(num_images, *spatial, groups * channels)),
        rng.normal(size=(*window, channels, groups * features)),
        {
            "strides": per_axis(1, 3),
            "padding": padding,
            "input_dilation": per_axis(1, 2),
            "kernel_dilation": per_axis(1, 2),
            "feature_group_count": groups,
        },
        draw(st.sampled_from(("auto", "direct", "im2col", "shifted", "banded"))),
    )


def check(case: Case) -> None:
    inputs, kernel, settings, algorithm = case
    rank, padding = inputs.ndim - 2, settings["padding"]
    strides, dilation = settings["strides"], settings["kernel_dilation"]
    spatial = reference.spread(inputs, settings["input_dilation"]).shape[1:-1]
    window = kernel.shape[:rank]
    if isinstance(padding, str):
        mode, pairs = reference.border(padding, spatial, window, strides, dilation)
    else:
        mode, pairs = "zeros", padding
    f = partial(conv, algorithm=algorithm, **settings)
    axes = zip(spatial, window, dilation, pairs, strict=True)
    misfit = any(n and n + low + high <= d * (k - 1) for n, k, d, (low, high) in axes)
    unfilled = mode != "zeros" and 0 in spatial and any(map(any, pairs))
    with jax.enable_x64(True):
        if misfit or unfilled:
            with pytest.raises(ValueError, match="expected"):
                jax.eval_shape(f, inputs, kernel)
            return
        outputs = jax.jit(f)(inputs, kernel)
    expected = reference.conv(
        inputs,
        kernel,
        strides=strides,
        mode=mode,
        pairs=pairs,
        input_dilation=settings["input_dilation"],
        kernel_dilation=dilation,
        groups=settings["feature_group_count"],
    )
    assert outputs.shape == expected.shape
    np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-12)


@hypothesis.settings(max_examples=80)
@hypothesis.given(case=cases())
def test_drawn_convolutions_compute_the_definition(case: Case) -> None:
    check(case)


@pytest.mark.exhaustive
@hypothesis.settings(max_examples=2000)
@hypothesis.given(case=cases())
def test_many_drawn_convolutions_compute_the_definition(case: Case) -> None:
    check(case)
