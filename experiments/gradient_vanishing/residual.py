"""Residual networks and their plain twins: what the first layer gets, what is learned.

Twins have the same layers and parameters; their batch norms always use the statistics
of the batch at hand.
"""

import dataclasses
import math
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cnn_jax.data import Split
from cnn_jax.instruments import log_activation_gradients
from cnn_jax.models import ResNet
from cnn_jax.training import Config, Data, State, chunk
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals, over_seeds

BATCH = 32
# The last one is the control's: gradients have to vanish there.
DESIGNS: dict[str, dict[str, Any]] = {
    "residual": {},
    "plain": {"residual": False},
    "plain-sigmoid": {"residual": False, "norm": None, "activation": nn.sigmoid},
}
# Of Adam, chosen on validation digits by `tuning`.
RATES = {"residual": 2e-3, "plain": 2e-3}
CHUNK = 20  # steps between two looks at the loss


def initial(key: Array, net: nn.Module, image_shape: tuple[int, ...]) -> Any:
    """Params: He's normal kernels, scales 1, biases 0; one draw compiles faster."""
    shapes = jax.eval_shape(net.init, key, jnp.zeros((1, *image_shape)))["params"]
    drawn = [leaf.shape for leaf in jax.tree.leaves(shapes) if leaf.ndim > 1]
    kernels = iter(normals(key, *drawn))

    def fill(path: Any, leaf: Any) -> Array:
        if leaf.ndim > 1:
            return (2 / math.prod(leaf.shape[:-1])) ** 0.5 * next(kernels)
        return jnp.full(leaf.shape, float(path[-1].key == "scale"))

    return jax.tree_util.tree_map_with_path(fill, shapes)


def _start(key: Array, config: Config) -> State:
    """The state of a training before its first step."""
    init_key, data_key = jax.random.split(key)
    params = initial(init_key, config.model, config.image_shape)
    step = jnp.zeros((), jnp.int32)
    return State(params, config.optimizer.init(params), step, data_key)


def bounded(logs: np.ndarray) -> np.ndarray:
    """log10 of norms, at least that of the smallest normal float32.

    Below it a gradient is 0, as that of 110 layers of sigmoids is: at most so large.
    """
    return np.maximum(logs, np.log10(np.finfo(np.float32).tiny))


def log_ratio(name: str, keys: Array, digits: Split, depth: int) -> Metrics:
    """resnet-no-vanishing: log10 ‖∂L/∂h_1‖ / ‖∂L/∂h_last‖ of one design.

    Returns:
        first-over-last/{name} [seeds]; gradient-by-layer/{name}.
    """
    net = ResNet(depth=depth, **DESIGNS[name])

    def measure(key: Array, digits: Split) -> Array:
        choice, init_key = jax.random.split(key)
        chosen = jax.random.randint(choice, (BATCH,), 0, len(digits.labels))
        images, labels = digits.images[chosen], digits.labels[chosen]

        def loss(logits: Array) -> Array:
            return jnp.mean(
                optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            )

        variables = {"params": initial(init_key, net, images.shape[1:])}
        found = log_activation_gradients(net.apply, variables, images, loss)
        return jnp.stack([found[f"layer{layer}"] for layer in range(1, depth)])

    profiles = bounded(np.asarray(over_seeds(measure, brief)(keys, digits)))
    return {
        f"first-over-last/{name}": profiles[:, 0] - profiles[:, -1],
        f"gradient-by-layer/{name}": Shown(
            profiles.mean(0),
            f"log10 of the gradient that reaches each layer of the {name} network, "
            "mean of the seeds [layer]",
        ),
    }


def train(
    name: str,
    keys: Array,
    lab: Lab,
    digits: Split,
    watched: Split,
    size: tuple[int, int],
    rates: Array,
    on_nonfinite: str = "stop",
) -> np.ndarray:
    """Trains one design with Adam.

    Args:
        name: one of RATES.
        keys: [runs].
        lab: logs and watches.
        digits: what is learned.
        watched: whose error is taken, all at once.
        size: depth, 6n + 2, and steps of BATCH digits each.
        rates: learning rates [runs].
        on_nonfinite: as of `Lab.fit`.

    Returns:
        error as a share [runs].
    """
    depth, steps = size
    net = ResNet(depth=depth, **DESIGNS[name])
    config = Config(
        net,
        digits.images.shape[1:],
        batch_size=BATCH,
        chunk_steps=min(CHUNK, steps),
    )

    def advance(run: tuple[Any, State], data: Data) -> tuple[Any, dict]:
        rate, state = run
        now = dataclasses.replace(config, learning_rate=rate)
        after, log = chunk(state, data, now)
        return (rate, after), log

    states = over_seeds(partial(_start, config=config), brief)(keys)
    _, trained = lab.fit(
        over_seeds(advance, brief),
        (rates, states),
        Data(*map(jnp.asarray, (*digits, 0, steps))),
        num_chunks=-(-steps // config.chunk_steps),
        label=f"ResNet, {name}",
        on_nonfinite=on_nonfinite,
    )

    def error(params: Any, watched: Split) -> Array:
        logits, _ = net.apply({"params": params}, watched.images)
        return jnp.mean(jnp.argmax(logits, -1) != watched.labels)

    return np.asarray(over_seeds(error, brief)(trained.params, watched))


def learning(
    name: str, keys: Array, lab: Lab, digits: Split, depth: int, steps: int
) -> Metrics:
    """The train error of one design, in %: train-error/{name} [nets]."""
    rates = jnp.full(len(keys), RATES[name])
    errors = train(name, keys, lab, digits, digits, (depth, steps), rates)
    return {
        f"train-error/{name}": 100 * errors,
        "resnet-steps": Shown(
            np.asarray([steps]), "steps of the trained residual networks"
        ),
    }


def gap(metrics: Metrics) -> Metrics:
    """resnet-motivation: plain-less-residual [nets], points of train error."""
    plain, residual = (
        np.asarray(metrics[f"train-error/{name}"]) for name in ("plain", "residual")
    )
    return {"plain-less-residual": plain - residual}
