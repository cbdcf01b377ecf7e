"""The identities of convolution: what measures them, a small run, and its ledger."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from experiments.convolution_identities import (
    CLAIMS,
    Config,
    counts,
    denoising,
    laws,
    learning,
    plot,
    run,
    sides,
    sizes,
    transposed,
    variants,
)
from experiments.convolution_identities.answer import _cases
from experiments.harness import figures
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.verdicts import judge, judge_controls

# Row, its arms, the kind of each, the verdict that is expected of each.
LEDGER = (
    ("commutes-by-flip", "convolution correlation", "law", "yes no"),
    ("multichannel-commutes", "only-if if", "law", "yes no"),
    ("flip-is-learned-away", "", "law", "yes"),
    ("conv-is-matrix", "", "law", "yes"),
    (
        "weights-used-everywhere",
        "dense full circular same valid",
        "count",
        "yes yes yes no no",
    ),
    ("dense-to-conv", "", "law", "yes"),
    ("stride-is-subsampling", "explicit same", "law", "yes no"),
    (
        "sizes",
        "valid same full strided strided-no-floor dilated",
        "law",
        "yes yes yes yes no yes",
    ),
    ("border-used-less", "valid full full-stride-2", "law", "yes yes no"),
    ("sparse-cost", "", "count", "yes"),
    ("locally-connected-and-tiled", "", "law", "yes"),
    ("separable-count", "", "count", "yes"),
    ("grouped-count", "", "count", "yes"),
    ("averaging-denoises", "variance total-error", "law conditional", "yes open"),
    ("transposed-is-adjoint", "adjoint zero-stuffing size", "law", "yes yes no"),
    ("upsampling-grows", "", "count", "no"),
    ("fourier/identity", "", "law", "yes"),
    ("im2col", "equal orientation", "law count", "yes no"),
    ("activation-pool-order", "max max-nonmonotone avg", "law", "yes no no"),
)


def ledger():
    """{(id, kind, expected)} of every row and arm."""
    found = set()
    for row, arms, kinds, expected in LEDGER:
        names = [f"{row}/{arm}" for arm in arms.split()] or [row]
        kinds = (kinds.split() * len(names))[: len(names)]
        found |= set(zip(names, kinds, expected.split(), strict=True))
    return found


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """One small run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
        config = Config(num_transposed=2, num_digits=32)
        return run(keys(0, 1), config, lab)


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    stated = {(claim.id, claim.kind, claim.expected) for claim in CLAIMS}
    assert stated == ledger()
    assert len(CLAIMS) == len(stated)


def test_every_verdict_is_the_expected_one(metrics):
    expected = {"yes": "supported", "no": "refuted"}
    for found in judge(CLAIMS, metrics):
        assert found.verdict == expected.get(found.expected, "supported"), found.id


def test_every_control_holds(metrics):
    controls = judge_controls(CLAIMS, metrics)
    assert len(controls) == 9
    for control in controls:
        assert control.verdict == "supported", control.id


def test_every_figure_is_drawn(metrics):
    drawings = figures.draw(plot, metrics)
    assert next(iter(drawings)) == "answer"
    assert len(drawings) == 6
    assert all(len(each.svg) > 10_000 for each in drawings.values())


def test_counted_cases_are_those_of_the_grids(metrics):
    cases = {
        claim.id: _cases(claim, metrics)
        for claim in CLAIMS
        if claim.id in ("transposed-is-adjoint/size", "upsampling-grows")
    }
    assert cases["transposed-is-adjoint/size"] == (2680 - 1272, 2680)
    assert cases["upsampling-grows"] == (3500 - 531, 3500)


def test_a_mistake_in_one_side_is_seen():
    case = transposed.Transposed(8, 3, 2, 1)

    @jax.jit
    def mistakes(key):
        kernel = jax.random.normal(key, (3, 2, 3))
        stuffed, _ = transposed.zero_stuffed_sides(jnp.flip(kernel, 0), case)
        _, mapped = transposed.zero_stuffed_sides(kernel, case)
        (forward, _), *_ = transposed.adjoint_sides(kernel, case)
        (_, adjoint), *_ = transposed.adjoint_sides(jnp.flip(kernel, 0), case)
        image, window = jax.random.normal(key, (1, 6, 5, 1)), kernel[:, :, :1, None]
        left, right = sides.fourier_sides(image, window, "CIRCULAR")
        return [
            laws.error((stuffed, mapped)),
            laws.error((forward, adjoint)),
            laws.error((left, jnp.roll(right, 1, 1))),
        ]

    assert min(mistakes(jax.random.key(1))) > 0.1


def test_the_sides_are_true_convolutions():
    draw = np.random.default_rng(0)
    image, kernel = draw.normal(size=(5, 4)), draw.normal(size=(3, 2))

    @jax.jit
    def both(image, kernel):
        shaped = image[None, ..., None], kernel[..., None, None]
        swapped = sides.swapped_sides(sides.direct_convolve, image, kernel)
        return (*swapped, *sides.fourier_sides(*shaped, "FULL"))

    expected = signal.convolve2d(image, kernel)
    arrays = [jnp.asarray(each, jnp.float32) for each in (image, kernel)]
    for side in both(*arrays):
        np.testing.assert_allclose(side[0, ..., 0], expected, atol=1e-5)


def test_the_dense_matrix_has_the_kernel_in_every_row():
    kernel = jnp.asarray([1.0, 2.0, 3.0])
    matrix = sides.dense_matrix(kernel, (5,), stride=2, pairs=[(1, 1)], dilation=1)
    expected = [[2, 3, 0, 0, 0], [0, 1, 2, 3, 0], [0, 0, 0, 1, 2]]
    np.testing.assert_array_equal(matrix, expected)
    assert laws.distinct_nonzeros(np.asarray(matrix)) == 3


def test_a_matrix_with_one_more_number_is_counted():
    assert laws.distinct_nonzeros(np.asarray([[0.0, 1.0], [1.0, 2.0]])) == 2


def test_kernels_are_told_apart_wherever_they_stand():
    size = variants.MAP**2
    assert variants.distinct_kernels(np.eye(size)) == 1
    assert variants.distinct_kernels(np.diag(np.arange(1, size + 1))) == size


def test_the_note_draws_windows_as_columns():
    # Of a 5 x 5 image the matrix would be 9 x 9, and symmetric.
    matrix = sides.note_matrix(jnp.arange(36.0).reshape(6, 6), (3, 3))
    assert matrix.shape == (9, 16)
    np.testing.assert_array_equal(matrix[:, 0], [0, 1, 2, 6, 7, 8, 12, 13, 14])
    np.testing.assert_array_equal(matrix[0, :5], [0, 1, 2, 3, 6])


@pytest.mark.parametrize(("edge", "window"), [(6, 3), (5, 2)])
def test_pixels_are_used_as_often_as_windows_hold_them(edge, window):
    starts = range(edge - window + 1)
    expected = np.zeros((edge, edge))
    for top, left in itertools.product(starts, starts):
        expected[top : top + window, left : left + window] += 1
    found = counts.pixel_uses("VALID", 1, edge, window)
    np.testing.assert_array_equal(found, expected)
    used = counts.weight_uses("VALID", edge, window)
    np.testing.assert_array_equal(used, np.full((window, window), len(starts) ** 2))


def test_the_loop_counts_what_it_multiplies():
    taps = [[((0,), 0), ((1,), 1)], [((1,), 1)]]
    outputs, products, used = counts.counted(
        np.asarray([2.0, 3.0]), np.asarray([5.0, 7.0]), taps
    )
    np.testing.assert_array_equal(outputs, [31, 21])
    assert (products, used) == (3, 2)


def test_output_sizes_are_those_of_the_operation():
    cases = [sizes.Size(7, 3), sizes.Size(8, 3, 2, 1), sizes.Size(9, 2, 3, 0, 4)]
    cases += [sizes.Size(4, 4)]
    seen = []

    def operation(inputs, kernel, **options):
        seen.append(options["strides"])
        return sides.direct_conv(inputs, kernel, **options)

    assert sizes.output_sizes(operation, cases).tolist() == [5, 4, 2, 1]
    assert seen == [(1, 2, 3), (1, 1, 1)]
    assert sizes.output_sizes(operation, cases, "FULL").tolist() == [9, 5, 5, 7]


def test_mismatches_are_counted_with_their_cases_and_the_first_of_them():
    cases = [sizes.Size(each, 1) for each in (3, 4, 5)]
    differ = np.asarray([False, True, True])
    found: Any = sizes.mismatches("name", differ, cases)
    assert found["name"].tolist() == [2]
    assert found["cases/name"].tolist() == [[1, 3]]
    assert found["first/name"].values.tolist() == [4, 1, 1, 0, 1]
    assert "first/name" not in sizes.mismatches("name", differ & False, cases)


def test_the_grid_of_transposed_convolutions_is_the_ledgers():
    assert len(transposed.grid()) == 2680
    chosen = transposed.spread(64)
    assert len(set(chosen)) == 64
    assert list(chosen) == sorted(chosen)
    assert {case.stride for case in chosen} == {1, 2, 3, 4}
    assert {case.window for case in chosen} == set(range(1, 8))
    assert any(case.remainder for case in chosen)


def test_the_fourier_layer_convolves_where_the_other_correlates():
    draw = np.random.default_rng(0)
    image, kernel = draw.normal(size=(6, 5)), draw.normal(size=(3, 3))
    with jax.enable_x64(True):
        inputs = jnp.asarray(image)[None, ..., None]
        weights = jnp.asarray(kernel)[..., None, None]
        convolved = learning.convolve_by_fourier(inputs, weights)
        correlated = learning.correlate(inputs, weights)
    expected = signal.convolve2d(image, kernel, mode="same")
    np.testing.assert_allclose(convolved[0, ..., 0], expected, atol=1e-12)
    expected = signal.correlate2d(image, kernel, mode="same")
    np.testing.assert_allclose(correlated[0, ..., 0], expected, atol=1e-12)


def test_a_distance_is_over_all_params_and_per_step():
    left = {"kernel": jnp.ones((2, 3, 3, 1, 1)), "dense": jnp.ones((2, 7))}
    right = {**left, "dense": left["dense"].at[1, 0].set(5.0)}
    np.testing.assert_allclose(learning.distance(left, right), [0, 4 / 40**0.5])


def test_noise_alone_falls_to_the_root_of_the_sum_of_squared_weights():
    flat = {"flat": np.full((300, 280, 1), 0.5, np.float32)}
    found: Any = denoising.total_errors(keys(0, 1), flat)
    expected = [np.sqrt(np.sum(each**2)) for each in denoising.filters()]
    ratios = found["error-ratios"].values[0]
    np.testing.assert_allclose(ratios, np.tile(expected, (4, 1)), rtol=0.02)
    np.testing.assert_allclose(
        found["averaging-denoises/total-error"], expected[:1], rtol=0.02
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_transposed", 2681, "expected num_transposed in 1 to 2680, got 2681"),
        ("steps", 0, "expected steps in 1 to 10000, got 0"),
        ("num_digits", 2000, "expected num_digits in 1 to 1437, got 2000"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})
