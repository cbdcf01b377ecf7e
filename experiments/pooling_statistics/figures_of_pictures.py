"""The figure of pooled photographs."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from experiments.harness.claims import Metrics
from experiments.harness.figures import COLORS, MARKERS, new_figure, shown
from experiments.pooling_statistics.pictures import FINE, NUM_BINS, POOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def photographs(metrics: Metrics) -> "Figure":
    """A crop under each pool, and what became of mean and high frequencies."""
    figure = new_figure(
        11,
        6.6,
        "Top: part of one photograph, and the same pooled 2x2 to half its size. Below: "
        "dots are photographs, lines their means; bias in standard deviations of the "
        "photograph; frequencies in cycles per pixel of the pooled picture.",
    )
    top, below = cast(Any, figure.subfigures(2, 1, height_ratios=(1, 1.15)))
    images = [shown(metrics, "crop"), *shown(metrics, "crop-pooled")]
    for axes, image, title in zip(
        top.subplots(1, len(images)), images, ("original", *POOLS), strict=True
    ):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{title}, {len(image)} px", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    left, middle, right = below.subplots(1, 3)
    _dots(left, shown(metrics, "bias"), "{:.2f}")
    left.axhline(0, color="black", lw=1, ls="--", zorder=0)
    left.set_ylabel("bias of the mean, sd")
    left.set_title("Which keeps the background?")
    _dots(middle, 100 * shown(metrics, "fine-share"), "{:.0f} %")
    middle.set_ylabel(f"power above {FINE} cycles/px, %")
    middle.set_ylim(bottom=0)
    middle.set_title("Which keeps the texture?")
    _spectra(right, metrics)
    return figure


def _dots(axes: "Axes", values: np.ndarray, words: str) -> None:
    """One column of dots per pool, values [pool, photograph]."""
    for place, each in enumerate(values):
        spread = place + np.linspace(-0.15, 0.15, len(each))
        color = COLORS[place]
        axes.plot(spread, each, MARKERS[place], ms=4, color=color, alpha=0.6)
        mean = each.mean()
        axes.plot([place - 0.28, place + 0.28], [mean, mean], color=color, lw=2.5)
        axes.annotate(
            words.format(abs(mean)),
            (place + 0.28, mean),
            (3, 3),
            textcoords="offset points",
            va="bottom",
            fontsize=9,
        )
    axes.set_xlim(-0.5, len(values) - 0.2)
    axes.set_xticks(range(len(values)), list(POOLS))


def _spectra(axes: "Axes", metrics: Metrics) -> None:
    frequencies = (np.arange(NUM_BINS) + 0.5) / (2 * NUM_BINS)
    for place, share in enumerate(shown(metrics, "spectra")):
        dash = ("-", "--", ":")[place]
        axes.plot(frequencies, share, color=COLORS[place], ls=dash, label=POOLS[place])
    axes.axvline(FINE, color="black", lw=1, ls="--")
    axes.set_yscale("log")
    axes.set_xlim(0, 0.5)
    axes.set_xlabel("spatial frequency, cycles/px")
    axes.set_ylabel("share of power per ring")
    axes.set_title("Where is the power?")
    axes.legend(fontsize=9)
