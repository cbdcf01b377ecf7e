"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from experiments.harness.claims import Images, Metrics
from experiments.harness.figures import COLORS, MARKERS, SHADE, new_figure, shown
from experiments.harness.intervals import accuracy_interval
from experiments.strong_prior.figures_of_trainings import (
    curve,
    images,
    sharing,
    trajectories,
)
from experiments.strong_prior.nets import ARMS
from experiments.strong_prior.tasks import PIXELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HOLDS, FAILS, OPEN = COLORS[0], COLORS[1], COLORS[6]
TASKS = {
    "field": "which digit,\nanywhere",
    "textures": "which\ntexture",
    "mnist": "MNIST,\nn = 1,000",
    "location": "where is\nthe digit",
}
SHIFT = {"natural": -0.2, "permuted": 0.2}  # of the marks


class Row(NamedTuple):
    """One judged difference: sign · metric, and on which side the statement holds."""

    metric: str
    label: str
    threshold: float
    side: str = "right"
    sign: int = 1


ROWS = (
    *(
        each
        for task in ("field", "textures", "mnist")
        for each in (
            Row(f"natural/{task}", f"{task}: conv less dense", 2.0),
            Row(f"drop/{task}", f"{task}: lost by permuting", 2.0),
            Row(f"permuted/{task}", f"{task}, permuted: conv less dense", 0.5, "left"),
        )
    ),
    Row("natural/location", "location: conv less dense", 0.5, "left"),
    Row("conv-less-unshared", "errors saved by sharing", 0.5, "right", -1),
    Row("unshared-less-dense", "errors saved by locality", 0.5, "right", -1),
)


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure that was measured; the first is the answer at a glance."""
    figures = {"answer": _answer(metrics)}
    if "curve" in metrics:
        figures["learning-curve"] = curve(metrics)
    if "histories" in metrics:
        figures["sharing"] = sharing(metrics)
    if any(name.startswith("images/") for name in metrics):
        figures["images"] = images(metrics)
    figures["trajectories"] = trajectories(metrics)
    return figures


def _values(metrics: Metrics, name: str) -> np.ndarray:
    """Points of the seeds that have any [seeds, images]."""
    values = np.asarray(cast(Images, metrics[name]).values, np.float64)
    return values[np.isfinite(values).all(1)]


def _answer(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11.5,
        5.2,
        "Left: test accuracy; lines lead from natural to permuted pixels, dashes are "
        "what the most frequent class alone would give. Right: what is judged; small "
        "dots are seeds, and the statement holds in the shaded range. Blue: the "
        "interval lies in it; orange: outside; gray: across its end. Lines are 95 % "
        "intervals over seeds and test images, where there are two seeds or more.",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _accuracies(left, metrics)
    _differences(right, metrics)
    return figure


def _accuracies(axes: "Axes", metrics: Metrics) -> None:
    measured = [task for task in TASKS if f"chance/{task}" in metrics]
    for place, task in enumerate(measured):
        _task(axes, metrics, task, place)
        chance = shown(metrics, f"chance/{task}")[0]
        axes.plot([place - 0.38, place + 0.38], 2 * [chance], "--", color="black", lw=1)
    for number, label in enumerate(("convolution and pooling", "dense")):
        style: Any = {"color": COLORS[number], "marker": MARKERS[number], "ls": ""}
        axes.plot([], [], label=f"{label}, natural pixels", **style)
        axes.plot([], [], label=f"{label}, permuted", mfc="white", **style)
    axes.set_xticks(range(len(measured)), [TASKS[task] for task in measured])
    axes.set_xlim(-0.5, max(len(measured), 1) - 0.5)
    axes.set_ylim(0, 103)
    axes.set_ylabel("test accuracy, %")
    axes.set_title("What is the prior worth?")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)


def _task(axes: "Axes", metrics: Metrics, task: str, center: int) -> None:
    """Both nets on one task, natural pixels on the left and permuted on the right."""
    names = {
        pixels: [f"right/{task}-{arm}-{pixels}" for arm in ARMS]
        for pixels in PIXELS
        if f"right/{task}-{ARMS[0]}-{pixels}" in metrics
    }
    means = {
        pixels: [_values(metrics, name).mean() for name in each]
        for pixels, each in names.items()
    }
    places = [center + SHIFT[pixels] for pixels in names]
    for number, heights in enumerate(zip(*means.values(), strict=True)):
        axes.plot(places, heights, color=COLORS[number], lw=1, alpha=0.7)
    for pixels, each in names.items():
        for number, name in enumerate(each):
            mean, other = means[pixels][number], means[pixels][1 - number]
            _mark(axes, _values(metrics, name), center, pixels, number, mean > other)


def _mark(
    axes: "Axes",
    values: np.ndarray,
    center: int,
    pixels: str,
    number: int,
    is_upper: bool,
) -> None:
    """One net on one kind of pixels: its mean, interval and, outside, the number."""
    natural = pixels == PIXELS[0]
    x, mean, color = center + SHIFT[pixels], values.mean(), COLORS[number]
    if len(values) > 1:
        axes.plot([x, x], accuracy_interval(values), color=color, lw=2)
    face = color if natural else "white"
    axes.plot(x, mean, MARKERS[number], ms=7, color=color, mfc=face)
    axes.annotate(
        f"{mean:.0f}",
        (x, mean),
        (-8 if natural else 8, 2 if is_upper else -2),
        textcoords="offset points",
        ha="right" if natural else "left",
        va="bottom" if is_upper else "top",
        fontsize=9,
        color=color,
    )


def _differences(axes: "Axes", metrics: Metrics) -> None:
    rows = [row for row in ROWS if row.metric in metrics]
    for place, row in enumerate(rows):
        values = row.sign * _values(metrics, row.metric)
        if not len(values):
            axes.text(row.threshold, place, " train loss not reached", va="center")
            continue
        mean = values.mean()
        ends = accuracy_interval(values) if len(values) > 1 else (mean, mean)
        color = _verdict_color(row, *map(float, ends))
        axes.plot(ends, [place, place], color=color, lw=2)
        seeds = values.mean(1)
        axes.plot(seeds, np.full(len(seeds), place - 0.25), ".", ms=4, color=COLORS[5])
        axes.plot(mean, place, "o", ms=7, color=color)
        above: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
        axes.annotate(f"{mean:+.1f}", (mean, place), (0, -13), **above)
    axes.margins(x=0.1)
    ends = axes.get_xlim()
    for place, row in enumerate(rows):
        end = ends[1] if row.side == "right" else ends[0]
        whole = [place - 0.42, place + 0.42]
        axes.fill_betweenx(whole, row.threshold, end, color=SHADE, lw=0, zorder=0)
    axes.set_xlim(ends)
    axes.axvline(0, color="#9aa5ad", lw=1, zorder=0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("points of test accuracy")
    axes.set_title("Do the statements hold?")


def _verdict_color(row: Row, low: float, high: float) -> str:
    above, below = low > row.threshold, high < row.threshold
    if not above and not below:
        return OPEN
    return HOLDS if above == (row.side == "right") else FAILS
