"""The figures about moving, drawn from the metrics alone."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from experiments.harness.claims import Images, Metrics
from experiments.harness.figures import (
    COLORS,
    MARKERS,
    SHADE,
    dots,
    new_figure,
    shown,
)
from experiments.harness.intervals import accuracy_interval
from experiments.pooling_robustness.moving_images import MOTIONS
from experiments.pooling_robustness.moving_nets import ARMS, NORMALIZED
from experiments.pooling_robustness.moving_results import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HOLDS, FAILS, OPEN = COLORS[0], COLORS[1], COLORS[6]
WORDS = {
    "still": "as it is",
    "1px": "1 px",
    "2px": "2 px",
    "scale": "x1.5",
    "rotation": "30°",
}
FEATURED = ("max", "average", "strided", "blur", "polyphase", "none", "dense-max")


class Row(NamedTuple):
    """One judged difference, and the range [low, high] in which the statement holds."""

    metric: str
    label: str
    low: float
    high: float = np.inf


ROWS = (
    Row("saved/translation", "2 px: strided less max", 2.0),
    Row("saved/scale", "x1.5: strided less max", 2.0),
    Row("saved/rotation", "30°: strided less max", 2.0),
    Row("max-less-subsampling", "2 px: max less subsampling", -1.0, 1.0),
    Row("dense-max-less-none", "2 px: dense max less no pool", -1.0, 1.0),
    Row("saved-by-blur", "2 px: max less blur", 0.5),
    Row("blur-less-max", "accuracy: blur less max", -0.5),
    *(
        Row(
            f"normalized-less-plain/{arm}", f"accuracy: {arm}, normalized less not", 0.5
        )
        for arm in NORMALIZED
    ),
)


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure that was measured; the first is the answer at a glance."""
    found = {}
    if "lost-by-moving" in metrics:
        found["moving"] = _moving(metrics)
    if "half-pixel-agreements" in metrics:
        found["half-pixel"] = _half_pixel(metrics)
    if "moved-images" in metrics:
        found["moved-images"] = _images(metrics)
    return found


def _arms(metrics: Metrics) -> list[str]:
    """Those that were moved, in the order of the shown tables."""
    return [
        arm for arm in ARMS if arm != "circular" and f"clean-accuracy/{arm}" in metrics
    ]


def _moving(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11.5,
        4.8,
        "Left: accuracy that a motion of the test images costs each net, mean of the "
        "seeds; the nets were trained on upright images. Right: what is judged, in "
        "points; small dots are seeds, and the statement holds in the shaded range. "
        "Blue: the interval lies in it; orange: outside; gray: across its end. Lines "
        "are 95 % intervals over seeds and test images, where there are two seeds or "
        "more.",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _losses(left, metrics)
    _differences(right, metrics)
    return figure


def _losses(axes: "Axes", metrics: Metrics) -> None:
    lost = shown(metrics, "lost-by-moving").mean(0)
    arms = _arms(metrics)
    named = [arm for arm in FEATURED if arm in arms]
    offsets = np.linspace(-0.3, 0.3, max(len(named), 2))
    for place, arm in enumerate(named):
        color, marker = COLORS[place], MARKERS[place]
        clean = np.mean(np.asarray(metrics[f"clean-accuracy/{arm}"], np.float64))
        axes.plot(
            np.arange(len(KINDS)) + offsets[place],
            lost[arms.index(arm)],
            marker,
            ms=7,
            color=color,
            label=f"{arm}: {clean:.1f} %",
        )
    for place in range(len(KINDS) - 1):
        axes.axvline(place + 0.5, color=SHADE, lw=1)
    axes.set_xticks(range(len(KINDS)), [WORDS[kind] for kind in KINDS])
    axes.set_xlim(-0.5, len(KINDS) - 0.5)
    axes.set_ylim(0, None)
    axes.set_ylabel("points of accuracy lost")
    axes.set_title("What does moving cost?")
    axes.legend(
        title="net: accuracy on still images",
        fontsize=9,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=3,
    )


def _differences(axes: "Axes", metrics: Metrics) -> None:
    rows = [row for row in ROWS if row.metric in metrics]
    for place, row in enumerate(rows):
        values = np.asarray(cast(Images, metrics[row.metric]).values, np.float64)
        mean = values.mean()
        ends = accuracy_interval(values) if len(values) > 1 else (mean, mean)
        color = verdict_color(row, *map(float, ends))
        axes.plot(ends, [place, place], color=color, lw=2)
        seeds = values.mean(1)
        axes.plot(seeds, np.full(len(seeds), place - 0.25), ".", ms=4, color=COLORS[5])
        axes.plot(mean, place, "o", ms=7, color=color)
        above: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
        axes.annotate(f"{mean:+.1f}", (mean, place), (0, -13), **above)
    axes.margins(x=0.1)
    ends = axes.get_xlim()
    ends = min(ends[0], -1.5), max(ends[1], 2.5)
    for place, row in enumerate(rows):
        whole = [place - 0.42, place + 0.42]
        high = min(row.high, ends[1])
        axes.fill_betweenx(whole, row.low, high, color=SHADE, lw=0, zorder=0)
    axes.set_xlim(ends)
    axes.axvline(0, color="#9aa5ad", lw=1, zorder=0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("points of test accuracy")
    axes.set_title("Do the statements hold?")


def verdict_color(row: Row, low: float, high: float) -> str:
    """The color of an interval: in the row's range, outside of it, or across an end."""
    if row.low < low and high < row.high:
        return HOLDS
    return FAILS if high < row.low or low > row.high else OPEN


def _half_pixel(metrics: Metrics) -> "Figure":
    figure = new_figure(
        5.5,
        3.6,
        "The circular net of adaptive polyphase pools, made so that no shift by whole "
        "pixels changes a class (a control): how often half a pixel leaves the class "
        "as it was. Dots are seeds, bars their means; the statement holds above the "
        "dashed line.",
    )
    axes = figure.subplots()
    shares = shown(metrics, "half-pixel-agreements")
    for place, values in enumerate(shares.T):
        mean = float(values.mean())
        dots(axes, place, values, mean, COLORS[place])
        axes.text(place + 0.33, mean, f"{mean:.1f}", va="center", fontsize=9)
    axes.axhline(99, color="black", lw=1, ls="--")
    axes.set_xticks(range(3), ("down", "right", "both"))
    axes.set_xlim(-0.6, 2.8)
    axes.margins(y=0.15)
    axes.set_xlabel("shift by half a pixel")
    axes.set_ylabel("same class, %")
    clean = np.mean(np.asarray(metrics["clean-accuracy/circular"], np.float64))
    axes.set_title(f"Is it robust between pixels? (accuracy {clean:.1f} %)")
    return figure


def _images(metrics: Metrics) -> "Figure":
    images = shown(metrics, "moved-images")
    figure = new_figure(
        7.5,
        4.6,
        "Test images and one motion of each kind. Shifts fill with zeros; scaling and "
        "turning interpolate between pixels, about the middle of the canvas.",
    )
    grid = figure.subplots(images.shape[1], len(MOTIONS), squeeze=False)
    for column, kind in enumerate(MOTIONS):
        for row in range(images.shape[1]):
            axes = grid[row, column]
            axes.imshow(images[column, row], cmap="gray_r", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
        grid[0, column].set_title(WORDS[kind])
    return figure
