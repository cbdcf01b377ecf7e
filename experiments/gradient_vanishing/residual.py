"""What reaches the first layer of a residual network, and of its plain twin."""

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
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds

BATCH = 32
# The last one is the control's: gradients have to vanish there.
DESIGNS: dict[str, dict[str, Any]] = {
    "residual": {},
    "plain": {"residual": False},
    "plain-sigmoid": {"residual": False, "norm": None, "activation": nn.sigmoid},
}


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

        variables = net.init(init_key, images)
        found = log_activation_gradients(net.apply, variables, images, loss)
        return jnp.stack([found[f"layer{layer}"] for layer in range(1, depth)])

    profiles = np.asarray(over_seeds(measure, brief)(keys, digits))
    return {
        f"first-over-last/{name}": profiles[:, 0] - profiles[:, -1],
        f"gradient-by-layer/{name}": Shown(
            profiles.mean(0),
            f"log10 of the gradient that reaches each layer of the {name} network, "
            "mean of the seeds [layer]",
        ),
    }
