"""The pieces of the speed experiment, small."""

from typing import Any

import jax
import numpy as np
import pytest

from experiments.convolution_speed import Config
from experiments.convolution_speed.measures import (
    ALGORITHMS,
    chart,
    draw,
    prepare,
)
from experiments.convolution_speed.naive import loops
from experiments.convolution_speed.shapes import Shape
from experiments.harness.lab import Lab
from experiments.harness.metrics import Shown
from tests import reference


@pytest.mark.parametrize(
    "shape",
    [Shape(5, 3, 4, 3, stride=2), Shape(4, 4, 6, 2, groups=2)],
    ids=["stride", "groups"],
)
def test_the_naive_way_is_the_definition(shape: Shape) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, shape.size, shape.size, shape.channels))
    kernel = rng.normal(
        size=(shape.window,) * 2 + (shape.channels // shape.groups, shape.features)
    )
    with jax.enable_x64(True):
        outputs = jax.jit(loops, static_argnames="shape")(inputs, kernel, shape=shape)
    strides, ones = (shape.stride,) * 2, (1, 1)
    mode, pairs = reference.border(
        "SAME", inputs.shape[1:3], kernel.shape[:2], strides, ones
    )
    wanted = reference.conv(
        inputs,
        kernel,
        strides=strides,
        mode=mode,
        pairs=pairs,
        input_dilation=ones,
        kernel_dilation=ones,
        groups=shape.groups,
    )
    np.testing.assert_allclose(outputs, wanted, rtol=1e-12, atol=1e-12)


def test_im2col_asks_for_memory_and_xla_for_less() -> None:
    key, shape = jax.random.key(0), Shape(16, 4, 4, 5)
    arrays = draw(key, shape, 1)
    im2col, direct = (prepare(name, shape, *arrays) for name in ("im2col", "direct"))
    assert im2col is not None
    assert direct is not None
    copies = 4 * 16 * 16 * 25 * 4 / 1024
    assert im2col.kilobytes >= copies > direct.kilobytes


def test_what_unrolls_too_much_is_left_out() -> None:
    for name, window in (("shifted", 11), ("winograd4", 5)):
        shape = Shape(16, 1, 1, window)
        arrays = draw(jax.random.key(0), shape, 1)
        assert prepare(name, shape, *arrays) is None


def test_the_map_has_a_time_wherever_an_algorithm_applies() -> None:
    lab = Lab("digits", None, lambda *a, **k: None, lambda *a: None)
    columns = {"channels": {2: Shape(6, 2, 2, 1)}}
    metrics = chart(jax.random.key(0), lab, (3, 11), columns, 1, 1)
    shown = {name: each for name, each in metrics.items() if isinstance(each, Shown)}
    seconds = shown["seconds/channels"].values
    errors = shown["error/channels"].values
    left_out = ~np.isfinite(seconds[:, 0])
    assert [ALGORITHMS[i] for i in np.flatnonzero(left_out[1])] == [
        "shifted",
        "winograd2",
        "winograd4",
    ]
    assert not left_out[0].any()
    assert float(np.nanmax(errors)) < 1e-5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("windows", "3,1"),
        ("sizes", "8;16"),
        ("channels", "0,1"),
        ("crossover", "3,1000"),
        ("groups", "1,3"),
        ("repeats", 19),
    ],
)
def test_bad_settings_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})
