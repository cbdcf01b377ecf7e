"""A task that needs both place and context: name the digit that every ink pixel is in.

Four real digits lie on one canvas, one at a random place of each quadrant; a net
labels every pixel, ink alone is scored. The nets are stacks of 3x3 convolutions that
differ in how they widen their field, at equal multiply-accumulates.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cnn_jax.data import Split
from cnn_jax.layers import Conv
from cnn_jax.ops import (
    Layer,
    max_pool,
    num_macs,
    num_params,
    output_shapes,
    receptive_field,
)

SIDE = 40  # of the canvas
QUADRANT = SIDE // 2
NUM_CLASSES = 10
NO_INK = -1  # label of a pixel that is not scored
WIDTH = 8
DILATIONS = (1, 1, 2, 4, 8, 1)  # Yu and Koltun's context module, cut to the canvas
LAYERS = len(DILATIONS)
SLOPE = 0.1  # below 0: no unit dies, and gradients pass where a canvas is empty


def compose(split: Split, rounds: int, seed: int) -> Split:
    """Canvases of four digits each; every round uses every digit once.

    Args:
      split: images [N, H, W, 1] in [0, 1] with H, W up to 20, and labels [N].
      rounds: how often each image is used.
      seed: of the order and the places.

    Returns:
      images [rounds·⌊N / 4⌋, 40, 40, 1] and labels of every pixel, -1 without ink.
    """
    draw = np.random.RandomState(seed)  # its stream is frozen for good
    num_images, height, width, _ = split.images.shape
    num_canvases = rounds * (num_images // 4)
    images = np.zeros((num_canvases, SIDE, SIDE, 1), np.float32)
    labels = np.full((num_canvases, SIDE, SIDE), NO_INK, np.int32)
    per_round = 4 * (num_images // 4)
    order = np.concatenate(
        [draw.permutation(num_images)[:per_round] for _ in range(rounds)]
    )
    for number, index in enumerate(order):
        canvas, quadrant = divmod(number, 4)
        down, across = divmod(quadrant, 2)
        top = QUADRANT * down + draw.randint(QUADRANT - height + 1)
        left = QUADRANT * across + draw.randint(QUADRANT - width + 1)
        place = (canvas, slice(top, top + height), slice(left, left + width))
        images[place] = split.images[index]
        ink = split.images[index, ..., 0] > 0
        labels[place] = np.where(ink, split.labels[index], NO_INK)
    return Split(images, labels)


def centered(images: np.ndarray) -> np.ndarray:
    """One image in the middle of a canvas: [N, 40, 40, 1]."""
    height, width = images.shape[1:3]
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    pads = ((0, 0), (top, SIDE - height - top), (left, SIDE - width - left), (0, 0))
    return np.pad(images, pads)


def ink_objective(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Mean cross-entropy and accuracy over the pixels with ink."""
    ink = labels != NO_INK
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.where(ink, labels, 0)
    )
    right = jnp.argmax(logits, -1) == labels
    total = jnp.maximum(jnp.sum(ink), 1)
    return jnp.sum(jnp.where(ink, losses, 0)) / total, jnp.sum(right & ink) / total


@dataclass(frozen=True)
class Design:
    """One arm: how its six or so layers widen their field.

    dilations: one 3x3 convolution each, all of `width` features; pools: layers that
    are followed by a 2x2 max pool, the logits being enlarged back; upsampled: whether
    the map doubles in size behind the first layer, the logits being averaged back.
    """

    width: int
    dilations: tuple[int, ...]
    pools: tuple[int, ...] = ()
    upsampled: bool = False

    def layers(self) -> list[Layer]:
        """The stack in the terms of the closed forms, from canvas to logits."""
        layers = []
        for number, dilation in enumerate(self.dilations, start=1):
            layers.append(Layer((3, 3), self.width, kernel_dilation=dilation))
            if number in self.pools:
                layers.append(Layer((2, 2), strides=2, padding="VALID"))
            if self.upsampled and number == 1:
                layers.append(_doubling(self.width))
        layers.append(Layer((1, 1), NUM_CLASSES))
        for _ in self.pools:
            layers.append(_doubling(NUM_CLASSES))
        if self.upsampled:
            layers.append(Layer((2, 2), strides=2, padding="VALID"))
        return layers

    @property
    def num_macs(self) -> int:
        """Multiply-accumulates per canvas, those with padding included.

        Of an enlargement those with pixels alone: it is no convolution in the net.
        """
        layers, total = self.layers(), 0
        shapes = [(SIDE, SIDE, 1), *output_shapes(layers, (SIDE, SIDE, 1))]
        for layer, shape in zip(layers, shapes, strict=False):
            total += num_macs([layer], shape, padded=layer.feature_group_count == 1)
        return total

    @property
    def num_params(self) -> int:
        return sum(num_params([each], c) for each, c in self._convolutions())

    @property
    def field(self) -> int:
        """Edge of the receptive field in pixels of the canvas."""
        return receptive_field(self.layers(), (SIDE, SIDE))[0].size

    def _convolutions(self) -> list[tuple[Layer, int]]:
        """The layers that learn, with the channels they see."""
        learned = [
            each
            for each in self.layers()
            if each.features and each.feature_group_count == 1
        ]
        channels = [1, *(each.features or 0 for each in learned[:-1])]
        return list(zip(learned, channels, strict=True))


def _doubling(channels: int) -> Layer:
    """Bilinear enlargement by 2, as a convolution of the pixels with zeros between."""
    return Layer(
        (4, 4),
        channels,
        input_dilation=2,
        padding=((2, 2), (2, 2)),
        feature_group_count=channels,
        use_bias=False,
    )


def matched_width(target: int, **design) -> Design:
    """The design whose multiply-accumulates come closest to the target's."""
    designs = [Design(width, **design) for width in range(1, 65)]
    return min(designs, key=lambda each: abs(each.num_macs - target))


PLAIN = Design(WIDTH, (1,) * LAYERS)
ARMS: dict[str, Design] = {
    "plain": PLAIN,
    "dilated": Design(WIDTH, DILATIONS),
    "pooled": matched_width(PLAIN.num_macs, dilations=(1,) * LAYERS, pools=(2, 4)),
    "upsampled": matched_width(PLAIN.num_macs, dilations=DILATIONS, upsampled=True),
}


class Labeler(nn.Module):
    """The net of a design: images [N, 40, 40, 1] -> logits [N, 40, 40, 10]."""

    design: Design

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """Returns (logits, activations), the last map among them."""
        design, hidden = self.design, images
        for number, dilation in enumerate(design.dilations, start=1):
            layer = Conv(design.width, (3, 3), kernel_dilation=dilation)
            hidden = nn.leaky_relu(layer(hidden), SLOPE)
            if number in design.pools:
                hidden = max_pool(hidden, (2, 2), (2, 2))
            if design.upsampled and number == 1:
                hidden = _doubled(hidden)
        logits = Conv(NUM_CLASSES, (1, 1))(hidden)
        for _ in design.pools:
            logits = _doubled(logits)
        if design.upsampled:
            shape = (len(images), SIDE, 2, SIDE, 2, NUM_CLASSES)
            logits = jnp.mean(logits.reshape(shape), axis=(2, 4))
        return logits, {"last": hidden}


def _doubled(maps: Array) -> Array:
    """Bilinear: [N, H, W, C] -> [N, 2·H, 2·W, C]."""
    number, height, width, channels = maps.shape
    shape = (number, 2 * height, 2 * width, channels)
    return jax.image.resize(maps, shape, "bilinear")
