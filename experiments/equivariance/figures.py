"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING, cast

import numpy as np

from experiments.equivariance.geometry import GEOMETRIES
from experiments.harness.claims import Grid, Metrics
from experiments.harness.figures import COLORS, MARKERS, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOLERANCE = 1e-5
FLOOR = 3e-9  # where an error of exactly 0 is drawn
COMMUTES, BREAKS = COLORS[:2]
ROOM = 6  # arms that a legend can name above the lines
BESIDE: dict = {"bbox_to_anchor": (1.01, 1), "loc": "upper left"}


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure; the first is the answer at a glance."""
    return {
        "answer": _answer(metrics),
        "error-by-padding-and-shift": _error_grids(metrics),
        "error-by-depth": _error_by_depth(metrics),
        "feature-maps": _feature_maps(metrics),
        "accuracy-over-shifts": _accuracy_grids(metrics),
    }


def _grid(metrics: Metrics, name: str) -> Grid:
    return cast(Grid, metrics[f"error/{name}"])


def _arms(metrics: Metrics) -> list[str]:
    return [
        name.partition("/")[2] for name in metrics if name.startswith("clean-accuracy/")
    ]


def _color(error: float) -> str:
    return COMMUTES if error < TOLERANCE else BREAKS


def _answer(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11 if len(_arms(metrics)) <= ROOM else 13,
        4.8,
        "Left: each dot is one net, stride and shift, the worst image and seed; the "
        "large mark is the worst of all. A convolution commutes where it lies left of "
        "the line. Right: points of test accuracy that a shift costs the trained nets, "
        "mean over seeds with 95 % Student intervals where there are two or more.",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _strips(left, metrics)
    _lost_by_distance(right, metrics)
    return figure


def _strips(axes: "Axes", metrics: Metrics) -> None:
    """One row per geometry: errors of all nets and shifts on a log scale."""
    jitter = np.random.default_rng(0)
    for row, name in enumerate(GEOMETRIES):
        errors = np.maximum(_grid(metrics, name).values.max(0).ravel(), FLOOR)
        worst = errors.max()
        height = row + jitter.uniform(-0.28, 0.28, errors.size)
        axes.plot(
            errors, height, ".", ms=2, alpha=0.25, color=_color(worst), rasterized=True
        )
        marker = "o" if worst < TOLERANCE else "X"
        axes.plot(worst, row, marker, ms=9, color=_color(worst), mec="white")
    axes.axvline(TOLERANCE, color="black", lw=1, ls="--")
    axes.set_xscale("log")
    axes.set_xlim(FLOOR / 2, 10)
    axes.set_xticks(
        [FLOOR, 1e-7, 1e-5, 1e-3, 1e-1], ["0", "1e-7", "1e-5", ".001", ".1"]
    )
    axes.minorticks_off()
    axes.set_yticks(range(len(GEOMETRIES)), list(GEOMETRIES))
    axes.invert_yaxis()
    axes.set_xlabel("equivariance error ‖f(Tx) - Tf(x)‖ / ‖f(x)‖")
    axes.set_title("Which convolutions commute with a shift?", loc="left")
    axes.annotate(
        "commutes", (TOLERANCE, -0.72), (-6, 0), ha="right", **_note(COMMUTES)
    )
    axes.annotate("does not", (TOLERANCE, -0.72), (6, 0), ha="left", **_note(BREAKS))


def _note(color: str) -> dict:
    return {
        "color": color,
        "textcoords": "offset points",
        "fontsize": 9,
        "annotation_clip": False,
    }


def _lost_by_distance(axes: "Axes", metrics: Metrics) -> None:
    """Accuracy lost by moving against the distance, one line per arm."""
    from scipy import stats

    lost = shown(metrics, "lost-by-moving")  # [seeds, arms, pixels]
    pixels = np.arange(1, lost.shape[2] + 1)
    spread = 0.0 * lost[0]
    if len(lost) > 1:
        error = lost.std(0, ddof=1) / len(lost) ** 0.5
        spread = stats.t.ppf(0.975, len(lost) - 1) * error
    arms = _arms(metrics)
    models = list(dict.fromkeys(arm.partition("+")[0] for arm in arms))
    for index, arm in enumerate(arms):
        model = models.index(arm.partition("+")[0])
        mean = lost[:, index].mean(0)
        clean = float(np.mean(np.asarray(metrics[f"clean-accuracy/{arm}"])))
        axes.errorbar(
            pixels + 0.02 * (index - len(lost[0]) / 2),
            mean,
            spread[index],
            color=COLORS[model % len(COLORS)],
            marker=MARKERS[model % len(MARKERS)],
            ls="--" if "+aug" in arm else "-",
            capsize=2,
            label=f"{arm} ({clean:.1f} %)",
        )
    axes.set_xticks(pixels)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("shift, max-norm in pixels (zero fill)")
    axes.set_ylabel("accuracy lost by moving, points")
    axes.set_title("What a shift costs a trained net", loc="left")
    place = BESIDE if len(arms) > ROOM else {}
    axes.legend(title="arm (clean accuracy)", frameon=False, fontsize=9, **place)


def _shift_image(shifts, values: np.ndarray) -> np.ndarray:
    """Values per shift as a picture, the zero shift in its middle."""
    reach = int(np.abs(np.asarray(shifts)).max())
    image = np.full((2 * reach + 1, 2 * reach + 1), np.nan)
    for (down, across), value in zip(shifts, values, strict=True):
        image[int(down) + reach, int(across) + reach] = value
    return image


def _panel(axes: "Axes", image: np.ndarray, title: str, **style):
    reach = len(image) // 2
    drawn = axes.imshow(
        image, extent=(-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5), **style
    )
    axes.set_title(title, fontsize=9)
    axes.set_xticks([-reach, 0, reach])
    axes.set_yticks([-reach, 0, reach])
    axes.tick_params(labelsize=8)
    return drawn


def _error_grids(metrics: Metrics) -> "Figure":
    """Small pictures: the error of every shift under every padding."""
    names = [name for name, each in GEOMETRIES.items() if each.shifts in ("all", "odd")]
    figure = new_figure(
        11,
        4.9,
        "The worst equivariance error over nets, images, seeds at every shift. Gray: "
        "the zero shift, and shifts that belong to another row. Blue is rounding.",
    )
    panels = figure.subplots(2, -(-len(names) // 2), squeeze=False)
    style = {"cmap": "cividis", "vmin": -8, "vmax": 0}
    for axes in panels.ravel()[len(names) :]:
        axes.set_axis_off()
    drawn = None
    for axes, name in zip(panels.ravel(), names, strict=False):
        grid = _grid(metrics, name)
        worst = np.maximum(grid.values.max((0, 1, 2)), FLOOR)
        axes.set_facecolor("0.85")
        image = _shift_image(grid.axes["shift"], np.log10(worst))
        drawn = _panel(axes, image, f"{name}\nworst {_short(worst.max())}", **style)
    for axes in panels[:, 0]:
        axes.set_ylabel("vertical shift, px", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("horizontal shift, px", fontsize=9)
    assert drawn is not None
    bar = figure.colorbar(drawn, ax=panels, shrink=0.8)
    bar.set_ticks([-8, -5, -2, 0], labels=["1e-8 or less", "1e-5", "0.01", "1"])
    bar.set_label("equivariance error")
    return figure


def _short(error: float) -> str:
    return "0" if error <= FLOOR else f"{error:.1e}" if error < 1e-3 else f"{error:.2f}"


def _error_by_depth(metrics: Metrics) -> "Figure":
    """Lines over the number of random layers."""
    figure = new_figure(
        9,
        4.6,
        "Random stacks of 3x3 convolutions, the worst error over shifts, images and "
        "seeds after each layer. Errors of exactly 0 are drawn at the bottom.",
    )
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    styles = ("-", "--", ":", "-.")
    for index, name in enumerate(GEOMETRIES):
        grid = _grid(metrics, name)
        nets = [str(net) for net in grid.axes["net"]]
        random = [net for net in nets if net.startswith("random")]
        depths = [int(net.rpartition("x")[2]) for net in random]
        worst = grid.values[:, :, : len(random)].max((0, 1, 3))
        axes.plot(
            depths,
            np.maximum(worst, FLOOR),
            color=_color(worst.max()),
            ls=styles[index % 4],
            marker=MARKERS[index % len(MARKERS)],
            ms=4,
            lw=1.2,
            label=name,
        )
    axes.axhline(TOLERANCE, color="black", lw=1, ls="--")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("layers")
    axes.set_ylabel("equivariance error, worst")
    axes.set_title(
        "Rounding stays rounding with depth; the border is felt from the first layer",
        loc="left",
    )
    axes.legend(frameon=False, fontsize=9, **BESIDE)
    return figure


def _feature_maps(metrics: Metrics) -> "Figure":
    """A map, its shift, the map of the shifted image, and their difference."""
    maps = shown(metrics, "feature-maps")  # [geometry, panel, H, W]
    figure = new_figure(
        11,
        5.2,
        "One channel of a random 3x3 convolution with bias and ReLU on a photograph "
        "patch, circular shift by (6, 6). Under zero padding the sides differ where "
        "the patch's border, now inside, was padded.",
    )
    panels = figure.subplots(2, 4)
    titles = ("map f(x)", "shifted map Tf(x)", "map of the shifted f(Tx)", "difference")
    for row, (name, images) in enumerate(
        zip(("circular", "zero-roll"), maps, strict=True)
    ):
        for column, (title, image) in enumerate(zip(titles, images, strict=True)):
            axes = panels[row, column]
            last = column == 3
            top = np.abs(maps[:, 3]).max() if last else maps[:, :3].max()
            drawn = axes.imshow(
                image,
                cmap="RdBu_r" if last else "gray",
                vmin=-top if last else 0,
                vmax=top,
            )
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(title, fontsize=10)
            if last:
                figure.colorbar(drawn, ax=axes, shrink=0.8, label="activation")
        panels[row, 0].set_ylabel(f"{name} padding".replace("zero-roll", "zero"))
    return figure


def _accuracy_grids(metrics: Metrics) -> "Figure":
    """Small pictures: test accuracy at every shift, one per arm."""
    grids = shown(metrics, "accuracy-over-shifts")
    shifts = _grid(metrics, "circular").axes["shift"]
    shifts = ((0, 0), *shifts)
    arms = _arms(metrics)
    columns = min(len(arms), 6)
    rows = -(-len(arms) // columns)
    figure = new_figure(
        11,
        2.5 * rows + 0.3,
        "Test accuracy, mean over seeds, when every test image is moved by the same "
        "shift (zero fill; the canvas has room for it). The middle is the unmoved set.",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel()[len(arms) :]:
        axes.set_axis_off()
    drawn = None
    for axes, arm, values in zip(panels.ravel(), arms, grids, strict=False):
        title = f"{arm}\n{values[0]:.1f} % unmoved"
        style = {"cmap": "cividis", "vmin": 0, "vmax": 100}
        drawn = _panel(axes, _shift_image(shifts, values), title, **style)
    panels[0, 0].set_ylabel("vertical shift, px", fontsize=9)
    panels[-1, 0].set_xlabel("horizontal shift, px", fontsize=9)
    assert drawn is not None
    figure.colorbar(drawn, ax=panels, shrink=0.9, label="test accuracy, %")
    return figure
