"""The laws of the equivariance experiment, small; and what its pieces return."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import slide
from experiments.equivariance import ALL_ARMS, ARMS, CLAIMS, Config
from experiments.equivariance.geometry import (
    GEOMETRIES,
    advance,
    advance_unshared,
    errors,
    random_stack,
    sides,
    spread,
)
from experiments.equivariance.laws import displacements, invariance_errors
from experiments.equivariance.maxima import (
    max_dependence,
    maximum,
    unchanged_fraction,
    unchanged_shares,
)
from experiments.equivariance.nets import MODELS, parse_arm
from experiments.equivariance.sharing import sharing_errors
from experiments.harness.seeds import keys

COMMUTING = {
    "circular",
    "stride-aligned",
    "zero-fill-margin",
    "valid",
    "full",
    "half-pixel-linear",
}
LEDGER = {
    *(f"conv-equivariant/{name}" for name in GEOMETRIES),
    *(f"moves-by-same-amount/{stride}" for stride in (1, 2, 4)),
    *(f"sharing-gives-equivariance/{a}" for a in ("shared", "tiled", "unshared")),
    "conv-invariant",
    *(
        f"invariance-is-conv-plus-maxpool/{arm}"
        for arm in ("sufficient", "necessary", "conferred")
    ),
    "output-equivariant",
    *(f"max-depends-on-one/{arm}" for arm in ("derivative", "lowered", "any-change")),
    *(f"max-unchanged-fraction/{window}" for window in (2, 3, 4, 8)),
}


@pytest.fixture(scope="module")
def photographs():
    """Stand-ins that fill the frame, of the size the laws expect."""
    return np.asarray(jax.random.uniform(jax.random.key(7), (2, 36, 36, 1)))


@functools.cache
def small_errors(name, layer):
    geometry = GEOMETRIES[name]
    images = jax.random.normal(jax.random.key(0), (2, 12, 12, 1))
    if geometry.images == "margin":
        images = jnp.pad(images[:, :4, :4], ((0, 0), (4, 4), (4, 4), (0, 0)))
    if geometry.images == "band":
        from cnn_jax.instruments import band_limit

        images = band_limit(images)
    net = random_stack(jax.random.key(1), depth=2)
    if layer is advance_unshared:
        net = [jax.random.normal(jax.random.key(2), (20, 20, 9, 8)) / 3]
    shifts = geometry.grid(2)
    return np.stack(
        [errors(layer, net, images, shifts, geometry, s)[0] for s in geometry.strides]
    )


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_convolution_commutes_exactly_where_the_ledger_expects_it(name):
    worst = small_errors(name, advance).max()
    assert worst < 1e-5 if name in COMMUTING else worst > 0.05


@pytest.mark.parametrize("name", GEOMETRIES)
def test_independent_kernels_commute_in_no_geometry(name):
    assert small_errors(name, advance_unshared).min() > 0.1


def test_the_overlap_counts_every_output_whose_field_lies_inside_both_images():
    still = jnp.ones((1, 5, 5, 1))
    moved = jnp.full_like(still, 2)
    left, right = sides(moved, still, jnp.asarray((1, -2)), slide, "overlap")
    assert jnp.sum(left != 0) == jnp.sum(right != 0) == 4 * 3


def test_dead_and_constant_maps_have_no_spread():
    maps = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    assert spread(maps) > 0.5
    assert spread(maps.at[1].set(0.0)) == 0
    assert spread(maps.at[1].set(2.0)) == 0


def test_the_deepest_random_stacks_stay_alive():
    geometry = GEOMETRIES["zero-fill-margin"]
    images = jnp.pad(jnp.ones((1, 4, 4, 1)), ((0, 0), (16, 16), (16, 16), (0, 0)))
    for key in jax.random.split(jax.random.key(9), 5):
        net = random_stack(key, depth=15)
        _, alive = errors(advance, net, images, geometry.grid(1)[:1], geometry, (1,))
        assert alive > 1e-3


def test_a_kernel_that_differs_in_one_place_is_noticed():
    """The control of the instrument itself: one pixel of one image is seen."""
    geometry = GEOMETRIES["circular"]
    images = jax.random.normal(jax.random.key(0), (2, 12, 12, 1))
    net = random_stack(jax.random.key(1), depth=1)

    def tampered(images, layer, **options):
        return advance(images, layer, **options).at[1::2, 3, 3].multiply(1.01)

    error, _ = errors(tampered, net, images, geometry.grid(1), geometry, (1,))
    assert error.min() > 1e-5


def test_the_slope_of_the_displacement_is_one_over_the_stride(photographs):
    kernels = jax.random.normal(jax.random.key(3), (1, 1, 5, 5, 1, 6))
    layers = [(kernels, jnp.zeros((1, 1, 6)))]
    metrics: Any = displacements(keys(0, 1), photographs, layers, ("net",))
    for stride in (1, 2, 4):
        np.testing.assert_allclose(metrics[f"slope/{stride}"].values, 1 / stride)
        assert metrics[f"peak/{stride}"].values.min() > 0.99


def test_sharing_tiling_and_their_controls(photographs):
    metrics: Any = sharing_errors(keys(0, 2), photographs, 1)

    def worst(name, reduce):
        grid = metrics[f"sharing/{name}"]
        values = grid.values if grid.valid is None else grid.values[:, grid.valid]
        return reduce(values)

    assert worst("shared", np.max) < 1e-5
    assert worst("equal", np.max) < 1e-5
    assert worst("tiled-aligned", np.max) < 1e-5
    assert worst("tiled-misaligned", np.min) > 0.1
    assert worst("unshared", np.min) > 0.1
    assert worst("indivisible", np.min) > 0.01


def test_averaging_is_invariant_and_nothing_else_is(photographs):
    layers = [
        (
            jax.random.normal(jax.random.key(3), (1, 1, 3, 3, 1, 2)),
            jnp.zeros((1, 1, 2)),
        ),
        (
            jax.random.normal(jax.random.key(4), (1, 1, 3, 3, 2, 2)),
            jnp.zeros((1, 1, 2)),
        ),
    ]
    metrics: Any = invariance_errors(keys(0, 1), photographs, layers, ("net",), 1)
    for name in ("invariance/average", "logits/average", "invariance/equivariance"):
        assert metrics[name].values.max() < 1e-5, name
    for name in ("invariance/conv", "invariance/max-pool", "logits/dense"):
        assert metrics[name].values.min() > 1e-2, name


@pytest.mark.parametrize(("window", "shift"), [(2, (0, 1)), (3, (0, 2)), (3, (1, 1))])
def test_the_unchanged_share_is_that_of_drawn_windows(window, shift):
    draw = np.random.default_rng(0).random((40_000, window + 3, window + 3))
    before = draw[:, :window, :window].max((1, 2))
    down, right = shift
    after = draw[:, down : down + window, right : right + window].max((1, 2))
    expected = unchanged_fraction(window, shift)
    np.testing.assert_allclose((before == after).mean(), expected, atol=0.01)


def test_the_unchanged_share_is_the_ledgers_closed_form():
    for k in (2, 3, 4, 8):
        for d in range(1, k):
            np.testing.assert_allclose(unchanged_fraction(k, (0, d)), (k - d) / (k + d))
        np.testing.assert_allclose(
            unchanged_fraction(k, (1, 1)), (k - 1) ** 2 / (k**2 + 2 * k - 1)
        )


def test_measured_shares_agree_with_the_closed_form_and_ties_do_not():
    metrics: Any = unchanged_shares(keys(0, 1))
    for window in (2, 3, 4, 8):
        assert np.abs(metrics[f"unchanged-z/{window}"].values).max() < 5
        assert metrics[f"unchanged-z-quantized/{window}"].values.min() > 5


def test_only_a_rise_above_the_maximum_changes_it():
    window = jnp.asarray([[1.0, 3.0], [2.0, 0.0]])
    assert maximum(window) == 3
    assert maximum(window.at[1, 1].set(5.0)) == 5
    metrics: Any = max_dependence(keys(0, 1))
    assert metrics["violations/derivative"].values.max() == 0
    assert metrics["violations/lowered"].values.max() == 0
    # k²-1 entries of 1,000 windows, replaced by a draw from [0, 2k²).
    expected = [3000 * 5 / 8, 8000 * 10 / 18]
    changed = metrics["violations/any-change"].values[0]
    np.testing.assert_allclose(changed, expected, rtol=0.1)


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} == LEDGER
    assert len(CLAIMS) == len(LEDGER)


def test_every_arm_has_a_model_and_all_arms_hold_the_defaults():
    assert set(ARMS) < set(ALL_ARMS)
    for arm in ALL_ARMS:
        name, augmentation = parse_arm(arm)
        assert name in MODELS
        assert augmentation == (3 if arm.endswith("+aug") else 0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("arms", "max,blurr", "expected arms as all or from max.*got 'max,blurr'"),
        ("arms", "max,max", "each once, got 'max,max'"),
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("max_shift", 6, "expected max_shift in 1 to 5, got 6"),
        ("batch", 4096, "expected batch in 1 to 1024, got 4096"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})
