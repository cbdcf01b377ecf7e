"""deeper-worse-optima: where nets too small for their data end, by depth.

    h_l = tanh(h_l-1 @ K_l + b_l),   l = 1 ... depth, WIDTH units each
    loss = ½ mean ‖h_depth @ K + b − one-hot label‖²

over all training digits at once, in float64, until the norm of the gradient is below
TOLERANCE of what it was at the start: by L-BFGS, and where that has not arrived after
its iterations, from there by Newton's method in a trust region, on the whole Hessian.
The log tells which of them arrived. What stalls L-BFGS is a valley where most units of
the first layer are saturated: there the Hessian is indefinite, and its eigenvalues lie
between 0 and 300, most of them below 1e-4. The squared error, because its optima are
places: where classes can be separated, those of the cross-entropy lie at infinity.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax import Array
from jax.flatten_util import ravel_pytree

from cnn_jax.data import Split
from experiments.harness.claims import Metrics, Shown
from experiments.harness.lab import Lab

WIDTH = 4  # less than the rank that ten classes need
DEPTHS = (1, 2, 4, 6)  # hidden layers
TOLERANCE = 1e-3
MEMORY = 20  # pairs that L-BFGS keeps
NEWTON = 100  # the most iterations of Newton's method
METHODS = ("L-BFGS", "Newton", "stalled")
CLASSES = 10

Objective = Callable[[np.ndarray], tuple[Any, Any]]
Hessian = Callable[[np.ndarray], Any]


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


class End(NamedTuple):
    """Where a minimization stopped.

    Attributes:
      params: [P].
      left: norm of the gradient there over that at the start.
      method: the one that arrived, or "stalled".
      calls: evaluations of the gradient.
    """

    params: np.ndarray
    left: float
    method: str
    calls: int


class _Visited:
    """The objective, whose gradient is remembered where it was taken last."""

    def __init__(self, objective: Objective, start: np.ndarray) -> None:
        self._objective = objective
        self._first = np.linalg.norm(objective(start)[1])
        self._at = np.full_like(start, np.nan)
        self._left = np.inf
        self.calls = 0

    def evaluate(self, params: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = self._objective(params)
        self.calls += 1
        self._at = params.copy()
        self._left = float(np.linalg.norm(gradient) / self._first)
        return float(loss), np.asarray(gradient)

    def left(self, params: np.ndarray) -> float:
        """Norm of the gradient over that at the start."""
        if not np.array_equal(params, self._at):
            self.evaluate(params)
        return self._left

    def stop(self, intermediate_result: scipy.optimize.OptimizeResult) -> None:
        """After every step that was taken; points that are only tried do not count."""
        if self.left(intermediate_result.x) < TOLERANCE:
            raise StopIteration


def minimize(
    objective: Objective, hessian: Hessian, start: np.ndarray, budget: int
) -> End:
    """L-BFGS, then Newton's method, until TOLERANCE of the gradient is left.

    Args:
        objective: params [P] -> (loss, gradient [P]).
        hessian: params [P] -> [P, P].
        start: [P].
        budget: the most iterations of L-BFGS.
    """
    visited = _Visited(objective, start)
    at = start
    limits = {"maxiter": budget, "maxfun": 20 * budget, "maxcor": MEMORY}
    methods = {
        "L-BFGS": ("L-BFGS-B", {}, {**limits, "ftol": 0, "gtol": 0}),
        "Newton": ("trust-exact", {"hess": hessian}, {"maxiter": NEWTON, "gtol": 0}),
    }
    for name, (method, more, options) in methods.items():
        at = scipy.optimize.minimize(
            visited.evaluate,
            at,
            jac=True,
            method=method,
            options=options,
            callback=visited.stop,
            **more,
        ).x
        if visited.left(at) < TOLERANCE:
            return End(at, visited.left(at), name, visited.calls)
    return End(at, visited.left(at), METHODS[-1], visited.calls)


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

    def given(function: Callable) -> Callable:
        jitted = jax.jit(function)
        return lambda flat: jitted(jnp.asarray(flat), images, targets)

    return given(jax.value_and_grad(loss)), given(jax.hessian(loss)), given(error)


def _descents(
    seeds: list[Any], images: Array, labels: Array, depth: int, budget: int
) -> tuple[list[list[float]], list[End]]:
    """(loss, error, share of the gradient left) of every start, and its end."""
    sizes = [images.shape[1]] + [WIDTH] * depth + [CLASSES]
    objective, hessian, error = _problem(sizes, images, labels)
    ends = []
    for seed in seeds:
        start = ravel_pytree(init(np.random.default_rng(seed), sizes))[0]
        ends.append(minimize(objective, hessian, np.asarray(start), budget))
    found = [
        [float(objective(end.params)[0]), float(error(end.params)), end.left]
        for end in ends
    ]
    return found, ends


def optima(keys: Array, lab: Lab, digits: Split, restarts: int, budget: int) -> Metrics:
    """Slope of log loss over depth, by least squares over a seed's restarts.

    Returns:
        loss-slope [seeds], per layer; gradient-left [seeds, depth]: the largest share
        of a restart; least-error [seeds]: of all its nets, in %.
    """
    entropy = np.asarray(jax.random.key_data(keys)).reshape(len(keys), -1)
    images = digits.images.reshape(len(digits.labels), -1)
    found = np.empty((len(keys), len(DEPTHS), restarts, 3))
    methods = []
    with jax.enable_x64(True):
        pixels = jnp.asarray((images - images.mean()) / images.std(), jnp.float64)
        labels = jnp.asarray(digits.labels)
        for column, depth in enumerate(DEPTHS):
            starts = [[*seed, depth, i] for seed in entropy for i in range(restarts)]
            values, ends = _descents(starts, pixels, labels, depth, budget)
            found[:, column] = np.reshape(values, (len(keys), restarts, 3))
            methods.append([end.method for end in ends])
            for start, value, end in zip(starts, values, ends, strict=True):
                status = dict(zip(("loss", "error", "left"), value, strict=True))
                status |= {"method": end.method, "calls": end.calls}
                lab.log("optimum", depth=depth, restart=start[-1], **status)
    logs = np.log(found[..., 0])
    depths = np.asarray(DEPTHS) - np.mean(DEPTHS)
    return {
        "loss-slope": logs.mean(2) @ depths / np.sum(depths**2),
        "gradient-left": found[..., 2].max(2),
        "least-error": 100 * found[..., 1].min((1, 2)),
        "optima": Shown(
            found[..., 0],
            f"train loss where the gradient is below {TOLERANCE:g} of its start [seed; "
            f"hidden layers {', '.join(map(str, DEPTHS))}; restart]",
        ),
        "optima-methods": Shown(
            np.asarray([[m.count(name) for name in METHODS] for m in methods]),
            f"restarts by what arrived [hidden layers {', '.join(map(str, DEPTHS))}; "
            f"{', '.join(METHODS)}]",
        ),
        "optima-parameters": Shown(
            np.asarray([num_parameters(images.shape[1], depth) for depth in DEPTHS]),
            f"parameters [hidden layers {', '.join(map(str, DEPTHS))}]",
        ),
        "optima-errors": Shown(
            100 * found[..., 1].mean((0, 2)),
            f"train error there, mean [hidden layers {', '.join(map(str, DEPTHS))}]",
            "%",
        ),
    }
