"""deeper-worse-optima: where nets too small for their data end, by depth.

    h_l = tanh(h_l-1 @ K_l + b_l),   l = 1 ... depth, WIDTH units each
    loss = ½ mean ‖h_depth @ K + b − one-hot label‖²

over all training digits at once, in float64, until the norm of the gradient is below
TOLERANCE of what it was at the start: by L-BFGS, and where that has not arrived after
its iterations, from there by Newton's method in a trust region, on the whole Hessian.
The log tells which of them arrived. What slows both is a curved valley where most units
of the first layer are saturated: its floor is flat and its walls are steep. The squared
error, because its optima are places: where classes can be separated, those of the
cross-entropy lie at infinity.

A small gradient does not make a minimum. Beside each end stands the curvature there,
the smallest eigenvalue of the Hessian: where it is above zero the end is a minimum;
below, the loss still falls along some direction, by curvature · distance² / 2, and the
end is a saddle, or lies on the floor of such a valley. It is shown and not judged, with
the number of ends at each depth that are minima.

A replicate is one restart of each depth, and its number the slope of ln(loss) over the
depths. Layers of one width make depth no variable of its own: deeper nets have more
parameters too, 310 to 410, so that a slope is that of both.
"""

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from cnn_jax.data import Split
from experiments.gradient_vanishing.minimization import (
    METHODS,
    TOLERANCE,
    Budget,
    Hessian,
    Objective,
    minimize,
)
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab

WIDTH = 4  # less than the rank that ten classes need
DEPTHS = (1, 2, 4, 6)  # hidden layers
LEAST_RESTARTS = 10  # per depth, of all seeds, below which no slope is judged
CLASSES = 10


def init(generator: np.random.Generator, sizes: list[int]) -> list[tuple]:
    """Glorot's normal kernels and zero biases."""
    return [
        (
            generator.normal(size=(before, after)) * (2 / (before + after)) ** 0.5,
            np.zeros(after),
        )
        for before, after in itertools.pairwise(sizes)
    ]


def outputs(params: Any, h: Array) -> Array:
    """[N, pixels] -> [N, CLASSES]"""
    for kernel, bias in params[:-1]:
        h = jnp.tanh(h @ kernel + bias[None])
    kernel, bias = params[-1]
    return h @ kernel + bias[None]


def num_parameters(pixels: int, depth: int) -> int:
    """Of a net of `depth` hidden layers."""
    sizes = [pixels] + [WIDTH] * depth + [CLASSES]
    return sum((before + 1) * after for before, after in itertools.pairwise(sizes))


def _problem(
    sizes: list[int], images: Array, labels: Array
) -> tuple[Objective, Hessian, Callable[[np.ndarray], float]]:
    """The loss with its gradient, its Hessian, and the error of flat params [P]."""
    _, unravel = ravel_pytree(init(np.random.default_rng(0), sizes))
    targets = jax.nn.one_hot(labels, CLASSES, dtype=images.dtype)

    def loss(flat: Array, images: Array, targets: Array) -> Array:
        gaps = outputs(unravel(flat), images) - targets
        return jnp.mean(jnp.sum(gaps**2, axis=1)) / 2

    def error(flat: Array, images: Array, targets: Array) -> Array:
        guesses = jnp.argmax(outputs(unravel(flat), images), 1)
        return jnp.mean(guesses != jnp.argmax(targets, 1))

    def hessian(flat: Array, images: Array, targets: Array) -> Array:
        """A column at a time, which is four times as fast as all of them at once."""
        gradient = jax.grad(loss)
        _, product = jax.linearize(lambda at: gradient(at, images, targets), flat)
        return lax.map(product, jnp.eye(len(flat), dtype=flat.dtype))

    def given(function: Callable, jit: Callable = jax.jit) -> Callable:
        jitted = jit(function)
        return lambda flat: jitted(jnp.asarray(flat), images, targets)

    return given(jax.value_and_grad(loss)), given(hessian, brief), given(error, brief)


class Optimum(NamedTuple):
    """An end, and what is there.

    Attributes:
      loss: over all digits.
      error: share of digits that it is wrong about.
      curvature: smallest eigenvalue of the Hessian.
      left, method, calls: as of `End`.
    """

    loss: float
    error: float
    curvature: float
    left: float
    method: str
    calls: int


def _optima(
    images: Array, labels: Array, depth: int, seeds: list[list[int]], budget: Budget
) -> Iterator[Optimum]:
    """Where the nets of one depth end that are drawn from the seeds."""
    sizes = [images.shape[1]] + [WIDTH] * depth + [CLASSES]
    objective, hessian, error = _problem(sizes, images, labels)
    for seed in seeds:
        start = ravel_pytree(init(np.random.default_rng(seed), sizes))[0]
        end = minimize(objective, hessian, np.asarray(start), budget)
        yield Optimum(
            loss=float(objective(end.params)[0]),
            error=float(error(end.params)),
            curvature=float(np.linalg.eigvalsh(np.asarray(hessian(end.params)))[0]),
            left=end.left,
            method=end.method,
            calls=end.calls,
        )


def optima(
    keys: Array, lab: Lab, digits: Split, restarts: int, budget: Budget
) -> Metrics:
    """deeper-worse-optima, in full batches.

    Returns:
        as `_judged` and `_beside`.
    """
    entropy = np.asarray(jax.random.key_data(keys)).reshape(len(keys), -1)
    images = digits.images.reshape(len(digits.labels), -1)
    found = np.empty((len(keys), len(DEPTHS), restarts), object)
    with jax.enable_x64(True):
        pixels = jnp.asarray((images - images.mean()) / images.std(), jnp.float64)
        labels = jnp.asarray(digits.labels)
        for column, depth in enumerate(DEPTHS):
            places = list(np.ndindex(len(keys), restarts))
            starts = [[*entropy[seed], depth, restart] for seed, restart in places]
            ends = _optima(pixels, labels, depth, starts, budget)
            for (seed, restart), end in zip(places, ends, strict=True):
                found[seed, column, restart] = end
                where = {"depth": depth, "seed": seed, "restart": restart}
                lab.log("optimum", **where, **end._asdict())
    return {**_judged(found), **_beside(found, images.shape[1])}


def _each(found: np.ndarray, name: str) -> np.ndarray:
    """One attribute of optima [seeds, depths, restarts]."""
    return np.vectorize(operator.attrgetter(name))(found)


def _judged(found: np.ndarray) -> Metrics:
    """What the rule and its controls are about, of optima [seeds, depths, restarts].

    Returns:
        loss-slope [seeds · restarts], per layer: of ln(loss) over depth, by least
        squares over one restart of each depth; gradient-left [seeds, depth]: the
        largest share of a restart; least-error [seeds]: of all its nets, in %.
    """
    logs = np.log(_each(found, "loss"))
    depths = np.asarray(DEPTHS) - np.mean(DEPTHS)
    slopes = np.einsum("sdr,d->sr", logs, depths) / np.sum(depths**2)
    return {
        "loss-slope": slopes.ravel(),
        "gradient-left": _each(found, "left").max(2),
        "least-error": 100 * _each(found, "error").min((1, 2)),
    }


def _beside(found: np.ndarray, pixels: int) -> Metrics:
    """What is shown of optima [seeds, depths, restarts]."""
    layers = f"hidden layers {', '.join(map(str, DEPTHS))}"
    methods = _each(found, "method")
    return {
        "optima": Shown(
            _each(found, "loss"),
            f"train loss where the gradient is below {TOLERANCE:g} of its start [seed; "
            f"{layers}; restart]",
        ),
        "optima-curvatures": Shown(
            _each(found, "curvature"),
            f"smallest eigenvalue of the Hessian there, a minimum where it is above 0 "
            f"[seed; {layers}; restart]",
        ),
        "optima-ends": Shown(
            _table(found, pixels), "where the small nets end, by depth"
        ),
        "optima-methods": Shown(
            np.stack([(methods == name).sum((0, 2)) for name in METHODS], axis=1),
            f"restarts by what arrived [{layers}; {', '.join(METHODS)}]",
        ),
        "optima-parameters": Shown(
            np.asarray([num_parameters(pixels, depth) for depth in DEPTHS]),
            f"parameters [{layers}]",
        ),
        "optima-errors": Shown(
            100 * _each(found, "error").mean((0, 2)),
            f"train error there, mean [{layers}]",
            "%",
        ),
    }


def _table(found: np.ndarray, pixels: int) -> np.ndarray:
    """In words: depths and what is at their ends [1 + depths, columns]."""
    losses, curvatures = _each(found, "loss"), _each(found, "curvature")
    header = ("hidden layers", "parameters", "ends", "minima", "mean train loss")
    rows = [
        (
            str(depth),
            str(num_parameters(pixels, depth)),
            str(curvatures[:, place].size),
            str(np.sum(curvatures[:, place] > 0)),
            f"{losses[:, place].mean():.4f}",
        )
        for place, depth in enumerate(DEPTHS)
    ]
    return np.asarray([header, *rows])
