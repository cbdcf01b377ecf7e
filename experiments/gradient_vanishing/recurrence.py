"""How the gradient through a plain recurrent network grows with distance.

h_t = φ(h_t-1 @ U + b) without inputs; n = WIDTH units. One program holds all arms of a
row: the activation is a number, and arms and draws are looped over.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.instruments import carry_jacobians, log_jacobian_norms, lyapunov_slopes
from cnn_jax.ops import rnn_step
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds

WIDTH = 64
DISTANCES = (1, 2, 4, 8, 16, 32, 64, 100, 200, 400)
NEAR, FAR = 100, 400  # between which the growth rate must not change
RATE_FLOOR = 0.01  # nats per step: below it nothing grows or shrinks
GAINS = (0.5, 1, 4)
ISOMETRIES = ("orthogonal-linear", "identity-relu")
SCALED = {"half": 0.5, "fourfold": 4.0}  # orthogonal matrices, whose rate is known

EXPLOSION_GAINS = (1, 2, 4, 8, 16)
BIASES = ("bias-0", "centered")
EXPLOSION_DISTANCE = 200
EXPLODED_LOG_NORM = 3  # of the Jacobian
LEAST_DRAWS = 100  # of all seeds, below which no share is judged

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda z: z,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
}
ACTIVATIONS = ("linear", "tanh", "sigmoid")
ARMS = (*(f"{name}-{gain}" for name in ACTIVATIONS for gain in GAINS), *ISOMETRIES)


class Net(NamedTuple):
    """A recurrent network without inputs: kernel [n, n], bias [n], start h_0 [n].

    `activation` is a place in FUNCTIONS.
    """

    activation: Array
    kernel: Array
    bias: Array
    start: Array


def log_norms(net: Net, distances: tuple[int, ...]) -> Array:
    """log10 ‖∂h_d/∂h_0‖ at each distance."""
    size = len(net.start)
    params = {
        "i": {"kernel": jnp.zeros((1, size)), "bias": net.bias},
        "h": {"kernel": net.kernel},
    }

    def activation(z: Array) -> Array:
        return lax.switch(net.activation, list(FUNCTIONS.values()), z)

    def step(params: dict, carry: Array, inputs: Array) -> tuple[Array, Array]:
        return rnn_step(params, carry, inputs, activation=activation)

    nothing = jnp.zeros((max(distances), 1))
    jacobians = carry_jacobians(step, params, net.start, nothing)
    return log_jacobian_norms(jacobians, distances)


def stacked(nets: Mapping[str, Net]) -> Net:
    """The nets as one, with a leading axis to map over."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *nets.values())


def _net(activation: str, kernel: Array, start: Array, bias: Array | None = None):
    index = jnp.asarray(list(FUNCTIONS).index(activation))
    bias = jnp.zeros_like(start) if bias is None else bias
    # A linear net has one Jacobian everywhere, and its state would leave the floats.
    start = jnp.zeros_like(start) if activation == "linear" else start
    return Net(index, kernel, bias, start)


def _growing(key: Array) -> dict[str, Net]:
    """The nets of rnn-gradient-exponential, and those of its control."""
    entries, start = normals(key, (WIDTH, WIDTH), (WIDTH,))
    rotation, _ = jnp.linalg.qr(entries)
    nets = {
        f"{name}-{gain}": _net(name, gain * entries / WIDTH**0.5, start)
        for name in ACTIVATIONS
        for gain in GAINS
    }
    nets["orthogonal-linear"] = _net("linear", rotation, start)
    nets["identity-relu"] = _net("relu", jnp.eye(WIDTH), start)
    for name, scale in SCALED.items():
        nets[name] = _net("linear", scale * rotation, start)
    return nets


def growth(keys: Array) -> Metrics:
    """rnn-gradient-exponential: λ at the far distance, and how much it has changed.

    Returns:
        rate/{arm} and rate-change/{arm} [seeds]; rate-error [seeds], of scaled
        orthogonal matrices; "growth", the log norms.
    """

    def measure(key: Array) -> Array:
        nets = stacked(_growing(key))
        return lax.map(lambda net: log_norms(net, DISTANCES), nets)

    logs = over_seeds(measure, brief)(keys)  # [seed, arm, distance]
    slopes = np.asarray(
        jax.vmap(jax.vmap(lambda log: lyapunov_slopes(log, DISTANCES)))(logs)
    )
    near, far = (slopes[..., DISTANCES.index(d)] for d in (NEAR, FAR))
    change = np.abs(far - near) / np.maximum(np.abs(far), RATE_FLOOR)
    known = far[:, len(ARMS) :] - np.log(list(SCALED.values()))
    metrics: dict = {"rate-error": np.abs(known).max(axis=1)}
    for place, arm in enumerate(ARMS):
        metrics[f"rate/{arm}"] = np.abs(far[:, place])
        metrics[f"rate-change/{arm}"] = change[:, place]
    metrics["growth"] = Shown(
        np.asarray(logs)[:, : len(ARMS)],
        f"log10 of the norm of the gradient through a plain RNN [seed; "
        f"{', '.join(ARMS)}; distance {', '.join(map(str, DISTANCES))}]",
    )
    metrics["rates"] = Shown(
        far[:, : len(ARMS)].mean(0),
        f"growth rate at distance {FAR}, mean of the seeds [{', '.join(ARMS)}]",
        "nats per step",
    )
    return metrics


def entries() -> Metrics:
    """small-entries-vanish: norms of powers of matrices of equal entries.

    Returns:
        norm/{small, large} [1]; log-norm/{below, full} [1] of the controls' matrices.
    """
    ones = jnp.ones((WIDTH, WIDTH))
    kernels = {
        "small": ones / WIDTH,
        "large": 5 * jnp.triu(ones, 1),
        "below": 0.9 * ones / WIDTH,
        "full": 5 * ones,
    }
    nets = {name: _net("linear", each, each[0]) for name, each in kernels.items()}

    @brief
    def measure(nets: Net) -> Array:
        return lax.map(lambda net: log_norms(net, (EXPLOSION_DISTANCE,)), nets)

    logs = dict(zip(nets, np.asarray(measure(stacked(nets)), float), strict=True))
    return {
        "norm/small": 10 ** logs["small"],
        "norm/large": 10 ** logs["large"],
        "log-norm/below": logs["below"],
        "log-norm/full": logs["full"],
    }


def _sigmoids(key: Array) -> dict[str, Net]:
    """The nets of sigmoid-rarely-explodes, and that of its control."""
    entries, start = normals(key, (WIDTH, WIDTH), (WIDTH,))
    kernel = entries / WIDTH**0.5
    nets = {}
    for gain in EXPLOSION_GAINS:
        middle = -gain * kernel.sum(0) / 2  # at h = 1/2 every sum is then zero
        for name, bias in zip(BIASES, (None, middle), strict=True):
            nets[f"{gain}-{name}"] = _net("sigmoid", gain * kernel, start, bias)
    nets["tanh"] = _net("tanh", 4 * kernel, start)
    return nets


EXPLOSION_ARMS = tuple(f"{gain}-{bias}" for gain in EXPLOSION_GAINS for bias in BIASES)


def explosions(keys: Array, draws: int) -> Metrics:
    """sigmoid-rarely-explodes: in how many draws of the kernel the norm passes 10³.

    Returns:
        exploded/{arm} [seeds · draws, 2]: hits and 1; exploded/tanh, the control's.
    """

    def one(key: Array) -> Array:
        nets = stacked(_sigmoids(key))
        distances = (EXPLOSION_DISTANCE,)
        return lax.map(lambda net: log_norms(net, distances), nets)[:, 0]

    def measure(key: Array) -> Array:
        return lax.map(one, jax.random.split(key, draws))

    logs = np.asarray(over_seeds(measure, brief)(keys)).reshape(len(keys) * draws, -1)
    metrics: dict = {
        f"exploded/{arm}": np.stack(
            [log > EXPLODED_LOG_NORM, np.ones(len(log))], axis=1
        )
        for arm, log in zip((*EXPLOSION_ARMS, "tanh"), logs.T, strict=True)
    }
    metrics["sigmoid-norms"] = Shown(
        logs,
        f"log10 of the norm at distance {EXPLOSION_DISTANCE} [draw; sigmoid with "
        f"{', '.join(EXPLOSION_ARMS)}, and tanh with gain 4]",
    )
    return metrics
