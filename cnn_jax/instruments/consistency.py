"""What moving its input costs a classifier, over an exhaustive grid of motions.

Agreement between predictions is no measure of quality: a constant classifier
agrees with itself always. `lost_by_moving` is accuracy that a shift destroys,
whatever the accuracy was; agreement stands beside it for comparison with papers
(`protocols` holds theirs), and the change of the logits where no class flips.

Every measure is one number per image, so that `accuracy_interval` can judge it.

Shape letters: S shifts (or other motions), N images, C channels, K classes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from cnn_jax.instruments.translations import slide


def shift_grid(
    max_shift: int, rank: int = 2, *, steps_per_pixel: int = 1
) -> np.ndarray:
    """All shifts of max-norm up to `max_shift`, nearest to 0 first.

    Args:
        max_shift: pixels, 0 or more.
        rank: number of spatial axes.
        steps_per_pixel: 1 for whole pixels, 2 for halves too, and so on.

    Returns:
        [(2·max_shift·steps_per_pixel + 1)^rank, rank] pixels, integers if
        steps_per_pixel is 1, else floats (for `fourier_shift`); the first row is 0.

    Raises:
        ValueError: `max_shift` is negative, or fewer than one step per pixel.
    """
    if max_shift < 0:
        raise ValueError(f"expected max_shift of 0 or more, got {max_shift}")
    if steps_per_pixel < 1:
        raise ValueError(f"expected 1 step per pixel or more, got {steps_per_pixel}")
    reach = max_shift * steps_per_pixel
    axis = np.arange(-reach, reach + 1)
    grid = np.stack(np.meshgrid(*[axis] * rank, indexing="ij"), -1).reshape(-1, rank)
    size = np.abs(grid)
    order = np.lexsort((*(-grid.T[::-1]), size.sum(1), size.max(1)))
    ordered = grid[order].astype(np.int32)
    if steps_per_pixel == 1:
        return ordered
    return ordered.astype(np.float32) / np.float32(steps_per_pixel)


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
        translate: `slide` (zero fill), `roll` (circular), `fourier_shift`,
            `partial(slide, border="REFLECT")` or `partial(crop, size=...)`.

    Returns:
        [S, N] integers.
    """

    def predict(params: Any, images: jax.Array) -> jax.Array:
        return jnp.argmax(apply(params, images), axis=-1)

    return logits_moved(predict, params, images, shifts, move=translate)


def logits_moved(
    apply: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    images: jax.Array,
    motions: ArrayLike,
    *,
    move: Callable[[jax.Array, jax.Array], jax.Array] = slide,
) -> jax.Array:
    """The logits of every image under every motion; `predict_shifted` keeps the class.

        logits[s, n] = apply(params, T_s images)[n]

    Args:
        apply: (params, images) -> logits [N, K].
        params: whatever `apply` takes.
        images: [N, *spatial, C].
        motions: [S, ...], what `move` takes: shifts in pixels [S, rank], angles in
            degrees [S] for `rotate`, factors [S] for `rescale`.
        move: (images, motion) -> images.

    Returns:
        [S, N, K].
    """
    return jax.lax.map(
        lambda motion: apply(params, move(images, motion)), jnp.asarray(motions)
    )


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


def logit_change(clean: ArrayLike, moved: ArrayLike) -> jax.Array:
    """Per image, how far its logits move, in units of how far images lie apart.

        change[n] = mean over s of ‖moved[s, n] - clean[n]‖ / spread
        spread = √(mean over n of ‖clean[n] - mean over images of clean‖²)

    The spread makes nets of different confidence comparable: doubling all logits
    changes nothing. 1 means that a motion matters as much as another image would.

    Args:
        clean: [N, K] logits of the unmoved images.
        moved: [S, N, K] logits of the moved ones.

    Returns:
        [N], without unit; 0 where nothing changes, also for a constant net.

    Raises:
        ValueError: moved logits that are not [S, N, K] of the clean ones.
    """
    clean, moved = jnp.asarray(clean), jnp.asarray(moved)
    if clean.ndim != 2 or moved.shape[1:] != clean.shape:
        raise ValueError(
            f"expected logits [N, K] and moved ones [S, N, K], got {clean.shape} and "
            f"{moved.shape}"
        )
    clean, moved = clean.astype(jnp.float32), moved.astype(jnp.float32)
    apart = jnp.linalg.norm(clean - jnp.mean(clean, axis=0, keepdims=True), axis=-1)
    spread = jnp.sqrt(jnp.mean(jnp.square(apart)))
    change = jnp.mean(jnp.linalg.norm(moved - clean[None], axis=-1), axis=0)
    return jnp.where(change == 0, 0.0, change / spread)


def shift_consistency(predictions: ArrayLike) -> jax.Array:
    """Share of ordered pairs of *different* shifts that agree, per image.

        (Σ_c m_c² - S) / (S² - S),  m_c = number of the S shifts predicted as c

    The exhaustive form of the sampled protocols (`protocols`).

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
