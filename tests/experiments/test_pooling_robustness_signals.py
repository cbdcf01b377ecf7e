"""Pools and robustness: the ledger of single pools, and what measures them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.claims import Shown
from experiments.harness.figures import COLORS
from experiments.harness.seeds import keys
from experiments.pooling_robustness import CLAIMS, Config, counts, laws, signals
from experiments.pooling_robustness import figures_of_signals as figures
from experiments.pooling_robustness import signals_results as results
from experiments.pooling_robustness.claims import ORDER
from experiments.pooling_robustness.claims_of_signals import CLAIMS_OF_SIGNALS
from experiments.pooling_robustness.signals import ROWS, SIZES, Sums

POOLS = ("max", "avg", "l2", "distance-weighted", "stochastic")
LEDGER = {
    *(
        f"most-outputs-unchanged/{pool}-{size}-{signal}"
        for pool in POOLS
        for size in (2, 3, 4, 8)
        for signal in ("uniform", "images", "trained")
    ),
    *(
        f"avg-less-invariant-than-max/{arm}"
        for arm in ("unchanged", "relative", "centered")
    ),
    *(f"pooling-cuts-parameters/{arm}" for arm in ("any", "dense-head", "next-layer")),
    "pooling-widens-view",
    "pooling-is-convolution/avg",
    "pooling-is-convolution/max",
}


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS_OF_SIGNALS} == LEDGER
    assert len(CLAIMS_OF_SIGNALS) == len(LEDGER) == 69
    assert all(claim.controls for claim in CLAIMS_OF_SIGNALS)


def test_the_claims_stand_in_the_order_of_the_ledger():
    rows = [claim.id.partition("/")[0] for claim in CLAIMS]
    assert list(dict.fromkeys(rows)) == [row for row in ORDER if row in rows]
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_what_is_expected_of_most_outputs():
    expected = {
        claim.id.partition("/")[2]: claim.expected
        for claim in CLAIMS
        if claim.id.startswith("most-outputs-unchanged/")
    }
    yes = {arm for arm, word in expected.items() if word == "yes"}
    unsure = {arm for arm, word in expected.items() if word == "open"}
    assert yes == {"max-4-uniform", "max-8-uniform"}
    sizes = (3, 4, 8)
    others = {f"max-{k}-{signal}" for k in sizes for signal in ("images", "trained")}
    assert unsure == others | {"max-3-uniform"}


def pooled(window: np.ndarray, row: str) -> float:
    """What each row gives of one window [k, k], in float64."""
    size, total = len(window), window.sum()
    center = np.arange(size) - (size - 1) / 2
    line = np.exp(-(center**2) / (2 * (size / 4) ** 2))
    taps = np.outer(line, line) / line.sum() ** 2
    return {
        "max": window.max(),
        "avg": window.mean(),
        "l2": np.sqrt((window**2).sum()),
        "distance-weighted": (taps * window).sum(),
        "stochastic": (window**2).sum() / total if total else 0.0,
        "subsampling": window[0, 0],
    }[row]


def expected_sums(inputs: np.ndarray, row: str, size: int) -> Any:
    """same, varying and squares [axis], power and spread, by loops over windows."""
    number, height, width, channels = inputs.shape
    shape = (number, height - size + 1, width - size + 1, channels)
    outputs = np.zeros(shape)
    for n, y, x, c in np.ndindex(shape):
        window = inputs[n, y : y + size, x : x + size, c].astype(np.float64)
        outputs[n, y, x, c] = pooled(window, row)
    same, varying, squares = np.zeros(2), np.zeros(2), np.zeros(2)
    for axis, (down, across) in enumerate(((1, 0), (0, 1))):
        places = (number, shape[1] - down, shape[2] - across, channels)
        for n, y, x, c in np.ndindex(places):
            change = outputs[n, y + down, x + across, c] - outputs[n, y, x, c]
            union = inputs[n, y : y + size + down, x : x + size + across, c]
            stays = abs(change) <= 1e-6 * outputs[n].max()
            varying[axis] += np.ptp(union) > 0
            same[axis] += np.ptp(union) > 0 and stays
            squares[axis] += change**2 / np.prod(places)
    return same, varying, squares, (outputs**2).mean(), outputs.var((0, 1, 2)).mean()


@pytest.fixture(scope="module")
def sparse():
    """Images of few gray levels on an empty ground, which have ties and flat windows.

    Two channels are one signal; a smaller map, a hundred times as bright, is another.
    """
    draw = np.random.default_rng(0)
    values = draw.integers(0, 4, (2, 11, 11, 3)) * (draw.random((2, 11, 11, 3)) > 0.6)
    values[0, :6] = 0
    values = values.astype(np.float32)
    return values[..., :2], 100 * values[:, 1:, 1:, 2:]


@pytest.fixture(scope="module")
def summed(sparse):
    joined, channels = signals.join(list(map(jnp.asarray, sparse)))
    assert joined.shape == (2, 11, 11, 3)
    return jax.jit(signals.sums_of)(joined, channels)


@pytest.mark.parametrize("signal", [0, 1])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("row", ROWS)
def test_windows_before_and_after_a_shift_by_loops(sparse, summed, row, size, signal):
    place = SIZES.index(size), ROWS.index(row)
    expected = expected_sums(sparse[signal], row, size)
    same, varying, squares, power, spread = expected
    assert 0 < varying.sum() < 2 * 2 * 110 * 2
    np.testing.assert_array_equal(summed.same[*place, :, signal], same)
    np.testing.assert_array_equal(summed.varying[place[0], :, signal], varying)
    np.testing.assert_allclose(summed.squares[*place, :, signal], squares, rtol=1e-4)
    np.testing.assert_allclose(summed.power[*place, signal], power, rtol=1e-4)
    np.testing.assert_allclose(summed.spread[*place, signal], spread, rtol=1e-4)


def test_the_distribution_of_changes_by_a_loop(sparse):
    maps = sparse[0]
    found = signals.steps_within(jnp.asarray(maps))
    limits = np.asarray(signals.LIMITS) * np.sqrt((maps.astype(float) ** 2).mean())
    for number, row in enumerate(("max", "avg")):
        sizes = []
        for n, y, x, c in np.ndindex(2, 10, 10, 2):
            for down, across in ((1, 0), (0, 1)):
                if y + down < 10 and x + across < 10:
                    union = maps[n, y : y + 2 + down, x : x + 2 + across, c]
                    before = pooled(maps[n, y : y + 2, x : x + 2, c], row)
                    after = pooled(union[down:, across:], row)
                    if np.ptp(union):
                        sizes.append(abs(after - before))
        share = (np.asarray(sizes)[:, None] <= limits).mean(0)
        np.testing.assert_allclose(found[number], share, atol=1e-6)


def test_shares_and_changes_are_means_of_both_axes():
    """Two seeds, one size, one row; two signals, the second of which never varies."""
    sums = Sums(
        same=np.asarray([[[[[1.0, 0], [3, 0]]]], [[[[2.0, 0], [2, 0]]]]]),
        varying=np.asarray([[[[4.0, 0], [6, 0]]]] * 2),
        squares=np.asarray([[[[[4.0, 1], [16, 1]]]]] * 2),
        power=np.asarray([[[[36.0, 4]]]] * 2),
        spread=np.asarray([[[[9.0, 0]]]] * 2),
    )
    share = results.shares(sums)
    np.testing.assert_allclose(share[..., 0].ravel(), [0.375, (1 / 2 + 1 / 3) / 2])
    assert np.isnan(share[..., 1]).all()
    found = results.changes(sums)
    np.testing.assert_allclose(found["relative"][0], [[[3 / 6, 1 / 2]]])
    np.testing.assert_allclose(found["centered"][0], [[[3 / 3, np.inf]]])


def test_metrics_of_known_tables():
    draw = np.random.default_rng(0)
    names = ("shares", "relative", "centered")
    tables = {name: draw.random((5, 4, 6, 4)) for name in names}
    metrics: Any = results._unchanged(tables["shares"])
    assert len(metrics) == 2 * 60
    own, plain = tables["shares"][:, 2, 2, 1], tables["shares"][:, 2, 5, 1]
    np.testing.assert_array_equal(metrics["unchanged/l2-4-images"], own)
    less = metrics["unchanged-less-subsampling/l2-4-images"]
    np.testing.assert_array_equal(less, own - plain)
    metrics = results._rivals(tables)
    of_maps = {name: each[:, 0, :2, 2].T for name, each in tables.items()}
    most, mean = of_maps["shares"]
    np.testing.assert_array_equal(metrics["unchanged-max-less-avg"], most - mean)
    for name in ("relative", "centered"):
        most, mean = of_maps[name]
        np.testing.assert_array_equal(metrics[f"{name}-avg-over-max"], mean / most)
    exact: Any = results._exact(tables)
    shares = tables["shares"][:, :, 0, 0] - [1 / 3, 2 / 4, 3 / 5, 7 / 9]
    np.testing.assert_allclose(exact["max-closed-form"].values, shares)
    centered = tables["centered"][:, :, 1, 0] - [1, (2 / 3) ** 0.5, 0.5**0.5, 0.5]
    np.testing.assert_allclose(exact["avg-closed-form"].values, centered)


def test_parameters_with_pools_and_without():
    metrics: Any = counts.parameters()
    zero = [[0, 0, 0]]
    assert metrics["parameters-with-less-without/any"].values.tolist() == zero
    assert metrics["parameters-with-less-without/next-layer"].values.tolist() == zero
    saved = [16 * 120 * ((edge // 4) ** 2 - edge**2) for edge in (28, 32, 40)]
    assert metrics["parameters-with-less-without/dense-head"].values.tolist() == [saved]
    assert metrics["cells-left"].values.tolist() == [[1 / 16] * 3]
    assert metrics["parameters-miscounted"] == 0
    whole, head, following = metrics["parameters"].values.tolist()
    assert whole == [6 * 26 + 16 * 151 + 170] * 2
    assert head == [16 * 64 * 120 + 120, 16 * 1024 * 120 + 120]
    assert following == [16 * 151] * 2


def test_a_net_whose_pools_do_nothing_is_seen(monkeypatch):
    idle = counts.LeNet(head="global", dense=(), pool=lambda inputs: inputs)
    monkeypatch.setitem(counts.PAIRS, "any", (idle, idle))
    metrics: Any = counts.parameters()
    assert metrics["cells-left"].values.tolist() == [[1.0] * 3]
    wrong = counts.LeNet(head="global", dense=(), kernel_size=(3, 3))
    monkeypatch.setitem(counts.PAIRS, "any", (wrong, wrong))
    assert counts.parameters()["parameters-miscounted"] == 3


def test_fields_and_products_with_pools_and_without(monkeypatch):
    metrics: Any = counts.widening()
    fields = metrics["fields"].values
    assert fields[0].tolist() == [[14, 9], [32, 13]]
    assert fields[1].tolist() == [[8, 5], [18, 7]]
    assert fields[2].tolist() == [[11, 5], [35, 7]]
    grown = metrics["field-with-less-without"].values
    assert grown.tolist() == [[[5, 19], [3, 11], [6, 28]]]
    one = 36**2 * 64
    products = metrics["products"].values
    assert products[0, 0].tolist() == [25 * (one + one / 4), 25 * 2 * one]
    assert products[2, 1].tolist() == [9 * (one + one / 9 + one / 81), 9 * 3 * one]
    saved = metrics["macs-with-less-without"].values[0]
    assert (saved == products[..., 0] - products[..., 1]).all()
    assert metrics["fields-miscounted"] == metrics["macs-miscounted"] == 0
    monkeypatch.setattr(counts, "_counted", lambda stack: 1)
    monkeypatch.setattr(counts, "_is_seen", lambda stack: len(stack) < 4)
    metrics = counts.widening()
    assert metrics["macs-miscounted"] == 10
    assert metrics["fields-miscounted"] == 3  # with two pools


def test_an_average_is_a_convolution_and_a_maximum_is_not(monkeypatch):
    monkeypatch.setattr(laws, "SHAPE", (2, 24, 24, 1))
    metrics: Any = laws.convolution_errors(keys(0, 2))
    values = {
        name: each.values for name, each in metrics.items() if name != "homogeneity"
    }
    assert all(each.shape == (2, 4) for each in values.values())
    assert values["convolution/avg"].max() < 1e-6
    assert values["additivity/avg"].max() < 1e-6
    assert values["convolution/max"].min() > 0.1
    assert values["additivity/max"].min() > 0.1
    assert metrics["homogeneity"].values.max() < 1e-6


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("num_train", 70_000, "expected num_train in 1 to 60000, got 70000"),
        ("num_test", 20_000, "expected num_test in 1 to 10000, got 20000"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})


def test_what_is_framed_is_above_half_and_above_subsampling():
    """Five seeds; what varies from seed to seed reaches below one half."""
    shares = np.full((5, 4, 6, 4), 0.4)
    shares[:, 3, 0, 0] = 0.8
    shares[:, 1, 2, 1], shares[:, 1, 5, 1] = 0.8, 0.9  # subsampling leaves more
    shares[:, 2, 1, 2] = [0.2, 0.9, 0.4, 0.8, 0.6]
    figure = figures.outputs_unchanged({"shares-unchanged": Shown(shares, "shares")})
    framed = [
        (place, *np.mean(np.asarray(line.get_xydata()), 0).round().tolist())
        for place, axes in enumerate(figure.axes)
        for line in axes.lines
        if line.get_color() == COLORS[1]
    ]
    assert [each[:2] for each in framed] == [(0, 3)]
    words = [text.get_text() for text in figure.axes[1].texts]
    assert (words[2 * 4 + 1], words[5 * 4 + 1]) == ("80", "90")


def test_ratios_say_by_their_color_whether_the_average_is_less_invariant():
    shares = np.full((5, 4, 6, 4), 0.5)
    shares[:, 0, 1, 2] = 0.1
    metrics = {
        "shares-unchanged": Shown(shares, "shares"),
        "relative-avg-over-max": np.asarray([0.9, 1.1, 1.0, 0.95, 1.05]),
        "centered-avg-over-max": np.full(5, 0.8),
        figures.LOGITS: np.full(5, 1.3),
    }
    axes = figures.new_figure(4, 4, "").subplots()
    figures._ratios(axes, metrics)
    means = [line for line in axes.lines if line.get_marker() == "o"]
    colors = [line.get_color() for line in means]
    assert colors == [figures.HOLDS, figures.OPEN, figures.FAILS, figures.HOLDS]
    assert [text.get_text() for text in axes.texts] == ["1.80", "1.00", "0.80", "1.30"]
