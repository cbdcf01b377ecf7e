"""What moving its input costs a classifier, over an exhaustive grid of shifts.

Agreement between predictions is no measure of quality: a constant classifier
agrees with itself always. `lost_by_moving` is accuracy that a shift destroys,
whatever the accuracy was; agreement stands beside it for comparison with papers.

Shape letters: S shifts, N images, C channels.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cnn_jax.instruments.translations import slide


def shift_grid(max_shift: int, rank: int = 2) -> np.ndarray:
    """All integer shifts of max-norm up to `max_shift`, nearest to 0 first.

    Args:
        max_shift: pixels, 0 or more.
        rank: number of spatial axes.

    Returns:
        [(2·max_shift + 1)^rank, rank] integers; the first row is 0.

    Raises:
        ValueError: `max_shift` is negative.
    """
    if max_shift < 0:
        raise ValueError(f"expected max_shift of 0 or more, got {max_shift}")
    axis = np.arange(-max_shift, max_shift + 1)
    grid = np.stack(np.meshgrid(*[axis] * rank, indexing="ij"), -1).reshape(-1, rank)
    size = np.abs(grid)
    order = np.lexsort((*(-grid.T[::-1]), size.sum(1), size.max(1)))
    return grid[order].astype(np.int32)


def predict_shifted(
    apply: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    images: jax.Array,
    shifts: ArrayLike,
    *,
    translate: Callable[[jax.Array, jax.Array], jax.Array] = slide,
) -> jax.Array:
    """The class predicted for every image at every shift.

        prediction[s, n] = argmax apply(params, T_s images)[n]

    One shift at a time (`lax.map`), so memory does not grow with the grid.

    Args:
        apply: (params, images) -> logits [N, num_classes].
        params: whatever `apply` takes.
        images: [N, *spatial, C].
        shifts: [S, rank] pixels.
        translate: `slide` (zero fill), `roll` (circular) or `fourier_shift`.

    Returns:
        [S, N] integers.
    """

    def predict(shift: jax.Array) -> jax.Array:
        return jnp.argmax(apply(params, translate(images, shift)), axis=-1)

    return jax.lax.map(predict, jnp.asarray(shifts))


def lost_by_moving(clean: ArrayLike, moved: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Per image, the share of shifts at which a right answer is lost.

        lost[n] = right(clean[n]) - mean over s of right(clean[n])·right(moved[s, n])

    Its mean over images is clean accuracy minus right-at-both. 0 for a net that
    shifts do not touch; a constant classifier scores 0 too, which is why clean
    accuracy is always printed beside it.

    Args:
        clean: [N] classes predicted for the unmoved images.
        moved: [S, N] classes predicted for the moved ones.
        labels: [N].

    Returns:
        [N] in [0, 1].
    """
    clean, moved, labels = map(jnp.asarray, (clean, moved, labels))
    right = (clean == labels).astype(jnp.float32)
    both = (moved == labels[None]).astype(jnp.float32) * right[None]
    return right - jnp.mean(both, axis=0)


def agreement(clean: ArrayLike, moved: ArrayLike) -> jax.Array:
    """Per image, the share of shifts whose class is that of the unmoved image.

    Args:
        clean: [N] classes.
        moved: [S, N] classes.

    Returns:
        [N] in [0, 1].
    """
    clean, moved = jnp.asarray(clean), jnp.asarray(moved)
    return jnp.mean((moved == clean[None]).astype(jnp.float32), axis=0)


def shift_consistency(predictions: ArrayLike) -> jax.Array:
    """Share of ordered pairs of *different* shifts that agree, per image.

        (Σ_c m_c² - S) / (S² - S),  m_c = number of the S shifts predicted as c

    The exhaustive form of the sampled protocols (`consistency_of_batch_pairs`).

    Args:
        predictions: [S, N] classes, S at least 2.

    Returns:
        [N] in [0, 1].

    Raises:
        ValueError: fewer than two shifts.
    """
    predictions = jnp.asarray(predictions)
    num_shifts = predictions.shape[0]
    if num_shifts < 2:
        raise ValueError(f"expected predictions at 2 shifts or more, got {num_shifts}")
    equal = predictions[:, None] == predictions[None, :]
    pairs = jnp.sum(equal, axis=(0, 1)) - num_shifts
    return pairs / (num_shifts**2 - num_shifts)


def consistency_of_batch_pairs(
    key: jax.Array,
    predictions: ArrayLike,
    candidates: ArrayLike,
    *,
    batch_size: int = 64,
) -> jax.Array:
    """Shift consistency as papers sample it: one pair of shifts per batch.

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
