"""The laws about the maximum of a window."""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.instruments import roll
from cnn_jax.ops import max_pool
from experiments.harness.claims import Grid, Metrics
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds

WINDOWS = (2, 3, 4, 8)  # each divides IMAGE_SIZE
NUM_WINDOWS = 1000
NUM_IMAGES = 400
IMAGE_SIZE = 48
NUM_LEVELS = 8  # gray levels of the quantized control: ties everywhere


def max_dependence(keys: jax.Array) -> Metrics:
    """max-depends-on-one: which entries of a window the maximum depends on.

    1,000 windows without ties per seed and size. Violations are windows whose
    Jacobian has another number of non-zeros than one, and entries whose change
    (lowering it; replacing it by another draw) changes the output.

    Returns:
        violations/{derivative, lowered, any-change} [seeds, window], counts.
    """
    counts = over_seeds(_violations, brief)(keys)
    axes = {"window": ("2x2", "3x3")}
    return {
        f"violations/{name}": Grid(np.asarray(values), axes)
        for name, values in counts.items()
    }


def _violations(key: jax.Array) -> dict[str, jax.Array]:
    counts = [_violations_of(key, size) for size in (2, 3)]
    return jax.tree.map(lambda *each: jnp.stack(each), *counts)


def maximum(window: jax.Array) -> jax.Array:
    """The one output of max pooling over a window [k, k]."""
    return max_pool(window[None, :, :, None], window.shape).reshape(())


def _violations_of(key: jax.Array, size: int) -> dict[str, jax.Array]:
    order_key, lower_key, change_key = jax.random.split(key, 3)
    shape = (NUM_WINDOWS, size, size)
    # Ranks of random numbers: no two entries of a window are equal.
    drawn = jax.random.uniform(order_key, (NUM_WINDOWS, size * size))
    flat = jnp.argsort(drawn, axis=1).astype(jnp.float32)
    jacobians = jax.vmap(jax.jacobian(maximum))(flat.reshape(shape))
    nonzero = jnp.sum(jacobians != 0, axis=(1, 2))

    def changed(replaced: jax.Array) -> jax.Array:
        """Outputs that change when one entry that is not the maximum is replaced."""
        before = jax.vmap(maximum)(flat.reshape(shape))

        def at(entry: jax.Array) -> jax.Array:
            other = flat.at[:, entry].set(replaced[:, entry]).reshape(shape)
            moved = jax.vmap(maximum)(other) != before
            return jnp.sum(moved & (flat[:, entry] != before))

        return jnp.sum(jax.lax.map(at, jnp.arange(size * size)))

    lowered = flat - jax.random.exponential(lower_key, flat.shape)
    other = jax.random.uniform(change_key, flat.shape, maxval=2.0 * size * size)
    return {
        "derivative": jnp.sum(nonzero != 1),
        "lowered": changed(lowered),
        "any-change": changed(other),
    }


def unchanged_fraction(window: int, shift: tuple[int, int]) -> float:
    """The share of windows whose maximum survives a shift, continuous iid input.

        (k-a)(k-b) / (2k² - (k-a)(k-b))  for the shift (a, b)

    The maximum of both windows' union is unchanged where it lies in both.
    """
    common = (window - shift[0]) * (window - shift[1])
    return common / (2 * window**2 - common)


def unchanged_shares(keys: jax.Array) -> Metrics:
    """max-unchanged-fraction: measured share against the closed form, as z.

    z is the mean over all images of all seeds, less the closed form, over its
    standard error from the spread between images.

    Returns:
        unchanged-z/K and unchanged-z-quantized/K [1, stride, shift], seeds pooled.
    """
    metrics = {}
    for window in WINDOWS:
        shifts = (*((0, d) for d in range(1, window)), (1, 1))
        measure = over_seeds(lambda key, k=window, s=shifts: _shares(key, k, s), brief)
        axes = {"stride": (1, window), "shift": shifts}
        expected = np.asarray([unchanged_fraction(window, shift) for shift in shifts])
        for name, shares in zip(
            ("unchanged-z", "unchanged-z-quantized"), measure(keys), strict=True
        ):
            pooled = np.moveaxis(np.asarray(shares, np.float64), -1, 1)
            pooled = pooled.reshape(-1, *pooled.shape[2:])  # [images, stride, shift]
            error = pooled.std(0, ddof=1) / len(pooled) ** 0.5
            z = (pooled.mean(0) - expected) / error
            metrics[f"{name}/{window}"] = Grid(z[None], axes)
    return metrics


def _shares(key: jax.Array, window: int, shifts) -> tuple[jax.Array, jax.Array]:
    """Unchanged shares per image, of continuous and quantized input.

    One circular map of maxima at stride 1 holds those of every shift and stride: two
    entries as far apart as the shift are the maxima before and after it.

    Returns:
        Two arrays [stride, shift, images].
    """
    images = jax.random.uniform(key, (NUM_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 1))
    quantized = jnp.floor(images * NUM_LEVELS) / NUM_LEVELS
    both = jnp.concatenate([images, quantized])
    maxima = max_pool(both, (window, window), padding="CIRCULAR")

    def at(shift: jax.Array) -> jax.Array:
        same = (roll(maxima, shift) == maxima)[..., 0]
        strided = same[:, ::window, ::window]
        return jnp.stack([jnp.mean(same, (1, 2)), jnp.mean(strided, (1, 2))])

    shares = jnp.moveaxis(jax.lax.map(at, jnp.asarray(shifts)), 0, 1)
    return shares[..., :NUM_IMAGES], shares[..., NUM_IMAGES:]
