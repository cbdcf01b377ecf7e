"""The translations and paddings under which a convolution is asked to commute.

A `Geometry` is one reading of "f(g(x)) = g(f(x))": what g does to the image, how the
layers pad, whether they have biases and activations, and how the two sides are laid
over each other. `sides` returns both sides after every layer, for the tests as for
the experiment.

Layout: images [N, H, W, C]; a layer is (kernel, bias).
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.instruments import (
    band_limit,
    fourier_shift,
    realigned_sides,
    relative_error,
    roll,
    shift_grid,
    slide,
)
from cnn_jax.ops import conv, locally_connected
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals

Layer = tuple[jax.Array, jax.Array]
LayerFunction = Callable[..., jax.Array]  # (images, params, geometry=, stride=)
Translation = Callable[[jax.Array, jax.Array], jax.Array]
Align = Literal["translate", "overlap", "best"]

SIZE = 36  # divisible by 2, 3 and 4; 15 valid 3x3 layers leave 6 pixels
DEEPEST = 15
TRAINED_REACH = 4  # pixels beyond which two 5x5 layers do not see
CONTENT = 12  # of the images with an empty margin
WIDTH = 8  # channels of the random stacks
WIDEST = 16  # channels of the widest layer of all nets


@dataclasses.dataclass(frozen=True)
class Geometry:
    """One reading of "a convolution commutes with translations".

    padding: of every layer; strides: of the first layers, 1 for all others;
    translate: of the image; bias, activation: of every layer;
    images: "frame" fills the frame, "margin" stands on zeros, "band" has no Nyquist
    frequency; align: how Tf(x) is made: "translate" by shift / stride, "overlap" the
    same, compared where it does not leave the map, "best" the best of all rolls.
    """

    padding: str = "CIRCULAR"
    strides: tuple[tuple[int, ...], ...] = ((1,),)
    translate: Translation = roll
    bias: bool = True
    activation: bool = True
    images: Literal["frame", "margin", "band"] = "frame"
    align: Align = "translate"
    shifts: Literal["all", "aligned", "odd", "half"] = "all"

    def depths(self, deepest: int) -> tuple[int, ...]:
        """The depths that are compared: fewer where every depth has its own size."""
        if self.padding in ("VALID", "FULL"):
            return (*(depth for depth in (1, 2, 4, 8) if depth < deepest), deepest)
        return tuple(range(1, deepest + 1))

    def grid(self, max_shift: int) -> np.ndarray:
        """[K, 2] shifts without 0, in pixels ("aligned": in strides)."""
        if self.shifts == "half":
            return np.asarray([(0.0, 0.5), (0.5, 0.0), (0.5, 0.5)], np.float32)
        grid = shift_grid(1 if self.shifts == "aligned" else max_shift)[1:]
        if self.shifts == "odd":
            grid = grid[np.any(grid % 2 == 1, axis=1)]
        return grid


GEOMETRIES = {
    "circular": Geometry(),
    "stride-aligned": Geometry(strides=((2,), (3,), (2, 2)), shifts="aligned"),
    "stride-2-odd": Geometry(strides=((2,),), shifts="odd", align="best"),
    "zero-roll": Geometry(padding="SAME"),
    "zero-fill-margin": Geometry(
        padding="SAME", translate=slide, bias=False, images="margin"
    ),
    "zero-fill-bias": Geometry(padding="SAME", translate=slide, images="margin"),
    "reflect": Geometry(padding="REFLECT"),
    "valid": Geometry(padding="VALID", translate=slide, align="overlap"),
    "full": Geometry(padding="FULL", translate=slide, bias=False, images="margin"),
    "half-pixel-linear": Geometry(
        translate=fourier_shift, activation=False, images="band", shifts="half"
    ),
    "half-pixel-relu": Geometry(translate=fourier_shift, images="band", shifts="half"),
}


def labels(shifts: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """Shifts as the labels of an axis."""
    return tuple(tuple(shift.tolist()) for shift in shifts)


def random_stack(key: jax.Array, depth: int) -> list[Layer]:
    """He-normal 3x3 kernels, half-normal biases: a net that keeps its scale."""
    channels = (1, *(WIDTH,) * (depth - 1))
    kernels = normals(
        key, *((3, 3, features, WIDTH) for features in channels), (depth, WIDTH)
    )
    biases = 0.2 * jnp.abs(kernels.pop())
    return [
        ((2 / (9 * features)) ** 0.5 * kernel, bias)
        for features, kernel, bias in zip(channels, kernels, biases, strict=True)
    ]


def advance(
    images: jax.Array, layer: Layer, *, geometry: Geometry, stride: int = 1
) -> jax.Array:
    """One convolution of the stack: [B, H, W, C] -> [B, H', W', C']."""
    kernel, bias = layer
    outputs = conv(
        images,
        kernel,
        bias if geometry.bias else None,
        strides=stride,
        padding=geometry.padding,
        algorithm="direct",
    )
    return jax.nn.relu(outputs) if geometry.activation else outputs


def advance_unshared(
    images: jax.Array, kernels: jax.Array, *, geometry: Geometry, stride: int = 1
) -> jax.Array:
    """A locally connected layer with independent kernels: it must not commute.

    Args:
        images: [B, H, W, 1].
        kernels: [rows, columns, 9, WIDTH], for at least as many positions as the
            output has; the first ones are used.
    """
    window = jnp.zeros((3, 3, 1, WIDTH)), jnp.zeros(WIDTH)
    step = partial(advance, geometry=geometry, stride=stride)
    _, height, width, _ = jax.eval_shape(step, images, window).shape
    outputs = locally_connected(
        images,
        kernels[:height, :width],
        window_shape=(3, 3),
        strides=stride,
        padding=geometry.padding,
    )
    return jax.nn.relu(outputs) if geometry.activation else outputs


def sides(
    moved: jax.Array,
    still: jax.Array,
    shift: jax.Array,
    translate: Translation = roll,
    align: Align = "translate",
) -> tuple[jax.Array, jax.Array]:
    """Both sides of f(Tx) = T'f(x), laid over each other.

    Args:
        moved: f(Tx), [N, H, W, C].
        still: f(x), [N, H, W, C].
        shift: [2] pixels of the map.
        translate: T'.
        align: how the sides are compared, see `Geometry`.

    Returns:
        (left, right), each [N, H, W, C].
    """
    if align == "best":
        return realigned_sides(moved, still)
    right = translate(still, shift)
    if align == "overlap":
        moved = moved * translate(jnp.ones_like(still), shift)
    return moved, right


@partial(brief, static_argnames=("layer", "features", "geometry", "stride"))
def _apply(
    maps: jax.Array,
    params: Any,
    *,
    layer: LayerFunction,
    features: int,
    geometry: Geometry,
    stride: int,
) -> jax.Array:
    """A layer over the first channels [B, H, W, features] of [B, H, W, WIDEST].

    Channels of zeros change no norm, and let all nets share what follows.
    """
    outputs = layer(maps[..., :features], params, geometry=geometry, stride=stride)
    return _widen(outputs)


def _widen(outputs: jax.Array) -> jax.Array:
    return jnp.pad(outputs, ((0, 0),) * 3 + ((0, WIDEST - outputs.shape[-1]),))


@partial(brief, static_argnames=("translate", "align"))
def _compare(
    outputs: jax.Array, shifts: jax.Array, *, translate: Translation, align: Align
) -> tuple[jax.Array, jax.Array]:
    """‖f(Tx) - T'f(x)‖ / ‖f(x)‖, the worst of the images, and the spread of f(x).

    Args:
        outputs: [(1 + K)·N, H, W, C], the unmoved images first.
        shifts: [K, 2] pixels of the map.
        translate: T'.
        align: how the sides are compared.

    Returns:
        ([K], []).
    """
    still, *_ = outputs.reshape(1 + len(shifts), -1, *outputs.shape[1:])
    moved = outputs[len(still) :].reshape(len(shifts), *still.shape)

    def error(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        moved, shift = pair
        left, right = sides(moved, still, shift, translate, align)
        return jnp.max(relative_error(left, right, still))

    return jax.lax.map(error, (moved, shifts)), spread(still)


@partial(brief, static_argnames="translate")
def _moved_images(
    images: jax.Array, shifts: jax.Array, *, translate: Translation
) -> jax.Array:
    """The images and their translations, [(1 + K)·N, H, W, WIDEST]."""
    moved = jax.lax.map(lambda shift: translate(images, shift), shifts)
    both = jnp.concatenate([images[None], moved])
    return _widen(both.reshape(-1, *images.shape[1:]))


def spread(outputs: jax.Array) -> jax.Array:
    """‖f(x) - its mean over space‖ / ‖f(x)‖, the smallest of the images; 0 if dead.

    A map that is zero or constant commutes with everything and proves nothing.
    """
    varying = outputs - jnp.mean(outputs, axis=(1, 2), keepdims=True)
    return jnp.min(relative_error(varying, jnp.zeros_like(varying), outputs))


def errors(
    layer: LayerFunction,
    net: Sequence[Any],
    images: np.ndarray | jax.Array,
    shifts: np.ndarray,
    geometry: Geometry,
    strides: tuple[int, ...],
) -> tuple[np.ndarray, float]:
    """The equivariance error, depth by depth, and whether the maps are alive.

    Host code around jitted layers: a layer is compiled once for all depths, nets and
    seeds that share its shapes.

    Args:
        layer: `advance`, `advance_unshared` or the like.
        net: params of every layer, the kernel first.
        images: [N, H, W, C].
        shifts: [K, 2] pixels; for `shifts="aligned"` in units of the total stride.
        geometry: what is asked.
        strides: of the first layers.

    Returns:
        (errors [depths, K] at `geometry.depths(len(net))`, the smallest `spread` of
        the unmoved images' maps).
    """
    total = int(np.prod(strides))
    steps = shifts * total if geometry.shifts == "aligned" else shifts
    translate, align = geometry.translate, geometry.align
    outputs = _moved_images(images, steps, translate=translate)
    features, found, passed = images.shape[-1], [], 1
    for depth, params in enumerate(net, start=1):
        stride = strides[depth - 1] if depth <= len(strides) else 1
        passed *= stride
        options = {"features": features, "geometry": geometry, "stride": stride}
        outputs = _apply(outputs, params, layer=layer, **options)
        features = jax.tree.leaves(params)[0].shape[-1]
        if depth in geometry.depths(len(net)):
            moved_by = steps if passed == 1 else steps // passed
            found.append(_compare(outputs, moved_by, translate=translate, align=align))
    each, spreads = zip(*found, strict=True)
    return np.stack(each), float(min(spreads))


def pictures(
    photographs: np.ndarray, geometry: Geometry, max_shift: int, depth: int
) -> np.ndarray:
    """The images that a geometry is measured on: [N, H, W, 1].

    A margin is as wide as shift and layers together can reach, so that nothing
    non-zero ever meets the border; full padding needs the shift alone.
    """
    if geometry.images == "margin":
        reach = 0 if geometry.padding == "FULL" else max(depth, TRAINED_REACH)
        width = max_shift + reach
        edges = ((0, 0), (width, width), (width, width), (0, 0))
        return np.pad(photographs[:, :CONTENT, :CONTENT], edges)
    if geometry.images == "band":
        return np.asarray(brief(band_limit)(photographs))
    return photographs
