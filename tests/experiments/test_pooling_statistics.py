"""Pools as statistics: the ledger, and what measures laws, maps and photographs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from experiments.harness.seeds import keys
from experiments.pooling_statistics import CLAIMS, draws, maps, moments, pictures

LAWS = ("uniform", "normal", "exponential", "relu-normal", "trained")
LEDGER = {
    "no-parameters",
    "stochastic-follows-value",
    "stochastic-between",
    *(f"stochastic-approx-average/{layer}" for layer in ("conv1", "conv2")),
    *(f"avg-reduces-variance/{law}-{n}" for law in LAWS for n in (4, 9, 16, 64)),
    *(f"max-reduces-mean-shift/{reading}" for reading in ("raw", "relu")),
    "avg-keeps-background",
    "max-keeps-texture",
    "global-avg-late-max-early",
    "pooling-regularizes",
}


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} == LEDGER
    assert len(CLAIMS) == len(LEDGER)


def test_every_row_is_guarded():
    assert all(claim.controls for claim in CLAIMS)


def test_pools_have_no_parameters_and_one_that_learns_is_counted():
    metrics: Any = draws.parameters()
    assert metrics["pool-parameters"].values.tolist() == [[0, 0, 0, 0]]
    assert metrics["learned-shares"] == 6 + 16


def test_one_chi_squared_pools_the_windows_of_all_seeds():
    chances = np.asarray([[[0.5, 0.2], [0.5, 0.3], [0.0, 0.5]]])
    counts = np.asarray([[[60, 15], [40, 30], [0, 55], [0, 0]]])
    statistic, p = draws.chi_squared(counts, chances)
    first = stats.chisquare([60, 40], [50, 50])
    second = stats.chisquare([15, 30, 55], [20, 30, 50])
    np.testing.assert_allclose(statistic, first.statistic + second.statistic)
    np.testing.assert_allclose(p, stats.chi2.sf(statistic, 3))
    twice = np.concatenate([counts, counts])
    pooled = draws.chi_squared(twice, np.concatenate([chances, chances]))
    np.testing.assert_allclose(pooled[0], 2 * statistic)
    np.testing.assert_allclose(pooled[1], stats.chi2.sf(2 * statistic, 6))


@pytest.mark.parametrize("cell", [2, 3])
def test_what_has_no_chance_must_never_be_drawn(cell):
    """A value of 0, and what is no value of the window at all."""
    chances = np.asarray([[[0.5], [0.5], [0.0]]])
    counts = np.asarray([[[50], [49], [0], [0]]])
    counts[0, cell] = 1
    assert draws.chi_squared(counts, chances) == (float("inf"), 0.0)


def test_shares_tell_the_uniform_sampler_which_draws_no_zeros_either(monkeypatch):
    monkeypatch.setattr(draws, "DRAWS", 1000)
    metrics: Any = draws.follows_value(keys(0, 1))
    assert metrics["p/stochastic"] > 1e-4
    assert metrics["p/uniform"] < 1e-6
    chances, shares = metrics["drawn-shares"].values.swapaxes(0, 1)
    assert not shares[chances == 0].any()
    np.testing.assert_allclose(shares.sum(1), draws.WINDOWS)
    uniform = shares[1, chances[1] > 0]
    assert uniform.std() < 0.02 < shares[0].std()


def test_a_pool_that_takes_negative_values_is_seen(monkeypatch):
    assert draws._refuses_negative()
    monkeypatch.setattr(draws, "stochastic_pool", lambda *_: None)
    assert not draws._refuses_negative()


def test_the_contraharmonic_mean_and_its_distance_from_the_interval():
    values = np.asarray([[1.0, 2, 3, 4], [1, -1, 3, -2.5]], np.float32)
    inputs = jnp.asarray(values.reshape(2, 2, 2, 1))
    found = draws.contraharmonic(inputs, (2, 2)).ravel()
    expected = [sum(a * a for a in window) / sum(window) for window in values]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert draws._worst(inputs[:1], 2) == 0
    signed = draws._distance(inputs, 2, draws.contraharmonic)
    np.testing.assert_allclose(signed, (expected[1] - 3) / 3, rtol=1e-6)
    low = draws._distance(inputs[:1], 2, lambda *_: jnp.asarray([[[[1.5]]]]))
    np.testing.assert_allclose(low, (2.5 - 1.5) / 4)


@pytest.mark.parametrize("cells", [1, 4, 9, 64])
def test_closed_forms_of_variances(cells):
    assert moments.variance("uniform", "avg", cells) == 1 / 12 / cells
    assert moments.variance("exponential", "avg", cells) == 1 / cells
    uniform = stats.beta(cells, 1).var()
    np.testing.assert_allclose(moments.variance("uniform", "max", cells), uniform)

    def moment(power):
        def tail(x):
            return power * x ** (power - 1) * -np.expm1(cells * np.log1p(-np.exp(-x)))

        return integrate.quad(tail, 1e-300, 60, limit=200)[0]

    exponential = moment(2) - moment(1) ** 2
    found = moments.variance("exponential", "max", cells)
    np.testing.assert_allclose(found, exponential, rtol=1e-6)


def test_moments_of_pooled_windows():
    values = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    found = moments._of_window(jnp.asarray(values), 4)
    for row, pooled in zip(found, (values.mean(1), values.max(1)), strict=True):
        fourth = ((pooled - pooled.mean()) ** 4).mean()
        expected = [pooled.mean(), pooled.var(ddof=1), fourth]
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-7)


def test_z_is_in_standard_errors_of_a_sample_variance():
    second = np.ones((2, 2, 4, 2))
    for row, law in enumerate(moments.CLOSED):
        for column, cells in enumerate(moments.CELLS):
            for place, pool in enumerate(moments.POOLS):
                exact = moments.variance(law, pool, cells)
                second[:, row, column, place] = exact
    z = moments._z(second, 3 * second**2, windows=100)
    np.testing.assert_allclose(z, 0)
    off = moments._z(1.1 * second, 3.42 * second**2, windows=100)
    np.testing.assert_allclose(off, 0.1 / (2.21 / 200) ** 0.5)


def test_expectations_over_means_by_a_loop():
    maps_ = np.random.default_rng(0).random((2, 4, 6, 3)).astype(np.float32)
    maps_[0, :2, :2] = 0  # an empty window, which adds nothing
    found = maps._totals(jnp.asarray(maps_), (2, 2))
    expected = np.zeros((2, 3))
    for image in maps_.astype(np.float64):
        for top in (0, 2):
            for left in (0, 2, 4):
                window = image[top : top + 2, left : left + 2].reshape(4, 3)
                total = window.sum(0)
                if total.any():
                    expected[0] += (window**2).sum(0) / total
                expected[1] += total / 4
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_ratios_of_whole_layers_and_of_channels():
    sums = np.asarray([[[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.1, 0.9, 0.5]]])
    control = np.asarray([[[1.6], [1.0]]])
    metrics: Any = maps._approximations([sums, 2 * sums], control)
    for layer in maps.LAYERS:
        np.testing.assert_allclose(metrics[f"expectation-over-mean/{layer}"], 4 / 3)
    shown = metrics["expectations-by-channel/conv1"].values
    np.testing.assert_allclose(shown, [[[0.1, 1.5], [0.9, 1.0], [0.5, np.nan]]])
    np.testing.assert_allclose(metrics["expectation-over-mean/exponential"], 1.6)


def test_the_variance_of_trained_maps_is_summed_over_channels():
    draw = np.random.default_rng(0)
    values = draw.random((3, 6, 6, 2)).astype(np.float32)
    found = np.asarray(maps._moments(jnp.asarray(values), 3))
    windows = values.reshape(3, 2, 3, 2, 3, 2).swapaxes(2, 3).reshape(12, 9, 2)
    for row, pooled in zip(found, (windows.mean(1), windows.max(1)), strict=True):
        squared = (pooled.mean(0) ** 2).sum()
        np.testing.assert_allclose(row, [pooled.var(0).sum(), squared], rtol=1e-4)
    metrics: Any = maps._variances(np.stack([found] * 4)[None])
    ratio = found[0, 0] / found[1, 0]
    np.testing.assert_allclose(metrics["variance-ratio/trained-64"], ratio, rtol=1e-6)


def test_the_shift_is_the_mean_over_errors_and_then_over_living_channels():
    """Errors that move the maximum to and fro by 1, and always by 2 on average."""
    shifts = np.zeros((1, 4, 2, 2, 3))
    shifts[:, :, 0, 1] = np.asarray([1, 3, 1, 3])[:, None]
    shifts[:, :, 0, 0] = np.asarray([1, -1, 1.5, -1])[:, None]
    shifts[:, :, 1] = 1
    shifts[..., 2] = np.nan
    metrics: Any = maps._mean_shifts([shifts, shifts], np.ones((1, 2, 2)))
    np.testing.assert_allclose(metrics["mean-shift-ratio/raw"], 2 / 0.125)
    np.testing.assert_allclose(metrics["mean-shift-ratio/relu"], 1)
    single = metrics["root-mean-square-shifts"].values[0, 0]
    np.testing.assert_allclose(single, [np.sqrt(5.25 / 4), np.sqrt(5)])


def test_errors_of_a_kernel_move_no_linear_average_and_maxima_upwards(monkeypatch):
    monkeypatch.setattr(maps, "PAIRS", 10)
    one, two = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(one, (4, 8, 8, 2))
    kernel = jax.random.normal(two, (3, 3, 2, 3))
    layer = {"kernel": kernel, "bias": jnp.asarray([0.0, 0.1, -100.0])}
    shifts, added = maps._shifts(jax.random.key(1), inputs, layer)
    assert shifts.shape == (20, 2, 2, 3)
    np.testing.assert_allclose(added, 1, rtol=1e-4)
    assert np.isnan(shifts[:, 1, :, 2]).all()  # never fires
    mean, each = shifts.mean(0), shifts.std(0)
    # About -100, of the last feature, rounding is a thousandth of the errors' effect.
    np.testing.assert_allclose((mean / each)[0, 0, :2], 0, atol=1e-4)
    assert (mean[0, 1] > 1e-3 * each[0, 1]).all()
    monkeypatch.setattr(maps, "ERROR", 0.0)
    still, _ = maps._shifts(jax.random.key(1), inputs, layer)
    np.testing.assert_allclose(still[:, 0], 0, atol=1e-4)


def test_biases_are_in_standard_deviations_of_the_photograph():
    image = np.arange(16.0).reshape(1, 4, 4, 1).astype(np.float32)
    pools = pictures.pooled(image)
    np.testing.assert_array_equal(pools[1, 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(pools[2, 0], [[0, 2], [8, 10]])
    found = pictures.biases(image, pools)
    expected = np.asarray([0, 2.5, -2.5]) / np.arange(16).std()
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-7)


@pytest.mark.parametrize(
    ("down", "across", "share"), [(0.05, 0.1, 0), (0, 0.4, 1), (0.3, 0.3, 1)]
)
def test_a_wave_is_fine_above_a_quarter_cycle_per_pixel(down, across, share):
    rows, columns = np.mgrid[:64, :64]
    wave = 3 + np.cos(2 * np.pi * (down * rows + across * columns))
    assert abs(pictures.fine_share(wave) - share) < 1e-4


def test_the_rings_of_a_spectrum_hold_all_power_below_the_nyquist_limit():
    rows, columns = np.mgrid[:64, :64]
    wave = np.cos(2 * np.pi * 17 / 64 * (rows + 0 * columns))
    rings = pictures._radial(wave[None, None])
    assert rings.argmax() == 17 * 2 * pictures.NUM_BINS // 64
    np.testing.assert_allclose(rings.sum(), 1, rtol=1e-4)
