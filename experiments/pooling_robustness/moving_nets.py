"""The nets of moving: LeNets that differ in how, and whether, they shrink their maps.

    max         the largest of each 2x2 block
    average     the mean of each 2x2 block
    strided     stride 2 in both convolutions, no pool
    blur        the largest of each 2x2 window at every pixel, [1, 2, 1]/4, every second
    polyphase   of the four grids of every second pixel, the one of the largest norm
    dense-max   the largest of each 2x2 window at every pixel: nothing shrinks
    none        no pool, no stride
    circular    polyphase, circular padding, a global mean on top: all layers commute
                with circular shifts, so a shift by whole pixels changes no logit;
                8 and 32 maps, as their means are all that the dense layers get
    max-normalized, average-normalized
                each pooled image brought to mean 0 and variance 1 behind every pool

The strided twin *is* plain subsampling: a convolution with stride 2 computes those
values of the dense one alone that every second pixel keeps. `SUBSAMPLED` computes them
all and drops the others, and a control holds the two together.
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.models import LeNet
from cnn_jax.ops import avg_pool, max_pool
from experiments.equivariance.nets import MODELS
from experiments.harness import training
from experiments.harness.lab import Lab
from experiments.harness.training import Trained
from experiments.pooling_robustness.moving_images import Task

LOOKS = 2  # at a net, the last one after the last step
LONGER = {"circular": 2}  # times the steps: few numbers come through a mean


def dense_max(inputs: Array) -> Array:
    """The largest of the 2x2 window that begins at each pixel, beyond the end none."""
    return max_pool(inputs, (2, 2), (1, 1), "SAME")


def second_pixels(inputs: Array) -> Array:
    """Every second pixel, the second first: where SAME puts a stride of even sizes."""
    return inputs[:, 1::2, 1::2]


def normalized(inputs: Array) -> Array:
    """Each image [N, H, W, C] less its mean, over its standard deviation.

    Layer normalization without scale and bias of its own; the next layer has both.

    Reference:
      Ba, Kiros and Hinton, Layer normalization, 2016.
    """
    return jax.nn.standardize(inputs, axis=(1, 2, 3))


def _max_normalized(inputs: Array) -> Array:
    return normalized(max_pool(inputs, (2, 2), (2, 2)))


def _average_normalized(inputs: Array) -> Array:
    return normalized(avg_pool(inputs, (2, 2), (2, 2)))


SHIFTED = ("max", "average", "strided", "blur", "polyphase", "none")
NETS: dict[str, LeNet] = {
    **{arm: MODELS[arm] for arm in SHIFTED},
    "dense-max": LeNet(pool=dense_max),
    "circular": MODELS["polyphase"].clone(
        features=(8, 32), head="global", padding="CIRCULAR"
    ),
    "max-normalized": LeNet(pool=_max_normalized),
    "average-normalized": LeNet(pool=_average_normalized),
}
ARMS = tuple(NETS)
NORMALIZED = ("max", "average")  # the pools that are normalized behind, too
SUBSAMPLED = LeNet(pool=second_pixels)

# Of Adam; chosen by `python -m experiments.pooling_robustness.moving_tuning`.
RATES = {
    "max": 5e-3,
    "average": 5e-3,
    "strided": 5e-3,
    "blur": 5e-3,
    "polyphase": 5e-3,
    "none": 2e-3,
    "dense-max": 1e-3,
    "circular": 5e-3,
    "max-normalized": 1e-3,
    "average-normalized": 2e-3,
}


def train(
    keys: Array,
    lab: Lab,
    task: Task,
    arm: str,
    steps: int,
    rates: tuple[float, ...] = (),
) -> Trained:
    """Trains one net on upright images, without augmentation.

    Args:
      keys: [seeds].
      lab: logs and watches.
      task: learned from `train`, watched on `test`.
      arm: one of ARMS.
      steps: of Adam, 32 images each; the arms of LONGER take more.
      rates: learning rate of each seed, the arm's own of RATES by default.
    """
    own = rates or len(keys) * (RATES[arm],)
    steps *= LONGER.get(arm, 1)
    return training.train(
        lab,
        arm,
        NETS[arm],
        *task,
        training.Runs(keys, own),
        steps=steps,
        every=-(-steps // LOOKS),
    )


def apply(net: LeNet, params: Any, images: Array) -> tuple[Array, Array]:
    """What a net answers, and how large its pools' outputs are.

    Args:
      net: with or without pools.
      params: of the net.
      images: [N, H, W, C].

    Returns:
      logits [N, 10], and the root mean square of each image behind every pool
      [pools, N].
    """
    logits, activations = cast(Any, net.apply({"params": params}, images))
    pools = [map_ for name, map_ in activations.items() if name.startswith("pool")]
    sizes = [jnp.sqrt(jnp.mean(jnp.square(each), (1, 2, 3))) for each in pools]
    return logits, jnp.stack(sizes) if sizes else jnp.zeros((0, len(images)))
