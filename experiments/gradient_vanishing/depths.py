"""What reaches the first of 20 layers, or of 20 steps, of a random network.

    MLP: h_l = φ(h_l-1 @ K_l),   h_0 digits, with their labels
    RNN: h_l = φ(h_l-1 @ K + x_l @ V),   h_0 = 0, random inputs and random labels

    ratio = log10 (‖∂L/∂h_1‖ / ‖∂L/∂h_20‖),   L the cross-entropy of h_20 @ W

The MLP draws a kernel for each layer, the RNN one kernel K that all steps share. Both
are one step over time, whose output is the carry it was given: so a last step can
read h_20 out, and the gradient of every h_l comes back scaled. One program holds all
activations, initializations and both networks; they share their normal draws.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.data import Split
from cnn_jax.instruments import log_carry_gradients
from cnn_jax.ops import batch_statistics, maxout, normalize, prelu, rrelu
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds

LAYERS = 20
WIDTH = 64  # pixels of a digit, units of a layer
BATCH = 128
CLASSES = 10
PIECES = 2  # linear functions of a maxout unit
EXPLODED_LOG_RATIO = 1  # of the first gradient to the last

NETS = ("mlp", "rnn")
INITS = ("glorot", "he", "orthogonal")
KIN = ("relu", "leaky", "prelu", "rrelu", "maxout")
SATURATING = ("sigmoid", "tanh")
NORMALIZED = ("bn-relu", "bn-tanh", "bn-sigmoid")
NORMALIZED_INIT = "glorot"  # a batch norm undoes a kernel's scale


def _first(function: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """Of sums [N, PIECES·n], pieces of a unit adjacent, the first piece alone."""
    return lambda sums, key: function(sums[:, ::PIECES])


def _normal(sums: Array) -> Array:
    return normalize(sums, batch_statistics(sums))


# (sums [N, PIECES·n], key) -> [N, n]
ACTIVATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "sigmoid": _first(jax.nn.sigmoid),
    "tanh": _first(jnp.tanh),
    "relu": _first(jax.nn.relu),
    "leaky": _first(jax.nn.leaky_relu),
    "prelu": _first(lambda sums: prelu(sums, 0.25)),
    "rrelu": lambda sums, key: rrelu(sums[:, ::PIECES], key),
    "maxout": lambda sums, key: maxout(sums, PIECES),
    "bn-relu": _first(lambda sums: jax.nn.relu(_normal(sums))),
    "bn-tanh": _first(lambda sums: jnp.tanh(_normal(sums))),
    "bn-sigmoid": _first(lambda sums: jax.nn.sigmoid(_normal(sums))),
}


class Task(NamedTuple):
    """What the two networks are given; axis M is that of NETS.

    Attributes:
      kernels: [M, inits, steps, n, PIECES·n].
      drives: [M, steps, N, n], x_l @ V.
      starts: [M, N, n], h_0.
      labels: [M, N].
      readout: [n, classes].
      keys: [steps].
    """

    kernels: Array
    drives: Array
    starts: Array
    labels: Array
    readout: Array
    keys: Array


def profile(task: Task, activation: Array, init: Array, net: Array) -> Array:
    """log10 ‖∂L/∂h_l‖ for l = 0 ... LAYERS of one network."""

    def step(params: Array, carry: Array, now: tuple) -> tuple[Array, Array]:
        kernel, drive, key = now
        sums = carry @ kernel + jnp.repeat(drive, PIECES, axis=1)
        return lax.switch(params, list(ACTIVATIONS.values()), sums, key), carry

    def loss(outputs: Array) -> Array:
        logits = outputs[-1] @ task.readout
        chosen = jnp.take_along_axis(logits, task.labels[net][:, None], axis=1)
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen[:, 0])

    inputs = task.kernels[net, init], task.drives[net], task.keys
    return log_carry_gradients(step, activation, task.starts[net], inputs, loss)


def draw(key: Array, digits: Split) -> Task:
    """Random networks of every kind, a batch of digits and one of sequences."""
    key, *others = jax.random.split(key, 4)
    num_steps = LAYERS + 1  # the last one reads out
    entries, sequence, into, readout = normals(
        key,
        (num_steps, PIECES, WIDTH, WIDTH),
        (num_steps, BATCH, WIDTH),
        (WIDTH, WIDTH),
        (WIDTH, CLASSES),
    )
    # One matrix at a time, as in `log_jacobian_norms`.
    each = entries.reshape(-1, WIDTH, WIDTH)
    rotations = lax.map(lambda one: jnp.linalg.qr(one)[0], each).reshape(entries.shape)
    glorot = entries / WIDTH**0.5
    drawn = jnp.stack([glorot, 2**0.5 * glorot, rotations])
    by_unit = jnp.moveaxis(drawn, 2, -1).reshape(*drawn.shape[:2], WIDTH, -1)
    tied = jnp.broadcast_to(by_unit[:, :1], by_unit.shape)
    chosen = jax.random.randint(others[0], (BATCH,), 0, len(digits.labels))
    images = digits.images[chosen].reshape(BATCH, WIDTH)
    images = (images - digits.images.mean()) / digits.images.std()
    random_labels = jax.random.randint(others[1], (BATCH,), 0, CLASSES)
    drives = sequence @ into / WIDTH**0.5
    return Task(
        jnp.stack([by_unit, tied]),
        jnp.stack([jnp.zeros_like(drives), drives]),
        jnp.stack([images, jnp.zeros_like(images)]),
        jnp.stack([digits.labels[chosen], random_labels]),
        readout / WIDTH**0.5,
        jax.random.split(others[2], num_steps),
    )


def ratios(keys: Array, digits: Split) -> Metrics:
    """relu-solves-vanishing and batch-norm-solves-vanishing.

    Returns:
        log-ratio/{activation}-{init}-{net} and log-ratio/{bn-...}-{net} [seeds].
    """
    grid = len(ACTIVATIONS), len(INITS), len(NETS)

    def measure(key: Array, digits: Split) -> Array:
        task = draw(key, digits)
        arms = jnp.meshgrid(*map(jnp.arange, grid), indexing="ij")
        flat = tuple(arm.ravel() for arm in arms)
        return lax.map(lambda arm: profile(task, *arm), flat)

    profiles = np.asarray(over_seeds(measure, brief)(keys, digits))
    profiles = profiles.reshape(len(keys), *grid, LAYERS + 1)
    logs = profiles[..., 1] - profiles[..., LAYERS]
    axes = f"{', '.join(ACTIVATIONS)}; {', '.join(INITS)}; {', '.join(NETS)}"
    return {
        **_by_arm(logs),
        "gradient-profiles": Shown(
            profiles.mean(0),
            f"log10 of the gradient that reaches layer or step 0 to {LAYERS}, mean of "
            f"the seeds [{axes}; layer]",
        ),
        "log-ratios": Shown(
            logs, f"log10 of the first gradient over the last [seed; {axes}]"
        ),
        "exploded": Shown(
            (logs > EXPLODED_LOG_RATIO).mean(0),
            "share of seeds whose first gradient is above "
            f"{10**EXPLODED_LOG_RATIO} times the last [{axes}]",
        ),
    }


def _by_arm(logs: np.ndarray) -> Metrics:
    """log-ratio/... [seeds] of [seeds, activations, inits, nets]."""
    metrics: dict = {}
    for place, (activation, init, net) in enumerate(
        itertools.product(ACTIVATIONS, INITS, NETS)
    ):
        log = logs.reshape(len(logs), -1)[:, place]
        if activation not in NORMALIZED:
            metrics[f"log-ratio/{activation}-{init}-{net}"] = log
        elif init == NORMALIZED_INIT:
            metrics[f"log-ratio/{activation}-{net}"] = log
    return metrics
