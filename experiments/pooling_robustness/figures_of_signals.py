"""The figures about single pools, drawn from the metrics alone."""

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.claims import Metrics
from experiments.harness.figures import COLORS, MARKERS, SHADE, new_figure, shown
from experiments.harness.intervals import mean_interval, ratio_interval
from experiments.pooling_robustness.counts import DEPTHS, LAYERS, STACKS
from experiments.pooling_robustness.signals import RIVALS, ROWS, SHOWN, SIGNALS, SIZES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "uniform": "independent U(0, 1)",
    "images": "images",
    "trained": "maps of trained nets",
    "second layer": "maps of their second layer",
}
WORDS = {"max": "maximum", "avg": "average"}
HUES = dict(zip(RIVALS, COLORS, strict=False))
LENGTHS = ("change\n‖Δ‖", "output\n‖y‖", "spread\n‖y - ȳ‖")
HOLDS, FAILS, OPEN = COLORS[0], COLORS[1], COLORS[6]
LOGITS = "logit-change-ratio"
TICKS = (0.25, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 4)


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure about single pools that was measured."""
    figures = {}
    if "signals/accuracy" in metrics:
        figures = {
            "average-and-maximum": average_and_maximum(metrics),
            "outputs-unchanged": outputs_unchanged(metrics),
            "average-over-maximum": average_over_maximum(metrics),
        }
    return figures | {"counts": counts(metrics)}


def outputs_unchanged(metrics: Metrics) -> "Figure":
    """Tables of shares: where most outputs stay as they are."""
    figure = new_figure(
        11,
        3.9,
        "Share of the outputs that a shift by one pixel leaves unchanged, in percent, "
        "among windows whose pixels are not all equal; the mean over seeds. Framed: "
        "more than half, and more than plain subsampling leaves in the same windows, "
        "which is what the statement needs, by the 95 % intervals where there are two "
        "seeds or more.",
    )
    shares = 100 * shown(metrics, "shares-unchanged")  # [seed, k, row, signal]
    panels = figure.subplots(1, len(SIGNALS), sharey=True)
    for axes, signal in zip(panels, SIGNALS, strict=True):
        each = shares[..., SHOWN.index(signal)]
        _cells(axes, each.mean(0).T, "{:.0f}", cmap="cividis", vmin=0, vmax=100)
        for column, row in np.ndindex(len(SIZES), len(ROWS) - 1):
            own, plain = each[:, column, row], each[:, column, -1]
            if _least(own) > 50 and _least(own - plain) > 0:
                _frame(axes, row, column)
        axes.axhline(len(ROWS) - 1.5, color="white", lw=3)
        axes.set_title(TITLES[signal])
        axes.set_xlabel("window")
    panels[0].set_yticks(range(len(ROWS)), [*ROWS[:-1], "(subsampling)"])
    return figure


def _least(values: np.ndarray) -> float:
    """The lower end of the mean's interval; of one seed, its value."""
    return float(mean_interval(values)[0] if len(values) > 1 else values[0])


def _cells(axes: "Axes", values: np.ndarray, words: str, **style: Any) -> Any:
    """A table as a picture, a column per window size, its numbers written in."""
    drawn = axes.imshow(values, aspect="auto", **style)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = drawn.to_rgba(value)
        is_dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        axes.text(
            column,
            row,
            words.format(value),
            ha="center",
            va="center",
            color="white" if is_dark else "black",
        )
    axes.set_xticks(range(len(SIZES)), [f"{size}x{size}" for size in SIZES])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return drawn


def _frame(axes: "Axes", row: int, column: int) -> None:
    left, right, top, bottom = column - 0.46, column + 0.46, row - 0.44, row + 0.44
    axes.plot(
        [left, right, right, left, left],
        [top, top, bottom, bottom, top],
        color=COLORS[1],
        lw=2.5,
        solid_joinstyle="miter",
    )


def average_and_maximum(metrics: Metrics) -> "Figure":
    """Why it depends on the measure which of both is less invariant."""
    figure = new_figure(
        11.5,
        4.4,
        "2x2 pools of trained maps, shifted by one pixel. Left: how many outputs "
        "change by at most so much; thin lines are seeds. Middle: how large the "
        "changes are, and what they are divided by. Right: what is judged, "
        "the first row as a difference; small dots "
        "are seeds, lines 95 % intervals where there are two seeds or more, and the "
        "statement holds in the shaded range.",
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.1, 0.9, 1.1))
    _distributions(left, metrics)
    _lengths(middle, metrics)
    _ratios(right, metrics)
    return figure


def _distributions(axes: "Axes", metrics: Metrics) -> None:
    within = shown(metrics, "changes-within")  # [seed, pool, t]
    limits = shown(metrics, "changes-within/t")
    for number, pool in enumerate(RIVALS):
        for seed in 100 * within[:, number]:
            axes.plot(limits, seed, color=HUES[pool], lw=0.8, alpha=0.35)
        mean = 100 * within[:, number].mean(0)
        axes.plot(limits, mean, color=HUES[pool], lw=2.2, label=WORDS[pool])
    axes.set_xscale("log")
    axes.set_xlim(limits[0], limits[-1])
    axes.set_ylim(0, 101)
    axes.set_xlabel("change |Δ|, in units of the map's rms")
    axes.set_ylabel("outputs that change by at most so much, %")
    axes.set_title("How many change, and how much")
    axes.legend(loc="upper left")


def _lengths(axes: "Axes", metrics: Metrics) -> None:
    lengths = shown(metrics, "lengths")  # [seed, pool, which]
    lengths = lengths / lengths[:, RIVALS.index("max"), 1:2, None]
    for number, pool in enumerate(RIVALS):
        places = np.arange(len(LENGTHS)) + (-0.2, 0.2)[number]
        heights = lengths[:, number].mean(0)
        axes.bar(places, heights, 0.36, color=HUES[pool], label=WORDS[pool])
        for x, height in zip(places, heights, strict=True):
            above: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
            axes.annotate(f"{height:.2f}", (x, height), (0, 3), **above)
    axes.set_xticks(range(len(LENGTHS)), LENGTHS)
    axes.set_ylabel("relative to the maximum's ‖y‖")
    axes.set_title("What the changes are divided by")


def _ratios(axes: "Axes", metrics: Metrics) -> None:
    """Average over maximum by each measure: above 1 the average is less invariant."""
    share = 1 - shown(metrics, "shares-unchanged")[:, 0, :, SHOWN.index("trained")]
    rows = {
        "share of outputs\nthat change": share[:, 1] / share[:, 0],
        "‖Δ‖ / ‖y‖": np.asarray(metrics["relative-avg-over-max"]),
        "‖Δ‖ / ‖y - ȳ‖": np.asarray(metrics["centered-avg-over-max"]),
    }
    if LOGITS in metrics:
        rows["logits of two nets,\nover their spread"] = np.asarray(metrics[LOGITS])
    for place, values in enumerate(rows.values()):
        _ratio(axes, place, values)
    axes.set_xscale("log")
    reach = max(abs(np.log(np.concatenate(list(rows.values())))).max(), 0.3)
    ends = float(np.exp(-1.2 * reach)), float(np.exp(1.2 * reach))
    axes.set_xlim(ends)
    axes.axvspan(1, ends[1], color=SHADE, lw=0, zorder=0)
    axes.axvline(1, color="#9aa5ad", lw=1, zorder=0.5)
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(ends)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("average over maximum")
    axes.set_title("Is the average less invariant?")


def _ratio(axes: "Axes", place: int, values: np.ndarray) -> None:
    """One measure: its mean, interval and seeds."""
    mean = float(np.exp(np.log(values).mean()))
    ends = ratio_interval(values) if len(values) > 1 else (mean, mean)
    low, high = map(float, ends)
    color = HOLDS if low > 1 else FAILS if high < 1 else OPEN
    axes.plot([low, high], [place, place], color=color, lw=2)
    axes.plot(mean, place, "o", ms=7, color=color)
    axes.plot(values, np.full(len(values), place + 0.2), ".", ms=4, color=COLORS[5])
    above: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
    axes.annotate(f"{mean:.2f}", (mean, place), (0, 8), **above)


def average_over_maximum(metrics: Metrics) -> "Figure":
    """The same three measures of all windows and signals."""
    figure = new_figure(
        11,
        4.2,
        "How much more the average changes than the maximum by one pixel, by three "
        "measures, for all signals and windows: above 1, red, the average is the less "
        "invariant. Framed is what is judged. The mean over seeds.",
    )
    share = 1 - shown(metrics, "shares-unchanged")
    tables = {
        "share of outputs that change": share,
        "‖Δ‖ / ‖y‖": shown(metrics, "relative-changes"),
        "‖Δ‖ / ‖y - ȳ‖": shown(metrics, "centered-changes"),
    }
    panels = figure.subplots(1, len(tables), sharey=True)
    maximum, average = map(ROWS.index, RIVALS)
    drawn = None
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        ratio = np.log2(table[:, :, average] / table[:, :, maximum]).mean(0).T
        drawn = _ratio_cells(axes, ratio)
        _frame(axes, SHOWN.index("trained"), 0)
        axes.set_title(title)
        axes.set_xlabel("window")
    panels[0].set_yticks(range(len(SHOWN)), [TITLES[each] for each in SHOWN])
    assert drawn is not None
    bar = figure.colorbar(drawn, ax=panels, shrink=0.8)
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["¼", "½", "1", "2", "4"])
    bar.set_label("average over maximum")
    return figure


def _ratio_cells(axes: "Axes", logs: np.ndarray) -> Any:
    drawn = _cells(axes, logs, "", cmap="RdBu_r", vmin=-2, vmax=2)
    for words, value in zip(axes.texts, logs.ravel(), strict=True):
        words.set_text(f"{2**value:.2f}")
    return drawn


def counts(metrics: Metrics) -> "Figure":
    """Parameters, fields and products, with pools and without."""
    figure = new_figure(
        11,
        3.8,
        "Left: parameters of LeNet at 32x32: all of an all-convolutional one with a "
        "global pool, the dense layer behind the second map, the second convolution. "
        "Middle, right: receptive field of the last convolution, and products of all, "
        "of two or three convolutions with a pool between every two.",
    )
    panels = figure.subplots(1, 3)
    stacks = [f"{name},\n{depth} conv" for name in STACKS for depth in DEPTHS]
    fields = shown(metrics, "fields").reshape(-1, 2)
    millions = shown(metrics, "products").reshape(-1, 2) / 1e6
    _pairs(panels[0], shown(metrics, "parameters"), list(LAYERS.values()))
    _pairs(panels[1], fields, stacks)
    _pairs(panels[2], millions, stacks)
    titles = ("parameters", "receptive field, pixels", "multiply-accumulates, millions")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title)
    panels[0].set_xscale("log")
    for axes in panels[1:]:
        axes.set_xlim(left=0)
    panels[0].legend(loc="lower right")
    return figure


def _pairs(axes: "Axes", pairs: np.ndarray, labels: list[str]) -> None:
    places = np.arange(len(pairs))
    for place, (having, lacking) in enumerate(pairs):
        axes.plot(
            [having, lacking], [place, place], color="#9aa5ad", lw=1.5, zorder=0.5
        )
    for number, words in enumerate(("with pools", "without")):
        size = (9, 6)[number]
        axes.plot(
            pairs[:, number],
            places,
            MARKERS[number],
            ms=size,
            color=COLORS[number],
            label=words,
        )
    axes.margins(x=0.15)
    axes.set_yticks(places, labels)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
