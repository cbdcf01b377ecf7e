"""What a shift by one pixel changes in what pools give.

    y = pool(x), every window at stride 1;  Δ = y[p + 1] - y[p], along either axis

y[p + 1] is what the window p of the image moved by one pixel gives, and stride 1 holds
the windows of every stride and start: the pool of another stride takes some of them.

    unchanged   share of the windows with |Δ| <= 1e-6 · max |y| of the image, among
                those whose old and new pixels are not all equal
    relative    ‖Δ‖ / ‖y‖
    centered    ‖Δ‖ / ‖y - ȳ‖, ȳ the mean of a channel over images and places

Each is the mean over both axes; norms are over images, places and channels. Plain
subsampling, which is the first pixel of each window, is looked at in the same windows.

Signals: independent U(0, 1); test images that the seed draws; and of these the maps
behind the first ReLU of the seed's trained net (those behind the second are shown).
All of them are channels of one array, and all pools and sizes go through one program:
every pool on its own would be compiled for a minute.

Letters: N images, H edge of the array, C channels, S signals. A channel's own edge may
be smaller than H; zeros fill the rest, and windows that meet them do not count.
"""

from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.models import LeNet
from cnn_jax.ops import (
    avg_pool,
    gaussian_pool,
    lp_pool,
    max_pool,
    min_pool,
    stochastic_pool,
)

POOLS = ("max", "avg", "l2", "distance-weighted", "stochastic")
SUBSAMPLING = "subsampling"  # beside them, the last row of every table
ROWS = (*POOLS, SUBSAMPLING)
SIZES = (2, 3, 4, 8)
SIGNALS = ("uniform", "images", "trained")
SHOWN = (*SIGNALS, "second layer")
NUM_IMAGES = 100  # drawn by each seed, at most
UNIFORM = 4  # channels of U(0, 1) beside the image and its maps
TOLERANCE = 1e-6
AXES = (1, 2)  # of the shifts
RIVALS, RIVAL_SIZE = ("max", "avg"), SIZES[0]
LIMITS = tuple(float(step) for step in np.geomspace(1e-3, 10, 41))


class Channels(NamedTuple):
    """The channels of an array: edge of the map [C], and of which signal [S, C]."""

    edges: Array
    signals: Array


class Sums(NamedTuple):
    """Of all windows, summed over images, places and a signal's channels.

    Attributes:
      same: windows that vary and did not change [size, row, axis, signal].
      varying: windows whose old and new pixels are not all equal [size, axis, signal].
      squares: mean Δ² [size, row, axis, signal].
      power: mean y² [size, row, signal].
      spread: mean (y - ȳ)² [size, row, signal].
    """

    same: Any
    varying: Any
    squares: Any
    power: Any
    spread: Any


def pools(inputs: Array, size: int) -> dict[str, Array]:
    """What each row gives of every window, stride 1: [N, H, H, C] -> [N, h, h, C]."""
    window, last = (size, size), inputs.shape[1] - size + 1
    return {
        "max": max_pool(inputs, window),
        "avg": avg_pool(inputs, window),
        "l2": lp_pool(inputs, 2, window),
        "distance-weighted": gaussian_pool(inputs, window),
        "stochastic": stochastic_pool(inputs, window),
        SUBSAMPLING: inputs[:, :last, :last],
    }


def following(outputs: Array, axis: int) -> Array:
    """What the next window along an axis gives; nonsense behind the last one."""
    return jnp.roll(outputs, -1, axis)


def varying(largest: Array, least: Array, axis: int) -> Array:
    """Whether the pixels of a window and of the next one are not all equal.

    Args:
      largest, least: of each window [N, H, H, C].
      axis: of the shift, 1 or 2.
    """
    top = jnp.maximum(largest, following(largest, axis))
    return top > jnp.minimum(least, following(least, axis))


def inside(edges: Array, length: int, size: Array | int, axis: int = 0) -> Array:
    """Which windows lie in the map, and the next one along the axis too.

    Args:
      edges: of the channels' maps [C].
      length: H.
      size: of the window.
      axis: 1 or 2; 0 is none.

    Returns:
      [1, H, H, C].
    """
    place = jnp.arange(length)[:, None]
    first, second = (
        place < (edges - size + (0 if axis == each else 1))[None] for each in AXES
    )
    return (first[:, None] & second[None])[None]


def unchanged(outputs: Array, axis: int, signals: Array) -> Array:
    """Where |Δ| <= 1e-6 · max |y|, the maximum of an image's channels of one signal.

    Args:
      outputs: [N, H, H, C].
      axis: of the shift, 1 or 2.
      signals: which channels belong to which signal, booleans [S, C], each to one.
    """
    largest = jnp.max(jnp.abs(outputs), (1, 2))  # [N, C]
    of_signal = jnp.max(jnp.where(signals[None], largest[:, None], 0), 2)  # [N, S]
    scale = of_signal[:, jnp.argmax(signals, 0)]
    change = jnp.abs(following(outputs, axis) - outputs)
    return change <= TOLERANCE * scale[:, None, None]


def sums_of(inputs: Array, channels: Channels) -> Sums:
    """What a shift by one pixel changes, all pools and sizes.

    Args:
      inputs: [N, H, H, C], not negative.
      channels: of the inputs.
    """

    def framed(outputs: Array) -> Array:
        missing = inputs.shape[1] - outputs.shape[1]
        return jnp.pad(outputs, ((0, 0), (0, missing), (0, missing), (0, 0)))

    every, least = [], []
    for size in SIZES:
        outputs = pools(inputs, size)
        every.append(jnp.stack([framed(outputs[row]) for row in ROWS]))
        least.append(framed(min_pool(inputs, (size, size))))
    windows = jnp.stack(every), jnp.stack(least), jnp.asarray(SIZES)
    return jax.lax.map(partial(_sums_of_size, channels), windows)


def _sums_of_size(channels: Channels, windows: tuple[Array, Array, Array]) -> Sums:
    """Of what all rows give [row, N, H, H, C], the least values, and the size."""
    (edges, signals), (every, least, size) = channels, windows
    number, length = least.shape[:2]
    whole = inside(edges, length, size)
    pairs = [inside(edges, length, size, axis) for axis in AXES]
    masks = [
        varying(every[0], least, axis) & pair
        for axis, pair in zip(AXES, pairs, strict=True)
    ]

    def total(by_channel: list[Array]) -> Array:
        """One [C] for each axis -> [axis, S]."""
        stacked = jnp.stack(by_channel)[:, None]
        return jnp.sum(jnp.where(signals[None], stacked, 0), -1)

    def mean(values: Array, valid: Array) -> Array:
        """Over images and places, [1, 1, 1, C]."""
        axes = (1, 2)
        places = jnp.sum(valid, axes, keepdims=True)
        sums = jnp.sum(jnp.where(valid, values, 0), axes, keepdims=True)
        return jnp.sum(sums / places, 0, keepdims=True) / number

    def mean_squares(values: list[Array], valid: list[Array]) -> Array:
        squares = [
            mean(jnp.square(each), own).reshape(-1)
            for each, own in zip(values, valid, strict=True)
        ]
        return total(squares) / jnp.sum(signals, 1)[None]

    def of_row(outputs: Array) -> tuple[Array, ...]:
        outputs = jnp.where(whole, outputs, 0)
        same = [
            jnp.sum(unchanged(outputs, axis, signals) & mask, (0, 1, 2))
            for axis, mask in zip(AXES, masks, strict=True)
        ]
        steps = [following(outputs, axis) - outputs for axis in AXES]
        sizes = mean_squares([outputs, outputs - mean(outputs, whole)], [whole, whole])
        return total(same), mean_squares(steps, pairs), *sizes

    same, squares, power, spread = jax.lax.map(of_row, every)
    counts = [jnp.sum(mask, (0, 1, 2)) for mask in masks]
    return Sums(same, total(counts), squares, power, spread)


def steps_within(maps: Array) -> Array:
    """How the sizes of the changes are distributed, maximum and average of 2x2.

    Args:
      maps: [N, H, H, C].

    Returns:
      share of the varying windows, shifts along either axis, with |Δ| <= t · rms(maps)
      for every t of LIMITS [pool, t].
    """
    window, cells = (RIVAL_SIZE, RIVAL_SIZE), maps.shape[1] - RIVAL_SIZE + 1
    largest, least = max_pool(maps, window), min_pool(maps, window)
    edges = jnp.full(maps.shape[-1], cells)
    masks = [
        (varying(largest, least, axis) & inside(edges, cells, 1, axis))[None]
        for axis in AXES
    ]
    both = jnp.stack([largest, avg_pool(maps, window)])
    steps = [jnp.abs(following(both, axis + 1) - both) for axis in AXES]
    number = jnp.sum(masks[0]) + jnp.sum(masks[1])

    def share(limit: Array) -> Array:
        first, second = (
            jnp.sum((step <= limit) & mask, (1, 2, 3, 4))
            for step, mask in zip(steps, masks, strict=True)
        )
        return (first + second) / number

    rms = jnp.sqrt(jnp.mean(jnp.square(maps)))
    return jax.lax.map(share, rms * jnp.asarray(LIMITS)).T


def draw(
    key_and_params: Any, images: Array, labels: Array
) -> tuple[Array, Channels, Array, Array]:
    """The signals of one seed.

    Args:
      key_and_params: of the draws; of `LeNet` with maximum pools.
      images: [N, H, H, 1].
      labels: [N].

    Returns:
      what `join` does for SHOWN; the first layer's maps [n, H, H, C]; and the share of
      the drawn images that the net gets right [].
    """
    (key, params), number = key_and_params, min(NUM_IMAGES, len(images))
    order_key, draw_key = jax.random.split(key)
    chosen = jax.random.permutation(order_key, len(images))[:number]
    drawn = images[chosen]
    logits, activations = cast(Any, LeNet().apply({"params": params}, drawn))
    maps, later = activations["active1"], activations["active2"]
    flat = jax.random.uniform(draw_key, (drawn.size * UNIFORM,))
    uniform = flat.reshape(*drawn.shape[:3], UNIFORM)
    right = jnp.mean(jnp.argmax(logits, -1) == labels[chosen])
    return *join([uniform, drawn, maps, later]), maps, right


def join(signals: list[Array]) -> tuple[Array, Channels]:
    """One array of all signals, the smaller ones beside zeros, and its channels.

    Args:
      signals: [N, H, H, C] each, the first one with the largest H.
    """
    length = signals[0].shape[1]
    frames = [(0, length - each.shape[1]) for each in signals]
    joined = jnp.concatenate(
        [
            jnp.pad(each, ((0, 0), frame, frame, (0, 0)))
            for each, frame in zip(signals, frames, strict=True)
        ],
        -1,
    )
    owner = np.repeat(np.arange(len(signals)), [each.shape[-1] for each in signals])
    edges = np.asarray([each.shape[1] for each in signals])[owner]
    rows = owner == np.arange(len(signals))[:, None]
    return joined, Channels(jnp.asarray(edges), jnp.asarray(rows))
