"""averaging-denoises: what a weighted average does to noise, and to a photograph."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import conv
from experiments.convolution_identities.sides import Sides, direct_conv, layer_matrix
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.seeds import cut, normals, over_seeds

EDGE = 256  # of what is cut from the middle of each photograph
LEVELS = (0.02, 0.05, 0.1, 0.2)  # standard deviation of the noise, of full scale
JUDGED = 0.1
# Weights per axis, integers; a filter is their outer product, divided by its sum.
FILTERS = {
    "binomial 3x3": (1, 2, 1),
    "mean 3x3": (1, 1, 1),
    "binomial 5x5": (1, 4, 6, 4, 1),
}
MAP = 9


def filters() -> list[np.ndarray]:
    """The weights of every filter, [k, k], nearer pixels weighing more or as much."""
    outer = [np.outer(each, each) for each in FILTERS.values()]
    return [(each / each.sum()).astype(np.float32) for each in outer]


def variance_sides(weights: jax.Array, size: int) -> Sides:
    """Variance of a filtered iid noise of variance 1; and the sum of squared weights.

    Args:
      weights: [k, k].
      size: edge of the map.

    Returns:
      The diagonal of M Mᵀ, with M the layer's matrix; Σw² everywhere. [outputs].
    """
    layer = functools.partial(
        direct_conv, kernel=weights[..., None, None], padding="VALID"
    )
    variance = jnp.sum(layer_matrix(layer, (size, size, 1)) ** 2, axis=1)
    return variance, jnp.full_like(variance, jnp.sum(weights**2))


def variances(numbers: jax.Array) -> Metrics:
    """averaging-denoises/variance, of the filters and of random positive weights.

    Returns:
        averaging-denoises/variance [seeds, filter], |variance / (σ²Σw²) - 1| from the
        layer's matrix, and .../below [seeds, filter], 1 - Σw².
    """

    def measure(numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
        (drawn,) = cut(jnp.abs(numbers), (3, 3))
        every = [*map(jnp.asarray, filters()), drawn / jnp.sum(drawn)]
        pairs = [variance_sides(weights, MAP) for weights in every]
        ratios = [jnp.max(jnp.abs(left / right - 1)) for left, right in pairs]
        below = [1 - jnp.sum(weights**2) for weights in every]
        return jnp.stack(ratios), jnp.stack(below)

    ratios, below = map(np.asarray, over_seeds(measure)(numbers))
    axes = {"filter": (*FILTERS, "random 3x3")}
    return {
        "averaging-denoises/variance": Grid(ratios, axes),
        "averaging-denoises/below": Grid(below, axes),
    }


def total_errors(keys: jax.Array, photographs: Mapping[str, np.ndarray]) -> Metrics:
    """averaging-denoises/total-error: does filtering bring it nearer?

    Normal noise is added to the middle of every photograph, and the error is the root
    mean square over all pixels whose window lies inside, and over seeds.

    Args:
        keys: [seeds].
        photographs: name -> [H, W, 1], no smaller than EDGE.

    Returns:
        averaging-denoises/total-error [photographs], error filtered over raw, binomial
        3x3 at noise 0.1; "error-ratios" [photographs, level, filter].
    """
    clean = jnp.asarray(np.stack([middle(each) for each in photographs.values()]))
    squares = over_seeds(_squared_errors)(keys, clean)
    raw, filtered = np.split(np.asarray(squares, np.float64).sum(0), [1], axis=-1)
    ratios = np.sqrt(filtered / raw).swapaxes(0, 1)
    judged = ratios[:, LEVELS.index(JUDGED), 0]
    return {
        "averaging-denoises/total-error": judged,
        "error-ratios": Shown(
            ratios,
            "total error, filtered over raw: photographs in alphabetical order, noise "
            f"{', '.join(map(str, LEVELS))}, filters {', '.join(FILTERS)}",
        ),
    }


def middle(photograph: np.ndarray) -> np.ndarray:
    """The middle EDGE x EDGE pixels of a photograph [H, W, 1]."""
    top, left = ((size - EDGE) // 2 for size in photograph.shape[:2])
    return photograph[top : top + EDGE, left : left + EDGE]


def _squared_errors(key: jax.Array, clean: jax.Array) -> jax.Array:
    """Mean squared error [level, photograph, raw and each filter], one seed."""
    every = filters()
    widest = max(map(len, every))
    margins = [(widest - len(each)) // 2 for each in every]
    # All filters are features of one convolution, in windows of one size.
    padded = [np.pad(each, margin) for each, margin in zip(every, margins, strict=True)]
    kernel = jnp.stack([jnp.asarray(each) for each in padded], -1)[:, :, None]
    edge = widest // 2
    inside = clean[:, edge:-edge, edge:-edge]

    (noise,) = normals(key, clean.shape)

    def at(level: jax.Array) -> jax.Array:
        noisy = clean + level * noise
        filtered = conv(noisy, kernel, padding="VALID")
        guesses = jnp.concatenate([noisy[:, edge:-edge, edge:-edge], filtered], -1)
        return jnp.mean((guesses - inside) ** 2, axis=(1, 2))

    return jax.lax.map(at, jnp.asarray(LEVELS))
