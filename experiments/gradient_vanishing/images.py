"""Digits in the size that every net of this experiment takes, whatever their source."""

import numpy as np

from cnn_jax.data import Split

EDGE = 8  # pixels
MOST = 1437  # as many as the data set digits has to train on


def small(split: Split) -> Split:
    """The first MOST images [N, H, H, C] at EDGE × EDGE pixels.

    Larger ones get zeros around them up to a multiple of EDGE, as many on either side,
    and are averaged over blocks: MNIST's 28 × 28 pixels become 32 × 32 and then 8 × 8,
    which is how those of digits were made.
    """
    images, labels = split.first(MOST)
    block = -(-images.shape[1] // EDGE)
    missing = block * EDGE - images.shape[1]
    around = missing // 2, missing - missing // 2
    wide = np.pad(images, ((0, 0), around, around, (0, 0)))
    blocks = wide.reshape(len(wide), EDGE, block, EDGE, block, -1)
    return Split(blocks.mean((2, 4), dtype=images.dtype), labels)
