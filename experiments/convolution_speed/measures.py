"""Times, memory and errors of the algorithms, shape by shape."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax import conv
from experiments.convolution_speed.naive import loops
from experiments.convolution_speed.shapes import IM2COL_SHAPES, Shape
from experiments.harness.claims import Grid, Metrics, Shown, Timings
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals

ALGORITHMS = ("direct", "im2col", "shifted", "winograd2", "winograd4", "fourier")
_MOST_TAPS = 81  # "shifted" unrolls them: more take seconds to compile and never win
_WINOGRAD_WINDOW = 3
LEAST_REPEATS = 20  # of a timing that a verdict rests on


class Compiled(NamedTuple):
    """One convolution, ready to run.

    Attributes:
      call: () -> outputs.
      kilobytes: of memory beside inputs, kernel and outputs.
    """

    call: Callable[[], Any]
    kilobytes: float


@partial(jax.jit, static_argnames=("shape", "batch"))
def draw(key: jax.Array, shape: Shape, batch: int) -> tuple[jax.Array, jax.Array]:
    """Inputs of variance 1, and a kernel that makes such outputs of them."""
    channels = shape.channels // shape.groups
    inputs, kernel = normals(
        key,
        (batch, shape.size, shape.size, shape.channels),
        (*(shape.window,) * 2, channels, shape.features),
    )
    return inputs, kernel / (shape.window**2 * channels) ** 0.5


def prepare(
    algorithm: str, shape: Shape, inputs: jax.Array, kernel: jax.Array
) -> Compiled | None:
    """Compiles an algorithm, "naive" among them; None where it does not apply."""
    if algorithm == "shifted" and shape.window**2 > _MOST_TAPS:
        return None
    if algorithm.startswith("winograd") and shape.window != _WINOGRAD_WINDOW:
        return None
    if algorithm == "naive":
        function: Callable[..., Any] = partial(loops, shape=shape)
    else:
        function = partial(
            conv,
            strides=shape.stride,
            feature_group_count=shape.groups,
            algorithm=algorithm,
        )
    compiled = jax.jit(function).lower(inputs, kernel).compile()
    memory = compiled.memory_analysis()
    kilobytes = float("nan") if memory is None else memory.temp_size_in_bytes / 1024
    return Compiled(partial(compiled, inputs, kernel), kilobytes)


def crossover(
    key: jax.Array, lab: Lab, windows: Sequence[int], size: int, repeats: int
) -> Metrics:
    """Naive, XLA's and Fourier convolution of one channel, by kernel size.

    The size where Fourier gains most is chosen on the first few repeats, and the claim
    is about others.
    """
    names = ("naive", "direct", "fourier")
    ready = {}
    for window in windows:
        shape = Shape(size, 1, 1, window)
        ready[window] = _prepare_all(names, key, shape, 1)
    few = {window: _timed(lab, each, _few(repeats)) for window, each in ready.items()}
    medians = np.array([[np.median(few[w][name]) for name in names] for w in windows])
    best = windows[int(np.argmax(medians[:, 0] / medians[:, 2]))]
    chosen = _timed(lab, ready[best], max(repeats, LEAST_REPEATS))
    errors = [_errors(each, "naive") for each in ready.values()]
    return {
        "naive-over-fourier": _pair(chosen, "naive", "fourier"),
        "fourier-error": np.array([[max(each.values()) for each in errors]]),
        "crossover-windows": Shown(np.array(windows), "kernel sizes of the crossover"),
        "crossover-seconds": Shown(
            medians,
            f"median seconds, one {size}x{size} image, one channel "
            f"[kernel size; {', '.join(names)}]",
            "s",
            timed=True,
        ),
        "crossover-best": Shown(
            np.array(best), "kernel size where Fourier gains most", timed=True
        ),
    }


def against_loops(key: jax.Array, lab: Lab, repeats: int) -> Metrics:
    """Loops, XLA's convolution and im2col on the shapes of the claim."""
    names = ("naive", "direct", "im2col")
    metrics: dict[str, Any] = {}
    medians, kilobytes, errors = [], [], []
    for name, shape in IM2COL_SHAPES.items():
        ready = _prepare_all(names, key, shape, 1)
        seconds = _timed(lab, ready, max(repeats, LEAST_REPEATS))
        metrics[f"loops-over-im2col/{name}"] = _pair(seconds, "naive", "im2col")
        medians.append([np.median(seconds[each]) for each in names])
        kilobytes.append([ready[each].kilobytes for each in names])
        errors.append(max(_errors(ready, "naive").values()))
    axes = f"[shape: {', '.join(IM2COL_SHAPES)}; loops, XLA, im2col]"
    return metrics | {
        "im2col-error": Grid(np.array([errors]), {"shape": tuple(IM2COL_SHAPES)}),
        "im2col-seconds": Shown(
            np.array(medians), f"median seconds {axes}", "s", timed=True
        ),
        "im2col-memory": Shown(np.array(kilobytes), f"extra memory {axes}", "kB"),
    }


def chart(
    key: jax.Array,
    lab: Lab,
    windows: Sequence[int],
    columns: Mapping[str, Mapping[int, Shape]],
    batch: int,
    repeats: int,
) -> Metrics:
    """Seconds and extra memory of every algorithm over kernel size and one other axis.

    Args:
      columns: axis ("channels", ...) -> its values -> a shape, whose window is
        replaced by each of `windows`.
    """
    metrics: dict[str, Any] = {}
    for axis, shapes in columns.items():
        seconds = np.full((len(windows), len(shapes), len(ALGORITHMS)), np.nan)
        kilobytes, errors = seconds.copy(), seconds.copy()
        for row, window in enumerate(windows):
            for column, base in enumerate(shapes.values()):
                shape = Shape(
                    base.size, base.channels, base.features, window, groups=base.groups
                )
                ready = _prepare_all(ALGORITHMS, key, shape, batch)
                timed, wrong = _timed(lab, ready, repeats), _errors(ready, "direct")
                for place, name in enumerate(ALGORITHMS):
                    if name in ready:
                        cell = (row, column, place)
                        seconds[cell] = np.median(timed[name])
                        kilobytes[cell] = ready[name].kilobytes
                        errors[cell] = wrong.get(name, 0.0)
                lab.progress(row * len(shapes) + column + 1, seconds[..., 0].size, axis)
        label = f"[kernel size; {axis}: {', '.join(map(str, shapes))}; algorithm]"
        metrics[f"seconds/{axis}"] = Shown(
            seconds, f"median seconds {label}", "s", timed=True
        )
        metrics[f"memory/{axis}"] = Shown(kilobytes, f"extra memory {label}", "kB")
        metrics[f"error/{axis}"] = Shown(errors, f"difference from XLA {label}")
        metrics[f"values/{axis}"] = Shown(np.array(list(shapes)), f"{axis} of the map")
    windows_shown = Shown(np.array(windows), "kernel sizes of the map")
    return metrics | {"windows": windows_shown}


def _prepare_all(
    names: Sequence[str], key: jax.Array, shape: Shape, batch: int
) -> dict[str, Compiled]:
    arrays = draw(key, shape, batch)
    ready = {name: prepare(name, shape, *arrays) for name in names}
    return {name: each for name, each in ready.items() if each is not None}


def _timed(
    lab: Lab, ready: Mapping[str, Compiled], repeats: int
) -> dict[str, np.ndarray]:
    return lab.time({name: each.call for name, each in ready.items()}, repeats=repeats)


def _few(repeats: int) -> int:
    return max(3, repeats // 4)


def _errors(ready: Mapping[str, Compiled], reference: str) -> dict[str, float]:
    """‖a − b‖ / ‖b‖ of every other candidate from the reference."""
    wanted = np.asarray(ready[reference].call(), np.float64)
    return {
        name: float(np.linalg.norm(each.call() - wanted) / np.linalg.norm(wanted))
        for name, each in ready.items()
        if name != reference
    }


def _pair(seconds: Mapping[str, np.ndarray], first: str, second: str) -> Timings:
    return Timings(np.stack([seconds[first], seconds[second]], 1))
