"""The figures of learning curves, sharing, permuted images and equal trainings."""

from typing import TYPE_CHECKING, cast

import numpy as np

from experiments.harness.claims import Grid, Metrics
from experiments.harness.figures import (
    COLORS,
    MARKERS,
    losses_and_errors,
    new_figure,
    shown,
)
from experiments.harness.intervals import mean_interval
from experiments.strong_prior.nets import ARMS, SHARING
from experiments.strong_prior.tasks import CELLS, PIXELS
from experiments.strong_prior.trainings import DESIGNS, JUDGED, SIZES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curve(metrics: Metrics) -> "Figure":
    figure = new_figure(
        8.5,
        4.4,
        "MNIST: test accuracy over the number of training images, mean of the seeds "
        "with its 95 % interval. Each seed draws its own images; rates are those "
        f"chosen at {JUDGED:,}, the number that is judged.",
    )
    axes = figure.subplots()
    values = shown(metrics, "curve")  # [arm, size, pixels, seed]
    for number, arm in enumerate(ARMS):
        for place, pixels in enumerate(PIXELS):
            each = values[number, :, place]
            ends = mean_interval(each) if each.shape[-1] > 1 else 2 * (each[:, 0],)
            spread = np.abs(np.stack(ends) - each.mean(-1))
            color, natural = COLORS[number], pixels == PIXELS[0]
            axes.errorbar(
                SIZES,
                each.mean(-1),
                spread,
                color=color,
                marker=MARKERS[number],
                mfc=color if natural else "white",
                ls="-" if natural else "--",
                label=f"{arm}, {pixels} pixels",
            )
    chance = shown(metrics, "chance/mnist")[0]
    axes.axhline(chance, color="black", lw=1, ls="--", label="most frequent class")
    axes.axvline(JUDGED, color="#c5ccd1", lw=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    axes.set_xlabel("training images")
    axes.set_ylabel("test accuracy, %")
    axes.set_title("How many images is the prior worth?")
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def sharing(metrics: Metrics) -> "Figure":
    figure = new_figure(
        7.5,
        4.4,
        "Nets of equal widths and maps, every look at every seed; compared where the "
        "train loss first is at or below the dashed line.",
    )
    axes = figure.subplots()
    counts = shown(metrics, "parameters/sharing")
    labels = [
        f"{name}: {count:,} parameters"
        for name, count in zip(SHARING, counts, strict=True)
    ]
    target = shown(metrics, "target")[0]
    losses_and_errors(axes, shown(metrics, "histories"), labels, target)
    axes.set_title("Does sharing overfit less?")
    axes.legend(fontsize=9, loc="lower left")
    return figure


def images(metrics: Metrics) -> "Figure":
    tasks = [task for task in DESIGNS if f"images/{task}" in metrics]
    figure = new_figure(
        8.5,
        1.75 * len(tasks),
        "Test images as the nets see them: natural pixels on the left, the same with "
        "pixels permuted on the right. Lines on the field are the cells of the task "
        "location.",
    )
    rows = figure.subplots(len(tasks), 6, squeeze=False)
    for row, task in zip(rows, tasks, strict=True):
        both = shown(metrics, f"images/{task}")  # [pixels, image, y, x]
        for place, axes in enumerate(row):
            pixels, number = divmod(place, 3)
            axes.imshow(both[pixels, number], cmap="gray")
            axes.set_xticks([])
            axes.set_yticks([])
            if task == "field" and pixels == 0:
                width = both.shape[-1]
                for line in np.arange(1, CELLS) * width / CELLS - 0.5:
                    axes.axhline(line, color=COLORS[4], lw=0.8)
                    axes.axvline(line, color=COLORS[4], lw=0.8)
        row[0].set_title(f"{task}, natural", fontsize=10)
        row[3].set_title("permuted", fontsize=10)
    return figure


def trajectories(metrics: Metrics) -> "Figure":
    figure = new_figure(
        7.5,
        4.2,
        "Two trainings in float64, on natural and on permuted pixels; of the dense net "
        "the first layer is permuted alike. Largest of the seeds.",
    )
    axes = figure.subplots()
    for arm in ARMS[::-1]:
        grid = cast(Grid, metrics[f"trajectories/{arm}"])
        for place, dash in enumerate(("-", "--")):
            what, values = grid.axes["what"][place], np.asarray(grid.values)
            worst = np.maximum(values[:, place].max(0), 1e-17)
            style = {"color": COLORS[ARMS.index(arm)], "label": f"{arm}, {what}"}
            axes.plot(np.arange(1, len(worst) + 1), worst, dash, **style)
    for threshold, words in ((1e-5, "dense: below"), (1e-2, "conv: above at the end")):
        axes.axhline(threshold, color="black", lw=1, ls=":")
        axes.text(1, 1.3 * threshold, words, fontsize=8, va="bottom")
    axes.set_yscale("log")
    axes.set_xlabel("Adam step")
    axes.set_ylabel("‖difference‖ / ‖net‖")
    axes.set_title("Who knows where the pixels are?")
    axes.legend(fontsize=9, loc="center right")
    return figure
