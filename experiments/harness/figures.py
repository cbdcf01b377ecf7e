"""Figures as SVG: one look, the same bytes on every run, safe to put into one page."""

import dataclasses
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from experiments.harness.metrics import Metrics, Shown

# Okabe and Ito's colors: told apart by every kind of color vision, and in print.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
MARKERS = "osD^vPX"  # one beside each color
SHADE = "#e4e8eb"  # behind a range of values that a caption tells about
STYLE: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6670",
    "axes.labelcolor": "#1b2126",
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.grid": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "image.cmap": "cividis",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.color": "#5b6670",
    "ytick.color": "#5b6670",
    "svg.fonttype": "path",  # letters look alike where the font is absent
}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure as a file of its own.

    Attributes:
      caption: the figure's label, or its name where it has none.
      svg: the file's text.
    """

    caption: str
    svg: str


def new_figure(width: float, height: float, caption: str) -> Figure:
    """An empty figure, in inches, whose caption the report sets below it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(caption)
    return figure


def shown(metrics: Metrics, name: str) -> np.ndarray:
    """The values of a metric that is shown and not judged."""
    return np.asarray(cast(Shown, metrics[name]).values)


def spread(place: float, number: int) -> np.ndarray:
    """Places side by side, around one, for a dot each."""
    return place + np.linspace(-0.2, 0.2, number + 2)[1:-1]


def dots(
    axes: Axes,
    place: float,
    values: np.ndarray,
    mean: float,
    color: str,
    text: str = "",
) -> None:
    """A dot per seed, a bar for their mean, and small words above them."""
    axes.plot(spread(place, len(values)), values, "o", ms=4, alpha=0.7, color=color)
    axes.plot([place - 0.3, place + 0.3], [mean, mean], lw=3, color=color)
    axes.annotate(
        text,
        (place, float(values.max())),
        (0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8,
    )


def losses_and_errors(
    axes: Axes, histories: np.ndarray, labels: Sequence[str], target: float
) -> None:
    """Test error over train loss as nets learn, a line per seed.

    Args:
      axes: where.
      histories: train loss, train error and test error at every look
        [net, seed, look, 3], NaN behind the last one.
      labels: of the nets.
      target: the train loss at which they are compared.
    """
    for place, (label, seeds) in enumerate(zip(labels, histories, strict=True)):
        for number, seed in enumerate(seeds):
            loss, _, error = seed.T
            words = "" if number else label
            axes.plot(loss, error, color=COLORS[place], lw=1, alpha=0.7, label=words)
            last = np.isfinite(loss).sum() - 1
            axes.plot(loss[last], error[last], MARKERS[place], color=COLORS[place])
    axes.axvline(target, color="black", lw=1, ls="--")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.set_xlabel("train loss, nats; training goes to the right")
    axes.set_ylabel("test error, %")


def draw(
    plot: Callable[[Any], Mapping[str, Figure]], metrics: Any
) -> dict[str, Drawing]:
    """Draws what an experiment wants to show, in its order."""
    matplotlib.use("agg")
    with matplotlib.rc_context(STYLE):
        return {name: _drawing(name, figure) for name, figure in plot(metrics).items()}


def _drawing(name: str, figure: Figure) -> Drawing:
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(
            text, metadata={"Date": None, "Creator": None}
        )
    return Drawing(str(figure.get_label() or name), text.getvalue())


def inline(name: str, svg: str) -> str:
    """The SVG as an element of a page that holds several.

    What a file needs and an element must not have goes: the prolog, and ids that
    another figure uses too. The width becomes the page's, up to the figure's own.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", element)
    width = re.search(r'width="([\d.]+)pt"', element)
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    style = f"max-width:{float(width[1]) * 4 / 3:.0f}px" if width else ""
    return element.replace("<svg", f'<svg style="{style}" aria-hidden="true"', 1)
