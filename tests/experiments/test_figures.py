"""What the figures show is what was measured."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from cnn_jax.instruments import shift_grid
from experiments.equivariance import figures
from experiments.equivariance.geometry import GEOMETRIES, labels
from experiments.harness.claims import Grid, Shown

NETS = ("random x1", "random x2", "max x1", "max x2")
LOST = np.asarray([[[0.0, 3.0]], [[2.0, 5.0]]])  # [seeds, arms, pixels]


@pytest.fixture(scope="module")
def metrics():
    """Errors of 1e-7 but for one of stride-2-odd: seed 1, last net, last shift."""
    made: dict = {}
    for name, geometry in GEOMETRIES.items():
        shifts = geometry.grid(2)
        errors = np.full((2, len(geometry.strides), 4, len(shifts)), 1e-7)
        if name == "stride-2-odd":
            errors[1, 0, 1, 4] = 0.5
        strides = tuple(map(str, geometry.strides))
        axes = {"strides": strides, "net": NETS, "shift": labels(shifts)}
        made[f"error/{name}"] = Grid(errors, axes)
    made["clean-accuracy/max+aug"] = np.asarray([90.0, 92.0])
    made["lost-by-moving"] = Shown(LOST, "lost")
    accuracy = 100.0 - 2 * np.arange(25.0)[None]
    made["accuracy-over-shifts"] = Shown(accuracy, "accuracy")
    maps = np.arange(2 * 4 * 9.0).reshape(2, 4, 3, 3)
    made["feature-maps"] = Shown(maps, "maps")
    return made


def pixels(axes) -> np.ma.MaskedArray:
    """The image that is drawn; masked where nothing is."""
    return np.ma.masked_invalid(axes.images[0].get_array())


def test_a_shift_down_and_right_lies_below_and_right_of_the_middle():
    shifts = shift_grid(1)
    image = figures._shift_image(shifts, 10.0 * shifts[:, 0] + shifts[:, 1])
    np.testing.assert_array_equal(image, [[-11, -10, -9], [-1, 0, 1], [9, 10, 11]])
    axes = Figure().subplots()
    drawn = figures._panel(axes, image, "title")
    assert drawn.get_extent() == [-1.5, 1.5, 1.5, -1.5]
    assert axes.yaxis_inverted()


def test_the_large_mark_is_the_worst_error_of_all_seeds(metrics):
    axes = Figure().subplots()
    figures._strips(axes, metrics)
    marks = [line for line in axes.lines if line.get_markersize() == 9]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(GEOMETRIES)
    for row, (name, mark) in enumerate(zip(GEOMETRIES, marks, strict=True)):
        broken = name == "stride-2-odd"
        assert mark.get_xdata() == [0.5 if broken else 1e-7]
        assert mark.get_ydata() == [row]
        assert mark.get_color() == (figures.BREAKS if broken else figures.COMMUTES)


def test_what_a_shift_costs_has_the_interval_of_student(metrics):
    axes = Figure().subplots()
    figures._lost_by_distance(axes, metrics)
    container: Any = axes.containers[0]
    line, _, (bars,) = container.lines
    np.testing.assert_allclose(line.get_ydata(), [1, 4])
    half = stats.t.ppf(0.975, 1) * np.std([0, 2], ddof=1) / 2**0.5
    ends = np.asarray(bars.get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, [[1 - half, 1 + half], [4 - half, 4 + half]])
    assert line.get_linestyle() == "--"
    assert container.get_label() == "max+aug (91.0 %)"


def test_the_depths_and_the_grids_show_the_worst_net_and_seed(metrics):
    (axes,) = figures._error_by_depth(metrics).axes
    lines: dict[Any, Any] = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["stride-2-odd"].get_ydata(), [1e-7, 0.5])
    np.testing.assert_array_equal(lines["circular"].get_xdata(), [1, 2])
    panels = {
        axes.get_title().split("\n")[0]: pixels(axes)
        for axes in figures._error_grids(metrics).axes
        if axes.images
    }
    odd = panels["stride-2-odd"]
    assert odd.max() == np.log10(0.5)
    assert np.ma.getmaskarray(odd).sum() == 9  # shifts by even numbers alone
    np.testing.assert_allclose(panels["circular"].max(), -7)
    assert "half-pixel-relu" not in panels


def test_the_middle_of_the_accuracies_is_the_unmoved_set(metrics):
    axes = figures._accuracy_grids(metrics).axes[0]
    image = pixels(axes)
    assert image[2, 2] == image.max() == 100
    assert image[3, 2] == 98
    assert "100.0 % unmoved" in axes.get_title()


def test_maps_are_drawn_in_the_order_of_their_titles(metrics):
    panels = figures._feature_maps(metrics).axes[:8]
    titles = [axes.get_title() for axes in panels[:4]]
    assert titles == [
        "map f(x)",
        "shifted map Tf(x)",
        "map of the shifted f(Tx)",
        "difference",
    ]
    drawn = np.stack([pixels(axes) for axes in panels])
    np.testing.assert_array_equal(
        drawn.reshape(2, 4, 3, 3)[0, 1], np.arange(9, 18).reshape(3, 3)
    )
