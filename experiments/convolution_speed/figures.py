"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.convolution_speed.measures import ALGORITHMS
from experiments.convolution_speed.shapes import IM2COL_SHAPES
from experiments.harness.claims import Metrics
from experiments.harness.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008; gray is what one gets without asking.
COLORS = {
    "direct": "#999999",
    "im2col": "#E69F00",
    "shifted": "#56B4E9",
    "winograd2": "#009E73",
    "winograd4": "#7FCEB8",
    "fourier": "#CC79A7",
}
NAMES = {
    "direct": "XLA's own",
    "naive": "naive loop",
    "winograd2": "Winograd F(2, 3)",
    "winograd4": "Winograd F(4, 3)",
    "fourier": "Fourier",
}
AXES = {
    "channels": "channels and features, 32x32 image",
    "resolution": "height and width, 16 channels",
    "groups": "groups of 64 channels, 32x32 image",
}


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure; the first is the answer at a glance."""
    return {
        "answer": _winners(metrics),
        "memory": _memory(metrics),
        "crossover": _crossover(metrics),
        "im2col": _im2col(metrics),
    }


def _values(metrics: Metrics, name: str) -> np.ndarray:
    metric = metrics[name]
    return np.asarray(getattr(metric, "values", metric))


def _winners(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        4.6,
        "Each cell is one convolution, its color the fastest way to compute it; the "
        "number says how many times faster than XLA's own it is. Medians of "
        "interleaved calls.",
    )
    panels = figure.subplots(
        1, len(AXES), width_ratios=[_columns(metrics, axis) for axis in AXES]
    )
    for axes, axis in zip(panels, AXES, strict=True):
        _map(axes, metrics, axis)
    panels[0].set_ylabel("kernel size")
    figure.legend(
        handles=[_patch(name) for name in ALGORITHMS],
        loc="outside upper left",
        ncols=len(ALGORITHMS),
        title="fastest way",
        alignment="left",
    )
    return figure


def _columns(metrics: Metrics, axis: str) -> int:
    return len(_values(metrics, f"values/{axis}"))


def _map(axes: "Axes", metrics: Metrics, axis: str) -> None:
    """A table of kernel size by another axis, colored by the winner."""
    seconds = _values(metrics, f"seconds/{axis}")
    windows, values = _values(metrics, "windows"), _values(metrics, f"values/{axis}")
    for row in range(len(windows)):
        for column in range(len(values)):
            cell = seconds[row, column]
            best = int(np.nanargmin(cell))
            _cell(axes, row, column, ALGORITHMS[best], f"{cell[0] / cell[best]:.1f}")
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_ylim(-0.5, len(windows) - 0.5)
    axes.set_xticks(range(len(values)), [str(value) for value in values])
    axes.set_yticks(range(len(windows)), [f"{size}x{size}" for size in windows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(AXES[axis])


def _cell(axes: "Axes", row: int, column: int, name: str, text: str) -> None:
    from matplotlib.patches import Rectangle

    place = (column - 0.47, row - 0.47)
    axes.add_patch(Rectangle(place, 0.94, 0.94, color=COLORS[name], lw=0))
    if name != "direct":
        axes.text(column, row, f"{text}x", ha="center", va="center", fontsize=9)


def _patch(name: str):
    from matplotlib.patches import Patch

    return Patch(color=COLORS[name], label=NAMES.get(name, name))


def _memory(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        6.2,
        "What a compiled convolution needs beside inputs, kernel and outputs (above), "
        "and how long it takes (below), by kernel size and, at the middle kernel size, "
        "by channels and resolution. im2col holds k² copies of the image; what XLA's "
        "own packs inside of its library is not counted, and where its line is absent "
        "it asks for nothing.",
    )
    panels = figure.subplots(2, 3, sharex="col", sharey="row")
    middle = len(_values(metrics, "windows")) // 2
    largest = _columns(metrics, "channels") - 1
    for row, kind in enumerate(("memory", "seconds")):
        by_window = _values(metrics, f"{kind}/channels")[:, largest]
        _lines(panels[row, 0], _values(metrics, "windows"), by_window)
        for column, axis in enumerate(("channels", "resolution"), start=1):
            values = _values(metrics, f"values/{axis}")
            _lines(
                panels[row, column], values, _values(metrics, f"{kind}/{axis}")[middle]
            )
    channels = _values(metrics, "values/channels")[largest]
    window = _values(metrics, "windows")[middle]
    panels[1, 0].set_xlabel(f"kernel size, {channels} channels, 32x32 image")
    panels[1, 1].set_xlabel(f"channels and features, {window}x{window}, 32x32 image")
    panels[1, 2].set_xlabel(f"height and width, {window}x{window}, 16 channels")
    panels[0, 0].set_ylabel("extra memory, kB")
    panels[1, 0].set_ylabel("seconds")
    figure.legend(
        handles=[_patch(name) for name in ALGORITHMS],
        loc="outside upper left",
        ncols=len(ALGORITHMS),
    )
    return figure


def _lines(axes: "Axes", values: np.ndarray, table: np.ndarray) -> None:
    for place, name in enumerate(ALGORITHMS):
        heights = np.where(table[:, place] > 0, table[:, place], np.nan)
        axes.plot(values, heights, "o-", ms=4, color=COLORS[name])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()


def _crossover(metrics: Metrics) -> "Figure":
    figure = new_figure(
        6.4,
        4.2,
        "Median seconds of one convolution of one channel by kernel size. The claim is "
        "about the naive loop; XLA's own convolution is what Fourier really competes "
        "with.",
    )
    axes = figure.subplots()
    windows = _values(metrics, "crossover-windows")
    seconds = _values(metrics, "crossover-seconds")
    for place, name in enumerate(("naive", "direct", "fourier")):
        color = COLORS.get(name, "#000000")
        axes.plot(windows, seconds[:, place], "o-", color=color)
        axes.annotate(
            NAMES.get(name, name),
            (windows[-1], seconds[-1, place]),
            (6, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
    axes.set_yscale("log")
    axes.set_xticks(windows, [f"{size}x{size}" for size in windows])
    axes.set_xlabel("kernel size")
    axes.set_ylabel("seconds")
    return figure


def _im2col(metrics: Metrics) -> "Figure":
    figure = new_figure(
        9,
        3.6,
        "How many times longer than im2col the loops and XLA's own convolution take "
        "(left, log scale), and the extra memory of im2col and of XLA's own (right).",
    )
    left, right = figure.subplots(1, 2, sharey=True)
    seconds = _values(metrics, "im2col-seconds")
    kilobytes = _values(metrics, "im2col-memory")
    places = np.arange(len(IM2COL_SHAPES))
    left.plot(seconds[:, 0] / seconds[:, 2], places, "ok", label="naive loop")
    left.plot(
        seconds[:, 1] / seconds[:, 2], places, "s", color="#777777", label="XLA's own"
    )
    left.axvline(1.0, color="black", lw=1, ls="--")
    left.set_xscale("log")
    left.set_xlabel("time / time of im2col")
    left.set_yticks(places, list(IM2COL_SHAPES))
    left.invert_yaxis()
    left.legend(loc="lower right")
    for place, (name, marker) in ((2, ("im2col", "o")), (1, ("direct", "s"))):
        right.plot(
            kilobytes[:, place],
            places,
            marker,
            color=COLORS[name] if name == "im2col" else "#777777",
            label=NAMES.get(name, name),
        )
    right.set_xscale("symlog", linthresh=1.0)
    right.set_xlabel("extra memory, kB")
    right.legend(loc="lower right")
    return figure
