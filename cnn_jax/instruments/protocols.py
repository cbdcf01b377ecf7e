"""Shift consistency as papers sample it: agreement of the class over pairs of shifts.

Every protocol draws two shifts for each batch of images, independently and with
replacement, and compares the classes predicted at the two; identical pairs count as
agreeing. The papers define an expectation over images and shifts, and their programs
draw one pair per batch, which has the same mean and a wider spread: `batch_size=1` is
the first, the programs' batch size the second.

    Zhang 2019                     crops of a larger image, offsets 0 to 31 per axis
    Chaman and Dokmanic 2021       circular shifts of -m to m - 1 pixels per axis

All count a constant classifier as perfect; `consistency` measures what is lost.

Shape letters: S shifts, N images, C channels.

Reference: Zhang 2019, Making Convolutional Networks Shift-Invariant Again;
Chaman and Dokmanic 2021, Truly Shift-Invariant Convolutional Neural Networks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cnn_jax.instruments.translations import roll, spatial_axes

Classifier = Callable[[Any, jax.Array], jax.Array]


def consistency_of_crops(
    key: jax.Array,
    apply: Classifier,
    params: Any,
    images: jax.Array,
    *,
    size: Sequence[int],
    num_offsets: int = 32,
    diagonal: bool = False,
    batch_size: int = 64,
) -> jax.Array:
    """Zhang's protocol: do two random crops of one larger image get one class?

        share of n with argmax f(x_n[o : o + size]) = argmax f(x_n[o' : o' + size])

    Args:
        key: typed PRNG key.
        apply: (params, crops [N, *size, C]) -> logits [N, K].
        params: whatever `apply` takes.
        images: [N, *full, C], at least size + num_offsets - 1 per axis.
        size: of the crops, per spatial axis; 224 of 256 in the paper.
        num_offsets: offsets are drawn from 0 to num_offsets - 1.
        diagonal: one offset for all axes, so that images move along the diagonal.
        batch_size: images that share a pair.

    Returns:
        [] share of images whose two crops agree.

    Raises:
        ValueError: images too small for the crops and offsets, or as below.

    Reference: Zhang 2019, Making Convolutional Networks Shift-Invariant Again.
    """
    full = images.shape[1:-1]
    rank = len(spatial_axes(images))
    if len(size) != rank or any(
        small < 1 or small + num_offsets - 1 > large
        for small, large in zip(size, full, strict=False)
    ):
        raise ValueError(
            f"expected images of size + num_offsets - 1 pixels or more per axis, got "
            f"{full} for a size of {tuple(size)} and {num_offsets} offsets"
        )
    drawn = 1 if diagonal else rank
    offsets = _pairs(key, images.shape[0], drawn, 0, num_offsets, batch_size)
    offsets = jnp.broadcast_to(offsets, (*offsets.shape[:2], rank))

    def crop_at(image: jax.Array, offset: jax.Array) -> jax.Array:
        start = (*offset, jnp.zeros((), offset.dtype))
        return jax.lax.dynamic_slice(image, start, (*size, image.shape[-1]))

    return _agreement(apply, params, images, offsets, crop_at)


def consistency_of_rolls(
    key: jax.Array,
    apply: Classifier,
    params: Any,
    images: jax.Array,
    *,
    max_shift: int = 3,
    batch_size: int = 64,
) -> jax.Array:
    """Chaman and Dokmanic's protocol: do two circular shifts get one class?

        share of n with argmax f(roll(x_n, s)) = argmax f(roll(x_n, s'))

    Shifts are drawn from -max_shift to max_shift - 1, as randint(-m, m) does in the
    authors' program: +max_shift never comes.

    Args:
        key: typed PRNG key.
        apply: (params, images) -> logits [N, K].
        params: whatever `apply` takes.
        images: [N, *spatial, C].
        max_shift: pixels, 1 or more; 3 on CIFAR-10 in the authors' program.
        batch_size: images that share a pair.

    Returns:
        [] share of images whose two shifts agree.

    Raises:
        ValueError: a shift of less than a pixel, or as `consistency_of_crops`.

    Reference: Chaman and Dokmanic 2021, Truly Shift-Invariant Convolutional Neural
    Networks.
    """
    rank = len(spatial_axes(images))
    if max_shift < 1:
        raise ValueError(f"expected max_shift of 1 or more, got {max_shift}")
    shifts = _pairs(key, images.shape[0], rank, -max_shift, max_shift, batch_size)

    def rolled(image: jax.Array, shift: jax.Array) -> jax.Array:
        return roll(image[None], shift)[0]

    return _agreement(apply, params, images, shifts, rolled)


def consistency_of_batch_pairs(
    key: jax.Array,
    predictions: ArrayLike,
    candidates: ArrayLike,
    *,
    batch_size: int = 64,
) -> jax.Array:
    """The same from predictions at hand: one pair of known shifts per batch.

    Two shifts are drawn for each batch, independently and with replacement, and
    the classes predicted at the two are compared; identical pairs count as agreeing.
    Zhang 2019 draws offsets of a crop, Chaman and Dokmanic 2021 circular shifts from
    randint(-m, m), which never returns +m: `candidates` says which shifts take part.

    Args:
        key: typed PRNG key.
        predictions: [S, N] classes at S shifts.
        candidates: indices into the S shifts that the protocol may draw.
        batch_size: images that share a pair.

    Returns:
        [] share of images whose two predictions agree.

    Reference: Zhang 2019, Making Convolutional Networks Shift-Invariant Again;
    Chaman and Dokmanic 2021, Truly Shift-Invariant Convolutional Neural Networks.
    """
    predictions = jnp.asarray(predictions)
    num_images = predictions.shape[1]
    num_batches = -(-num_images // batch_size)
    drawn = jax.random.choice(key, jnp.asarray(candidates), (num_batches, 2))
    pair = jnp.repeat(drawn, batch_size, axis=0)[:num_images]
    image = jnp.arange(num_images)
    return jnp.mean(predictions[pair[:, 0], image] == predictions[pair[:, 1], image])


def _pairs(
    key: jax.Array, num_images: int, rank: int, low: int, high: int, batch_size: int
) -> jax.Array:
    """Two shifts in [low, high) per axis for every image: [2, N, rank]."""
    if batch_size < 1:
        raise ValueError(f"expected batch_size of 1 or more, got {batch_size}")
    num_batches = -(-num_images // batch_size)
    drawn = jax.random.randint(key, (2, num_batches, rank), low, high)
    return jnp.repeat(drawn, batch_size, axis=1)[:, :num_images]


def _agreement(
    apply: Classifier,
    params: Any,
    images: jax.Array,
    pairs: jax.Array,
    move: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Share of images whose class is the same after both of their motions."""

    def predict(motions: jax.Array) -> jax.Array:
        return jnp.argmax(apply(params, jax.vmap(move)(images, motions)), axis=-1)

    first, second = jax.lax.map(predict, pairs)
    return jnp.mean((first == second).astype(jnp.float32))
