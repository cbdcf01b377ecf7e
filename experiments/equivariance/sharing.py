"""Is it sharing that makes a layer equivariant? Shared, tiled and unshared kernels."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnn_jax.instruments import equivariance_error, shift_grid
from cnn_jax.layers import ConvLocal
from cnn_jax.ops import conv, locally_connected, tiled_conv
from cnn_jax.training import Config, Data, chunk, init
from experiments.equivariance.geometry import SIZE, WIDTH, labels
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals, over_seeds

TILES = (2, 3)  # both divide SIZE
INDIVISIBLE_TILES = (5, 8)  # neither does
STEPS = 50


def sharing_errors(keys: jax.Array, photographs: np.ndarray, max_shift: int) -> Metrics:
    """sharing-gives-equivariance: one circular layer; shared, tiled, unshared kernels.

    Returns:
        sharing/{shared, unshared, equal} [seeds, shift]; sharing/tiled-aligned (shifts
        that are multiples of the tile) and -misaligned [seeds, tile, shift];
        sharing/indivisible: tiles that do not divide the map, all shifts.
    """
    shifts = shift_grid(max(max_shift, *TILES))[1:]  # some multiple of every tile
    values = over_seeds(_sharing, brief)(keys, jnp.asarray(photographs), shifts)
    values = {name: np.asarray(array) for name, array in values.items()}
    shift_axis = {"shift": labels(shifts)}
    metrics = {
        f"sharing/{name}": Grid(values[name], shift_axis)
        for name in ("shared", "unshared", "equal")
    }
    aligned = np.stack([np.all(shifts % tile == 0, axis=1) for tile in TILES])
    axes = {"tile": TILES, **shift_axis}
    metrics["sharing/tiled-aligned"] = Grid(values["tiled"], axes, aligned)
    metrics["sharing/tiled-misaligned"] = Grid(values["tiled"], axes, ~aligned)
    axes = {"tile": INDIVISIBLE_TILES, **shift_axis}
    metrics["sharing/indivisible"] = Grid(values["indivisible"], axes)
    return metrics


def _sharing(key: jax.Array, images: jax.Array, shifts: jax.Array) -> dict:
    """One seed's errors by name: [shift], or [tile, shift]."""
    window = (3, 3, 1, WIDTH)
    tiles = (*TILES, *INDIVISIBLE_TILES)
    one, independent, *tiled = normals(
        key, window, (SIZE, SIZE, *window), *((tile, tile, *window) for tile in tiles)
    )

    def shared_layer(kernel: jax.Array, images: jax.Array) -> jax.Array:
        return conv(images, kernel, padding="CIRCULAR", algorithm="direct")

    def tiled_layer(kernel: jax.Array, images: jax.Array) -> jax.Array:
        return tiled_conv(images, kernel, padding="CIRCULAR")

    def unshared_layer(kernel: jax.Array, images: jax.Array) -> jax.Array:
        kernel = kernel.reshape(SIZE, SIZE, 9, WIDTH)
        return locally_connected(
            images, kernel, window_shape=(3, 3), padding="CIRCULAR"
        )

    def worst(apply: Callable, kernel: jax.Array) -> jax.Array:
        def at(shift: jax.Array) -> jax.Array:
            return jnp.max(equivariance_error(apply, kernel, images, shift))

        return jax.lax.map(at, shifts)

    by_tile = jnp.stack([worst(tiled_layer, kernel) for kernel in tiled])
    return {
        "shared": worst(shared_layer, one),
        "equal": worst(unshared_layer, jnp.broadcast_to(one, (SIZE, SIZE, *window))),
        "unshared": worst(unshared_layer, independent),
        "tiled": by_tile[: len(TILES)],
        "indivisible": by_tile[len(TILES) :],
    }


def _equal_kernels(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32):
    """One draw of a kernel, repeated at every position: [*out, window·C, features]."""
    one = nn.initializers.lecun_normal()(key, shape[-2:], dtype)
    return jnp.broadcast_to(one, shape)


class Unshared(nn.Module):
    """Locally connected on a circle, then dense: (logits, activations)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        layer = ConvLocal(4, (3, 3), padding="CIRCULAR", kernel_init=_equal_kernels)
        maps = nn.relu(layer(images))
        logits = nn.Dense(10)(maps.reshape(len(maps), -1))
        return logits, {"maps": maps}


def equal_kernels_after_training(keys: jax.Array, lab: Lab) -> Metrics:
    """The equivariance error of kernels that start equal, after 50 steps of Adam.

    Returns:
        "unsharing" [seeds, before and after], the worst over shifts of one pixel and
        the first 64 test digits.
    """
    digits = lab.data("digits")
    config = Config(Unshared(), digits.train.images.shape[1:], chunk_steps=STEPS)
    examples = Data(
        jnp.asarray(digits.train.images),
        jnp.asarray(digits.train.labels),
        jnp.asarray(0),
        jnp.asarray(STEPS),
    )
    measure = over_seeds(_worst_error(config.model), brief)
    images = jnp.asarray(digits.test.images[:64])
    states = brief(jax.vmap(functools.partial(init, config=config)))(keys)
    before = measure(states.params, images)
    step = over_seeds(functools.partial(chunk, config=config), brief)
    states = lab.fit(step, states, examples, num_chunks=1, label="unshared")
    after = measure(states.params, images)
    return {
        "unsharing": Shown(
            np.stack([before, after], 1),
            "equivariance error of unshared kernels that start equal "
            f"[seed; before, after {STEPS} steps]",
        )
    }


def _worst_error(model: nn.Module) -> Callable:
    shifts = jnp.asarray(shift_grid(1)[1:])

    def measure(params, images: jax.Array) -> jax.Array:
        def maps(params, images):
            return model.apply({"params": params}, images)[1]["maps"]

        def at(shift: jax.Array) -> jax.Array:
            return jnp.max(equivariance_error(maps, params, images, shift))

        return jnp.max(jax.lax.map(at, shifts))

    return measure
