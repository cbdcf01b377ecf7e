"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.harness.claims import Metrics
from experiments.harness.figures import COLORS, MARKERS, dots, new_figure, shown
from experiments.receptive_field.counts import DEPTH, GROWTH
from experiments.receptive_field.labeling import NO_INK, SIDE
from experiments.receptive_field.spreads import DEPTHS, NETS, closed_spread
from experiments.receptive_field.stacks import KNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = {
    "doubling": "dilations 1, 2, 4, ...",
    "gridding": "dilations 2, 4, 8, ...",
    "constant": "dilation 2 everywhere",
    "idcnn": "dilations 1, 1, 2 in turn",
}


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure; the first is the answer at a glance."""
    return {
        "answer": _answer(metrics),
        "supports": _supports(metrics),
        "effective-fields": _effective_fields(metrics),
        "canvas": _canvas(metrics),
        "known-nets": _known_nets(metrics),
    }


def _nets(metrics: Metrics) -> list[str]:
    return shown(metrics, "nets").tolist()


def _answer(metrics: Metrics) -> "Figure":
    figure = new_figure(
        12,
        4.4,
        "Left: the receptive field of 1-D stacks of 3 taps; hollow marks are fields "
        "with gaps. Middle: the spread of the gradient map (marks; dots are seeds), "
        "the root of the depth (gray), and the spread of a box as large as the full "
        "field (dotted). Right: accuracy over ink pixels of nets with equal "
        "multiply-accumulates, a dot per seed and a bar for the mean.",
    )
    left, middle, right = figure.subplots(1, 3)
    _growth(left, metrics)
    _spreads(middle, metrics)
    _accuracies(right, metrics)
    return figure


def _growth(axes: "Axes", metrics: Metrics) -> None:
    fields, shares = shown(metrics, "fields"), shown(metrics, "coverages")
    layers = np.arange(1, DEPTH + 1)
    names = list(GROWTH)
    for index, (name, text) in enumerate(DOTS.items()):
        row = names.index(name)
        whole = bool(np.all(shares[row] == 1))
        share = "no gaps" if whole else f"{100 * shares[row, -1]:.0f} % covered"
        axes.plot(
            layers,
            fields[row],
            color=COLORS[index],
            marker=MARKERS[index],
            mfc=COLORS[index] if whole else "white",
            label=f"{text}: {share}",
        )
    axes.set_yscale("log", base=2)
    ticks = [3, 7, 15, 31, 63, 127, 255, 511]
    axes.set_yticks(ticks, list(map(str, ticks)))
    axes.set_ylim(2.5, 2600)
    axes.minorticks_off()
    axes.set_xlabel("layers")
    axes.set_ylabel("receptive field, positions")
    axes.set_title("Only doubling dilations cover a\nfield that grows exponentially")
    axes.legend(loc="upper left", fontsize=8)


def _spreads(axes: "Axes", metrics: Metrics) -> None:
    random = shown(metrics, "random-spreads")  # [seeds, nets, depths]
    depths = np.asarray(DEPTHS)
    full = shown(metrics, "random-fields")
    axes.plot(
        depths, full / 12**0.5, color=COLORS[6], ls=":", label="full field / √12 (box)"
    )
    dense = np.linspace(2.5, depths[-1])
    axes.plot(dense, closed_spread(dense), color="#999999", lw=1, label="√(2·layers/3)")
    for index, name in enumerate(NETS):
        _seed_lines(axes, depths, random[:, index], index, f"random {name} nets")
    trained = shown(metrics, "trained-spreads")  # [seeds, 2, depths]
    for index, name in enumerate(
        ("labeling nets, untrained", "labeling nets, trained")
    ):
        _seed_lines(axes, shown(metrics, "depths"), trained[:, index], index + 2, name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    ticks = [3, 4, 6, 8, 12, 16, 32]
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes.set_ylim(top=48)
    axes.minorticks_off()
    axes.set_xlabel("layers of 3 (3x3) taps")
    axes.set_ylabel("spread of the gradient map, px")
    axes.set_title("How the effective field\ngrows with the depth")
    axes.legend(loc="upper left", fontsize=8)


def _seed_lines(axes: "Axes", place, values: np.ndarray, color: int, label: str):
    """The mean over seeds with every seed as a faint dot."""
    style = {"color": COLORS[color], "marker": MARKERS[color]}
    for row in values:
        axes.plot(place, row, ls="", ms=3, alpha=0.4, **style)
    axes.plot(place, np.exp(np.log(values).mean(0)), ms=5, label=label, **style)


def _accuracies(axes: "Axes", metrics: Metrics) -> None:
    nets = _nets(metrics)
    designs = dict(zip(nets, shown(metrics, "designs"), strict=True))
    arms = ("plain", "pooled", "dilated", "upsampled")
    for index, arm in enumerate(arms):
        values = np.asarray(metrics[f"accuracy/{arm}"])
        mean = float(values.mean())
        dots(axes, index, values, mean, COLORS[index], f"{mean:.1f} %")
    texts = [
        f"{arm}\nfield {min(designs[arm][3], SIDE)} px\n{designs[arm][2] / 1e6:.2f} M"
        for arm in arms
    ]
    axes.set_xticks(range(len(arms)), texts, fontsize=8)
    chance = float(shown(metrics, "chance")[0])
    axes.axhline(chance, color=COLORS[6], ls=":", lw=1)
    axes.annotate(
        "most frequent label",
        (0, chance),
        (0, 3),
        textcoords="offset points",
        fontsize=8,
    )
    axes.set_xlim(-0.6, len(arms) - 0.4)
    axes.set_ylim(0, 105)
    axes.set_ylabel("accuracy over ink pixels, %")
    axes.set_xlabel("net, its field and multiply-accumulates per canvas")
    axes.set_title("Labeling every ink pixel at equal cost")


def _supports(metrics: Metrics) -> "Figure":
    """Which inputs the middle output depends on, layer after layer."""
    figure = new_figure(
        11,
        4.6,
        "The inputs that one output depends on, 1-D stacks of 1 to "
        f"{DEPTH} layers of 3 taps, seen by gradients. White stripes inside are gaps.",
    )
    supports = shown(metrics, "supports")  # [stack, layers, position]
    middle, reach = supports.shape[-1] // 2, 64
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    names = list(GROWTH)
    for axes, (name, text) in zip(panels.ravel(), DOTS.items(), strict=True):
        picture = supports[names.index(name), :, middle - reach : middle + reach + 1]
        axes.imshow(
            picture,
            extent=(-reach - 0.5, reach + 0.5, DEPTH + 0.5, 0.5),
            aspect="auto",
            cmap="Blues",
            vmin=0,
            vmax=1.25,
            interpolation="nearest",
        )
        axes.set_title(text)
    for axes in panels[:, 0]:
        axes.set_ylabel("layers")
    for axes in panels[-1]:
        axes.set_xlabel("input position, relative to the output")
    return figure


def _effective_fields(metrics: Metrics) -> "Figure":
    """The maps of the labeling nets before and after training, with their fields."""
    from matplotlib.patches import Rectangle

    nets = _nets(metrics)
    maps = shown(metrics, "effective-fields")
    fields = shown(metrics, "designs")[:, 3]
    figure = new_figure(
        11,
        4.4,
        "The gradient map of the middle pixel, mean of seeds, output classes and 16 "
        "digits, square root, each scaled to its largest value. White: the full field.",
    )
    panels = figure.subplots(2, len(nets), squeeze=False)
    drawn = None
    for column, (name, field) in enumerate(zip(nets, fields, strict=True)):
        for row in range(2):
            axes = panels[row, column]
            root = np.sqrt(maps[column, row])
            drawn = axes.imshow(root / root.max(), cmap="cividis", vmin=0, vmax=1)
            low = SIDE // 2 - field / 2
            style = {"fill": False, "edgecolor": "white", "lw": 1}
            axes.add_patch(Rectangle((low, low), field, field, **style))
            axes.set_xlim(-0.5, SIDE - 0.5)
            axes.set_ylim(SIDE - 0.5, -0.5)
            axes.set_xticks([0, 20, 39])
            axes.set_yticks([0, 20, 39])
            axes.tick_params(labelsize=8)
        panels[0, column].set_title(f"{name}\nfield {min(field, SIDE)} px", fontsize=9)
        panels[1, column].set_xlabel("x, px", fontsize=8)
    for row, name in enumerate(("untrained", "trained")):
        panels[row, 0].set_ylabel(f"{name}\ny, px", fontsize=9)
    assert drawn is not None
    figure.colorbar(drawn, ax=panels, shrink=0.8, label="gradient, relative")
    return figure


def _canvas(metrics: Metrics) -> "Figure":
    """One test canvas, and where each net gives its ink the right label."""
    from matplotlib.colors import ListedColormap

    nets = _nets(metrics)
    truth = shown(metrics, "canvas-labels")
    classes = shown(metrics, "canvas-classes")
    figure = new_figure(
        11,
        2.8,
        "A test canvas, and its ink pixels as the nets of the first seed label them: "
        "blue is right, orange wrong.",
    )
    arms = ("plain", "pooled", "dilated", "upsampled")
    panels = figure.subplots(1, 1 + len(arms))
    panels[0].imshow(shown(metrics, "canvas"), cmap="gray_r")
    panels[0].set_title("canvas, 40x40 px", fontsize=9)
    ink = truth != NO_INK
    colors = ListedColormap([COLORS[1], COLORS[0]])
    for axes, arm in zip(panels[1:], arms, strict=True):
        right = classes[nets.index(arm)] == truth
        picture = np.where(ink, right.astype(float), np.nan)
        axes.imshow(picture, cmap=colors, vmin=0, vmax=1, interpolation="nearest")
        share = 100 * np.mean(right[ink])
        axes.set_title(f"{arm}: {share:.0f} % right", fontsize=9)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right"]].set_visible(True)
    return figure


def _known_nets(metrics: Metrics) -> "Figure":
    """Published fields, by closed form and by gradient."""
    figure = new_figure(
        8,
        3.2,
        "Receptive fields of published networks: what the literature gives (number), "
        "the closed form (bar) and the support of a gradient in 1-D (mark).",
    )
    axes = figure.subplots()
    for row, (name, (_, _, field)) in enumerate(KNOWN.items()):
        closed = np.asarray(metrics[f"closed-form/{name}"])[0]
        support = np.asarray(metrics[f"support/{name}"])[0]
        axes.barh(row, closed, color=COLORS[5], height=0.6)
        axes.plot(support, row, "D", color=COLORS[0], ms=6)
        axes.annotate(
            f"{field:,}",
            (closed, row),
            (10, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(KNOWN)), list(KNOWN))
    axes.invert_yaxis()
    axes.set_xlim(0, 1700)
    axes.set_xlabel("receptive field, px along one axis")
    return figure
