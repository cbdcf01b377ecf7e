"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from experiments.harness.claims import Images, Metrics
from experiments.harness.figures import (
    COLORS,
    MARKERS,
    losses_and_errors,
    new_figure,
    shown,
)
from experiments.harness.intervals import accuracy_interval
from experiments.pooling_statistics.figures_of_pictures import photographs
from experiments.pooling_statistics.maps import LAYERS, READINGS
from experiments.pooling_statistics.moments import CELLS
from experiments.pooling_statistics.nets import STACKS, TWINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AVG, MAX = COLORS[:2]
LAW_LABELS = {
    "uniform": "U(0, 1)",
    "normal": "N(0, 1)",
    "exponential": "Exp(1)",
    "relu-normal": "ReLU of N(0, 1)",
    "trained": "trained map",
}
# Metric, sign that makes the statement positive, label.
DIFFERENCES = (
    ("late-avg-less-max", 1, "last maps:\naverage less max"),
    ("early-max-less-avg", 1, "early maps:\nmax less average"),
    ("pooled-less-unpooled", -1, "pools: fewer\ntest errors"),
)


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure; the first is the answer at a glance."""
    return {
        "answer": _answer(metrics),
        "stochastic": _stochastic(metrics),
        "mean-shift": _mean_shift(metrics),
        "photographs": photographs(metrics),
        "trained-nets": _trained(metrics),
    }


def _seeds(metrics: Metrics, name: str) -> np.ndarray:
    return np.asarray(metrics[name], np.float64)


def _note(
    axes: "Axes",
    words: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    **alignment: Any,
) -> None:
    """Words beside a point, the offset in points of print."""
    style: Any = {"textcoords": "offset points", "fontsize": 9}
    axes.annotate(words, place, offset, **style, **alignment)


def _answer(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        4.6,
        "Left: variance of the average of n values over that of their maximum, mean of "
        "the seeds. Right: what the notes advise, in points of test accuracy, with "
        "95 % intervals where there are two seeds or more; the statement holds right "
        "of the dashed line.",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _variances(left, metrics)
    _differences(right, metrics)
    return figure


def _variances(axes: "Axes", metrics: Metrics) -> None:
    for place, (law, label) in enumerate(LAW_LABELS.items()):
        names = [f"variance-ratio/{law}-{cells}" for cells in CELLS]
        mean = [np.exp(np.log(_seeds(metrics, name)).mean()) for name in names]
        style = {"color": COLORS[place], "marker": MARKERS[place]}
        axes.plot(
            CELLS, mean, label=label, ls="--" if law == "trained" else "-", **style
        )
    axes.axhline(1, color="black", lw=1, ls="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(CELLS, [str(cells) for cells in CELLS])
    axes.set_yticks(
        [0.01, 0.03, 0.1, 0.3, 1, 3], ["0.01", "0.03", "0.1", "0.3", "1", "3"]
    )
    axes.minorticks_off()
    axes.set_xlim(3.7, 72)
    for words, color, height in (
        ("max varies less", MAX, 1.12),
        ("average varies less", AVG, 0.9),
    ):
        top = "bottom" if height > 1 else "top"
        axes.text(70, height, words, color=color, va=top, ha="right", fontsize=9)
    axes.set_xlabel("values in a window")
    axes.set_ylabel("Var(average) / Var(max)")
    axes.set_title("Which pool has the smaller variance?")
    axes.legend(fontsize=9, loc="lower left")


def _differences(axes: "Axes", metrics: Metrics) -> None:
    for row, (name, sign, _) in enumerate(DIFFERENCES):
        values = sign * np.asarray(cast(Images, metrics[name]).values, np.float64)
        values = values[np.isfinite(values).all(1)]
        if not len(values):
            axes.text(0.6, row, "not reached", va="center")
            continue
        mean = values.mean()
        if len(values) > 1:
            low, high = accuracy_interval(values)
            axes.plot([low, high], [row, row], color=COLORS[6], lw=2)
        seeds = values.mean(1)
        axes.plot(seeds, np.full(len(seeds), row - 0.14), ".", color=COLORS[5])
        axes.plot(mean, row, "o", ms=8, color=AVG if mean > 0.5 else MAX)
        _note(axes, f"{mean:+.1f}", (mean, row), (0, -16), ha="center")
    axes.axvline(0.5, color="black", lw=1, ls="--")
    axes.set_yticks(range(len(DIFFERENCES)), [label for *_, label in DIFFERENCES])
    axes.set_ylim(len(DIFFERENCES) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.text(0.5, -0.45, " it does →", va="center", fontsize=9)
    axes.set_xlabel("points of test accuracy; small dots are seeds")
    axes.set_title("Does the advice help?")


def _stochastic(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        4.4,
        "Left: every element of every window, 10,000 draws of each window. Right: one "
        "dot is one channel of one seed, Σa²/Σa over the mean, both summed over the "
        "windows of the test images; lines are whole layers, mean of the seeds. The "
        "band is 5 % around 1.",
    )
    left, right = figure.subplots(1, 2)
    pairs = shown(metrics, "drawn-shares")
    for place, (name, (chance, share)) in enumerate(
        zip(("stochastic pooling", "uniform sampler"), pairs, strict=True)
    ):
        style = {"marker": MARKERS[place], "ms": 3, "color": COLORS[place]}
        left.plot(chance, share, ls="", alpha=0.6, label=name, **style)
    top = 1.05 * pairs.max()
    left.plot([0, top], [0, top], color="black", lw=1, ls="--", zorder=0)
    left.set_xlabel("value / sum of its window")
    left.set_ylabel("share of draws")
    left.set_title("Does it draw in proportion to the value?")
    left.legend(fontsize=9, loc="upper left")
    _expectations(right, metrics)
    return figure


def _expectations(axes: "Axes", metrics: Metrics) -> None:
    axes.axhspan(0.95, 1.05, color=COLORS[2], alpha=0.2, lw=0, label="within 5 % of 1")
    for place, layer in enumerate(LAYERS):
        passed, ratio = shown(metrics, f"expectations-by-channel/{layer}").T
        color = COLORS[place]
        whole = np.exp(np.log(_seeds(metrics, f"expectation-over-mean/{layer}")).mean())
        label = f"{layer}: {whole:.2f}"
        axes.plot(
            passed.ravel(),
            ratio.ravel(),
            MARKERS[place],
            ms=4,
            alpha=0.6,
            color=color,
            label=label,
        )
        axes.axhline(whole, color=color, lw=1.2)
    axes.set_xlim(0, 1)
    axes.set_xlabel("|Σw| / Σ|w| of the kernel: 0 removes the mean, 1 passes it")
    axes.set_ylabel("Σa²/Σa over the mean")
    axes.set_title("Is its mean near the average?")
    axes.legend(title="layer: whole map", fontsize=9)


def _mean_shift(metrics: Metrics) -> "Figure":
    figure = new_figure(
        9,
        4.2,
        "Errors of a tenth of the kernel's rms; dots are seeds, lines their means. "
        "Left: the shift of the mean over errors in pairs ε and -ε, the judged "
        "quantity; the average of a raw map is linear, and shows rounding alone. "
        "Right: the shift by one such error, root mean square.",
    )
    panels = figure.subplots(1, 2, sharey=True)
    names = ("mean-shifts", "root-mean-square-shifts")
    titles = ("Mean over errors: is a pool biased?", "One error: how far?")
    for axes, name, title in zip(panels, names, titles, strict=True):
        _shifts(axes, shown(metrics, name))
        axes.set_title(title)
    panels[0].set_ylabel("shift of the mean, in sd of the pooled map")
    panels[1].legend(fontsize=9, loc="lower right")
    return figure


def _shifts(axes: "Axes", values: np.ndarray) -> None:
    """Both pools at each reading, values [seed, reading, pool]."""
    for column, (label, color) in enumerate((("average", AVG), ("max", MAX))):
        for row in range(len(READINGS)):
            each, x = values[:, row, column], row + 0.24 * (column - 0.5)
            spread = x + np.linspace(-0.05, 0.05, len(each) + 2)[1:-1]
            style = {"color": color, "marker": MARKERS[column]}
            axes.plot(spread, each, ls="", ms=4, alpha=0.6, **style)
            mean = np.exp(np.log(each).mean())
            line = [x - 0.1, x + 0.1], [mean, mean]
            axes.plot(*line, color=color, lw=2.5, label="" if row else label)
            _note(axes, f"{mean:.2g}", (x, mean), (0, 6), ha="center")
    axes.set_yscale("log")
    axes.set_xlim(-0.5, len(READINGS) - 0.5)
    axes.set_xticks(range(len(READINGS)), ("raw map", "behind the ReLU"))


def _trained(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        4.4,
        "Left: LeNet with and without pools, every look at every seed; compared where "
        "the train loss first is at or below the dashed line. Right: the nets of four "
        "pools; dots are seeds, lines their means.",
    )
    left, right = figure.subplots(1, 2)
    _overfitting(left, metrics)
    _stacks(right, metrics)
    return figure


def _overfitting(axes: "Axes", metrics: Metrics) -> None:
    sizes = shown(metrics, "parameters")[-len(TWINS) :]
    labels = [
        f"{name}: {size:,} parameters" for name, size in zip(TWINS, sizes, strict=True)
    ]
    target = shown(metrics, "target")[0]
    losses_and_errors(axes, shown(metrics, "histories"), labels, target)
    axes.set_title("Do pools overfit less?")
    axes.legend(fontsize=9, loc="lower left")


def _stacks(axes: "Axes", metrics: Metrics) -> None:
    for place, name in enumerate(STACKS):
        values = _seeds(metrics, f"accuracy/{name}")
        spread = place + np.linspace(-0.1, 0.1, len(values) + 2)[1:-1]
        color = COLORS[place]
        axes.plot(spread, values, MARKERS[place], ms=5, color=color, alpha=0.6)
        mean = values.mean()
        axes.plot([place - 0.25, place + 0.25], [mean, mean], color=color, lw=2.5)
        _note(axes, f"{mean:.1f}", (place + 0.27, mean), (3, 0), va="center")
    labels = ["early {}\nlate {}".format(*name.split("-")) for name in STACKS]
    axes.set_xticks(range(len(STACKS)), labels)
    axes.set_xlim(-0.5, len(STACKS) - 0.3)
    axes.set_ylabel("test accuracy, %")
    axes.set_title("Which pool where?")
