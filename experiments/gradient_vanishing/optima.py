"""deeper-worse-optima: where nets too small for their data end, by depth.

    h_l = tanh(h_l-1 @ K_l + b_l),   l = 1 ... depth, WIDTH units each
    loss = ½ mean ‖h_depth @ K + b − one-hot label‖²

over all training digits at once, by L-BFGS in float64 until the norm of the gradient is
below TOLERANCE of what it was at the start. The squared error, because its optima are
places: where classes can be separated, those of the cross-entropy lie at infinity.
"""

import itertools
from typing import Any

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
CLASSES = 10


class _Arrived(Exception):
    """The gradient is small enough."""


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


def minimize(
    objective: Any, start: np.ndarray, budget: int
) -> tuple[np.ndarray, float]:
    """L-BFGS until the gradient is TOLERANCE of its norm at the start.

    Args:
        objective: params [P] -> (loss, gradient [P]).
        start: [P].
        budget: the most iterations.

    Returns:
        (params where it stopped, norm of the gradient there over that at the start).
    """
    first = np.linalg.norm(objective(start)[1])
    at, share = start, 1.0

    def evaluate(params: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal at, share
        loss, gradient = objective(params)
        now = float(np.linalg.norm(gradient) / first)
        if now < TOLERANCE:
            at, share = params.copy(), now
            raise _Arrived
        return float(loss), np.asarray(gradient)

    limits = {"maxiter": budget, "maxfun": 20 * budget, "maxcor": MEMORY}
    try:
        found = scipy.optimize.minimize(
            evaluate,
            start,
            jac=True,
            method="L-BFGS-B",
            options={**limits, "ftol": 0, "gtol": 0},
        )
    except _Arrived:
        return at, share
    return found.x, float(np.linalg.norm(objective(found.x)[1]) / first)


def _descents(seeds: list[Any], images: Array, labels: Array, depth: int, budget: int):
    """(loss, error, share of the gradient left) of every start: [starts, 3]."""
    sizes = [images.shape[1]] + [WIDTH] * depth + [CLASSES]
    _, unravel = ravel_pytree(init(np.random.default_rng(0), sizes))
    targets = jax.nn.one_hot(labels, CLASSES, dtype=images.dtype)

    @jax.jit
    def objective(flat: Array, images: Array, targets: Array) -> tuple[Array, Array]:
        def loss(flat: Array) -> Array:
            gaps = outputs(unravel(flat), images) - targets
            return jnp.mean(jnp.sum(gaps**2, axis=1)) / 2

        return jax.value_and_grad(loss)(flat)

    found = []
    for seed in seeds:
        start = ravel_pytree(init(np.random.default_rng(seed), sizes))[0]
        flat, left = minimize(
            lambda flat: objective(flat, images, targets), np.asarray(start), budget
        )
        guesses = jnp.argmax(outputs(unravel(jnp.asarray(flat)), images), 1)
        loss = objective(flat, images, targets)[0]
        found.append([float(loss), float(jnp.mean(guesses != labels)), left])
    return found


def optima(keys: Array, lab: Lab, digits: Split, restarts: int, budget: int) -> Metrics:
    """Slope of log loss over depth, by least squares over a seed's restarts.

    Returns:
        loss-slope [seeds], per layer; gradient-left [seeds, depth]: the largest share
        of a restart; least-error [seeds]: of all its nets, in %.
    """
    entropy = np.asarray(jax.random.key_data(keys)).reshape(len(keys), -1)
    images = digits.images.reshape(len(digits.labels), -1)
    found = np.empty((len(keys), len(DEPTHS), restarts, 3))
    with jax.enable_x64(True):
        pixels = jnp.asarray((images - images.mean()) / images.std(), jnp.float64)
        labels = jnp.asarray(digits.labels)
        for column, depth in enumerate(DEPTHS):
            starts = [[*seed, depth, i] for seed in entropy for i in range(restarts)]
            ends = _descents(starts, pixels, labels, depth, budget)
            found[:, column] = np.reshape(ends, (len(keys), restarts, 3))
            lab.log("optima", depth=depth, loss=found[:, column, :, 0].mean())
    logs = np.log(found[..., 0])
    depths = np.asarray(DEPTHS) - np.mean(DEPTHS)
    return {
        "loss-slope": logs.mean(2) @ depths / np.sum(depths**2),
        "gradient-left": found[..., 2].max(2),
        "least-error": 100 * found[..., 1].min((1, 2)),
        "optima": Shown(
            found[..., 0],
            f"train loss where the gradient is below {TOLERANCE:g} of its start, or "
            "after --iterations "
            f"[seed; hidden layers {', '.join(map(str, DEPTHS))}; restart]",
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
