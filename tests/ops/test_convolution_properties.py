"""conv on many shapes: the definition where windows fit, an error where none does.

Every algorithm is held to the same loops, and so to every other, and to the formula of
the outputs' sizes.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st

from cnn_jax.ops import ALGORITHM_NAMES, conv, output_size
from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.registry import FORMS, serving
from tests import reference

# What "autotune" chooses is one of the others.
ALGORITHMS = [name for name in ALGORITHM_NAMES if name != "autotune"]


class Case(NamedTuple):
    inputs: np.ndarray
    kernel: np.ndarray
    settings: dict[str, Any]
    algorithm: str


NAMES = ("SAME", "VALID", "FULL", "CAUSAL", "CIRCULAR", "REFLECT", "REPLICATE")


@st.composite
def cases(draw: st.DrawFn, groups: Sequence[int] = (1, 2, 3)) -> Case:
    """Sizes 0 and 1, odd and even, and every setting, small enough for loops."""
    rank = draw(st.sampled_from((2, 1, 3)))

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return draw(st.tuples(*[st.integers(low, high)] * rank))

    algorithm = draw(st.sampled_from(ALGORITHMS))
    tiled = algorithm.startswith("winograd")
    largest = (9, 7, 4)[rank - 1]
    spatial = per_axis(1, largest)
    window = (3,) * rank if tiled else per_axis(1, min(4, largest))
    if draw(st.sampled_from((False,) * 9 + (True,))):
        spatial = (0, *spatial[1:])
    num_groups = draw(st.sampled_from(groups))
    num_images = draw(st.sampled_from((2, 1, 2, 1, 0)))
    stride, spread, dilation = (
        1 if tiled else draw(st.sampled_from((1, largest))) for largest in (3, 2, 2)
    )
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
        rng.normal(size=(num_images, *spatial, num_groups * channels)),
        rng.normal(size=(*window, channels, num_groups * features)),
        {
            "strides": per_axis(1, stride),
            "padding": padding,
            "input_dilation": per_axis(1, spread),
            "kernel_dilation": per_axis(1, dilation),
            "feature_group_count": num_groups,
        },
        algorithm,
    )


def grid() -> list[Case]:
    """200 points, the algorithms in turn."""
    sizes = [(1,), (5,), (8,), (3, 4), (2, 3, 4)]
    paddings = ["SAME", "VALID", "FULL", "REFLECT", 1]
    points = itertools.product(sizes, (2, 3), (1, 2), (1, 2), paddings)
    rng, cases = np.random.default_rng(0), []
    for i, (spatial, taps, stride, dilation, padding) in enumerate(points):
        rank, groups, algorithm = (
            len(spatial),
            1 + i % 2,
            ALGORITHMS[i % len(ALGORITHMS)],
        )
        if algorithm.startswith("winograd"):
            taps, stride, dilation = 3, 1, 1
        settings = {
            "strides": (stride,) * rank,
            "padding": padding if isinstance(padding, str) else ((1, padding),) * rank,
            "input_dilation": (1,) * rank,
            "kernel_dilation": (dilation,) * rank,
            "feature_group_count": groups,
        }
        inputs = rng.normal(size=(2, *spatial, 2 * groups))
        kernel = rng.normal(size=(*(taps,) * rank, 2, groups))
        cases.append(Case(inputs, kernel, settings, algorithm))
    return cases


def border(case: Case) -> tuple[str, reference.Pairs, tuple[int, ...]]:
    """Mode and pairs of the padding, and the sizes that it is added to."""
    rank, padding = case.inputs.ndim - 2, case.settings["padding"]
    steps = case.settings["strides"], case.settings["kernel_dilation"]
    spread = reference.spread(case.inputs, case.settings["input_dilation"])
    spatial = spread.shape[1:-1]
    if not isinstance(padding, str):
        return "zeros", padding, spatial
    window = case.kernel.shape[:rank]
    return *reference.border(padding, spatial, window, *steps), spatial


def fits(case: Case) -> bool:
    """Whether windows fit, and their border has values; else conv has to say so."""
    mode, pairs, spatial = border(case)
    dilation = case.settings["kernel_dilation"]
    axes = zip(spatial, case.kernel.shape[: len(spatial)], dilation, pairs, strict=True)
    misfit = any(n and n + low + high <= d * (k - 1) for n, k, d, (low, high) in axes)
    unfilled = mode != "zeros" and 0 in spatial and any(map(any, pairs))
    if not misfit and not unfilled:
        return True
    with jax.enable_x64(True), pytest.raises(ValueError, match="expected"):
        jax.eval_shape(function(case), case.inputs, case.kernel)
    return False


def function(case: Case) -> Callable[..., Any]:
    return partial(conv, algorithm=case.algorithm, **case.settings)


def check(cases: Sequence[Case]) -> None:
    """All cases in one program."""
    cases = [case for case in cases if fits(case)]
    functions = [function(case) for case in cases]
    arrays = [(case.inputs, case.kernel) for case in cases]
    with jax.enable_x64(True):
        results = compiled(
            lambda arrays: [f(*a) for f, a in zip(functions, arrays, strict=True)],
            arrays,
        )
    for case, outputs in zip(cases, results, strict=True):
        compare(case, outputs)


def compiled(function: Callable[..., Any], *arrays: Any) -> Any:
    """Without LLVM's work on speed: most of the time goes into compiling."""
    options: dict[str, bool | str] = {"xla_backend_optimization_level": "0"}
    program = jax.jit(function).lower(*arrays)
    return program.compile(compiler_options=options)(*arrays)


def compare(case: Case, outputs: Any) -> None:
    mode, pairs, spatial = border(case)
    strides, dilation = case.settings["strides"], case.settings["kernel_dilation"]
    expected = reference.conv(
        case.inputs,
        case.kernel,
        strides=strides,
        mode=mode,
        pairs=pairs,
        input_dilation=case.settings["input_dilation"],
        kernel_dilation=dilation,
        groups=case.settings["feature_group_count"],
    )
    window = case.kernel.shape[: len(spatial)]
    axes = zip(spatial, window, strides, dilation, pairs, strict=True)
    sizes = [output_size(n, k, s, d, *pair) for n, k, s, d, pair in axes]
    assert outputs.shape == expected.shape
    assert list(outputs.shape[1:-1]) == sizes
    tolerance = 1e-10 if case.algorithm == "winograd4" else 1e-12
    np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)


# Six draws an example: a program of six is compiled in less than six programs are.
@hypothesis.settings(max_examples=50)
@hypothesis.given(drawn=st.lists(cases(), min_size=6, max_size=6))
def test_drawn_convolutions_compute_the_definition(drawn: list[Case]) -> None:
    check(drawn)


@pytest.mark.parametrize("part", range(10))
def test_a_grid_of_convolutions_computes_the_definition(part: int) -> None:
    points = grid()
    assert len(points) == 200
    check(points[part::10])


@pytest.mark.exhaustive
@hypothesis.settings(max_examples=10_000)
@hypothesis.given(case=cases())
def test_many_drawn_convolutions_compute_the_definition(case: Case) -> None:
    check([case])


def check_forms(case: Case, form: str) -> None:
    """Every algorithm that serves a form computes what "direct" does."""
    if 0 in case.inputs.shape or not fits(case):
        return
    _, pairs, _ = border(case)
    names = ("strides", "input_dilation", "kernel_dilation", "feature_group_count")
    steps, spread, dilation, groups = (case.settings[name] for name in names)
    settings = Settings(steps, tuple(pairs), spread, dilation, groups)
    *window, _, features = case.kernel.shape
    out = settings.out(case.inputs.shape[1:-1], window)
    slopes = np.random.default_rng(1).normal(size=(len(case.inputs), *out, features))
    left, right, *sizes = {
        "forward": (case.inputs, case.kernel),
        "input_gradient": (slopes, case.kernel, case.inputs.shape[1:-1]),
        "kernel_gradient": (case.inputs, slopes, window),
    }[form]
    served = serving(form, case.kernel.shape, settings, "float64")

    def compute(left: Any, right: Any) -> dict[str, Any]:
        return {
            name: FORMS[form][name](left, right, settings, *sizes) for name in served
        }

    with jax.enable_x64(True):
        results = compiled(compute, left, right)
    for name, result in results.items():
        np.testing.assert_allclose(
            result, results["direct"], rtol=1e-9, atol=1e-9, err_msg=name
        )


# As small as they are drawn: to shrink a failure compiles all algorithms many times.
UNSHRUNK = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.shrink]


@hypothesis.settings(max_examples=100, phases=UNSHRUNK)
@hypothesis.given(case=cases((1, 1, 1, 2)), form=st.sampled_from(list(FORMS)))
def test_drawn_forms_agree_between_all_algorithms(case: Case, form: str) -> None:
    check_forms(case, form)


@pytest.mark.exhaustive
@hypothesis.settings(max_examples=1000, phases=UNSHRUNK)
@hypothesis.given(case=cases((1, 1, 1, 2)), form=st.sampled_from(list(FORMS)))
def test_many_drawn_forms_agree_between_all_algorithms(case: Case, form: str) -> None:
    check_forms(case, form)
