"""The figures of the tasks, drawn from their metrics alone."""

from typing import TYPE_CHECKING, Any, cast

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
from experiments.harness.intervals import accuracy_interval, mean_interval
from experiments.pooling_robustness.tasks import FIELDS
from experiments.pooling_robustness.tasks_images import CUTOFFS, KEPT, SCALES, VIEWS
from experiments.pooling_robustness.tasks_nets import TWINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"pooled": "2x2 max pools", "strided": "strided twin"}
SCALE_NAMES = ("whole", *(f"1/{scale}" for scale in SCALES[1:]))
DRAWN_CUTOFFS = (0.5, 1.0, 2.0)  # of the pictures that are shown
MARGIN = 2.0  # points that the statements allow to lose


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure of the tasks that were measured."""
    figures = {}
    if "field-curve" in metrics:
        figures["field"] = _field(metrics)
    if "outline-curve" in metrics:
        figures["outlines"] = _outlines(metrics)
    if "local-accuracies" in metrics:
        figures["local-patterns"] = _local(metrics)
    return figures


def _means(axes: "Axes", x: Any, values: np.ndarray, **style: Any) -> None:
    """Means over the seeds, the last axis, with their 95 % interval."""
    ends = mean_interval(values) if values.shape[-1] > 1 else 2 * (values[..., 0],)
    spread = np.abs(np.stack(ends) - values.mean(-1))
    axes.errorbar(x, values.mean(-1), spread, **style)


def _field(metrics: Metrics) -> "Figure":
    figure = new_figure(
        10.5,
        4.4,
        "A digit at a random place of a field. Left: both tasks at the most training "
        "images, a dot per seed; the numbers are means, dotted is what the most "
        "frequent answer gets. Right: "
        "which digit, over the number of training images, mean of the seeds with its "
        "95 % interval; the dashed line is what the strided twin has at n0, the "
        "crosses are where each seed's pooled net gets there, n*.",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    curves = shown(metrics, "field-curve")  # [net, size, seed]
    tasks = np.stack([curves[:, -1], shown(metrics, "location-accuracy")])
    for task, nets in enumerate(tasks):
        for number, values in enumerate(nets):
            mean = values.mean()
            place = 2 * task + 0.8 * number
            dots(left, place, values, mean, COLORS[number], f"{mean:.1f}")
        chance = shown(metrics, "chance")[task]
        left.hlines(chance, 2 * task - 0.4, 2 * task + 1.2, "black", ":", lw=1)
    left.set_xticks([0.4, 2.4], ["which digit", "where it is"])
    left.set_ylim(0, 108)
    left.set_ylabel("test accuracy, %")
    left.set_title("Presence or location?")
    _learning_curves(right, metrics, curves)
    return figure


def _learning_curves(axes: "Axes", metrics: Metrics, curves: np.ndarray) -> None:
    sizes = shown(metrics, "field-sizes")
    for number, net in enumerate(TWINS):
        style: Any = {"color": COLORS[number], "marker": MARKERS[number]}
        _means(axes, sizes, curves[number], label=NAMES[net], **style)
    goals = curves[1, -1]
    reached = sizes[-1] / np.asarray(metrics["samples-ratio"])
    axes.axhline(goals.mean(), color=COLORS[1], lw=1, ls="--")
    axes.plot(reached, goals, "x", color="black", ms=7, label="n* of a seed")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    axes.set_xlabel("training images")
    axes.set_ylabel("test accuracy, which digit, %")
    ratio = np.exp(np.log(sizes[-1] / reached).mean())
    axes.set_title(f"How many images is pooling worth? n0/n* = {ratio:.1f}")
    axes.legend(fontsize=9, loc="upper left")


def _outlines(metrics: Metrics) -> "Figure":
    figure = new_figure(
        10.5,
        6.2,
        "Above: a test picture, whole, shrunk and enlarged back, and without its high "
        "or low frequencies; cutoffs in cycles per picture. Below: test accuracy, mean "
        "of the seeds with its 95 % interval; the statement allows to lose what is "
        "shaded. The net of whole pictures alone sees filtered ones.",
    )
    above, below = cast(Any, figure).subfigures(2, 1, height_ratios=(1, 2.6))
    _pictures(above, shown(metrics, "outline-pictures"))
    left, right = below.subplots(1, 2, sharey=True)
    curve, passes = shown(metrics, "outline-curve"), shown(metrics, "filter-curve")
    whole = curve[0, 0].mean()
    for number, label in enumerate(("learned whole pictures", "learned such pictures")):
        style: Any = {"color": COLORS[number], "marker": MARKERS[number]}
        _means(left, range(len(SCALES)), curve[number], label=label, **style)
    left.set_xticks(range(len(SCALES)), SCALE_NAMES)
    left.set_xlabel("size to which pictures were shrunk")
    left.set_ylabel("test accuracy, %")
    left.set_title("Is a small picture enough?")
    for number, kept in enumerate(KEPT):
        style = {"color": COLORS[2 + number], "marker": MARKERS[2 + number]}
        words = "below" if kept == "low" else "above"
        _means(right, CUTOFFS, passes[number], label=f"{words} the cutoff", **style)
    right.set_xscale("log", base=2)
    right.set_xticks(CUTOFFS, [f"{cutoff:g}" for cutoff in CUTOFFS])
    right.set_xlabel("cutoff, cycles per picture")
    right.set_title("Which frequencies does the net need?")
    for axes in (left, right):
        axes.axhspan(whole - MARGIN, whole, color=SHADE, lw=0, zorder=0)
        axes.axhline(10, color="black", lw=1, ls=":")
        axes.set_ylim(0, 104)
    left.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0, 0.12))
    right.legend(fontsize=9, loc="center left")
    return figure


def _pictures(figure: Any, images: np.ndarray) -> None:
    """One test picture under some views [view, y, x]."""
    views = [
        *(("shrunk", scale) for scale in SCALES),
        *((kept, cutoff) for kept in KEPT for cutoff in DRAWN_CUTOFFS),
    ]
    titles = [
        *SCALE_NAMES,
        *(f"{sign} {cutoff:g}" for sign in "<>" for cutoff in DRAWN_CUTOFFS),
    ]
    for axes, view, title in zip(
        figure.subplots(1, len(views)), views, titles, strict=True
    ):
        axes.imshow(images[VIEWS.index(view)], cmap="gray")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title, fontsize=10, loc="center")


def _local(metrics: Metrics) -> "Figure":
    fields = [field for field in FIELDS if f"capped/{field}" in metrics]
    figure = new_figure(
        7.5,
        4.4,
        "Nets of nearly equal numbers of parameters that see so many pixels along each "
        "axis, and average over all places; a dot per seed, hollow marks are train "
        "accuracy. Lines are 95 % intervals of the difference to the net that sees "
        "all, over seeds and test images; the statement holds above the shade.",
    )
    axes = figure.subplots()
    test, train = shown(metrics, "local-accuracies")  # [field, seed]
    counts = shown(metrics, "local-parameters")
    full = test[-1].mean()
    for place, values in enumerate(test):
        color = COLORS[0] if place < len(fields) else COLORS[6]
        mean = values.mean()
        dots(axes, place, values, mean, color, f"{mean:.1f}")
        axes.plot(place + 0.38, train[place].mean(), "s", color=color, mfc="white")
    for place, field in enumerate(fields):
        points = np.asarray(cast(Images, metrics[f"capped/{field}"]).values, np.float64)
        if len(points) > 1:
            ends = full + np.asarray(accuracy_interval(points))
            axes.plot(2 * [place - 0.38], ends, color=COLORS[0], lw=2)
    bottom = min(test.min(), train.min(), full - MARGIN)
    low = bottom - 0.08 * (100 - bottom)
    axes.axhspan(low, full - MARGIN, color=SHADE, lw=0, zorder=0)
    axes.set_ylim(low, 101)
    words = [*(f"{field} x {field}" for field in fields), "all"]
    axes.set_xticks(
        range(len(words)),
        [f"{word}\n{count:,}" for word, count in zip(words, counts, strict=True)],
    )
    axes.set_xlabel("pixels that the net sees, and its parameters")
    axes.set_ylabel("accuracy, %")
    axes.set_title("Are local patterns enough?")
    return figure
