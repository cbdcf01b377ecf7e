"""What one output depends on: its gradient, as a map over the inputs.

The support of that map is the receptive field in the strict sense; how its mass is
spread is the effective one. Both are measured on any `apply(params, inputs)`.

Shape letters: N images, C channels, O output channels; outputs are [N, *out, O], or
[N, O] of a function without spatial outputs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Apply = Callable[[Any, Array], Array]


def gradient_map(
    apply: Apply, params: Any, inputs: Array, position: Sequence[int] | None = None
) -> Array:
    """How strongly each input acts on one output position.

        map[n, x] = Σ_o Σ_c (∂ outputs[n, position, o] / ∂ inputs[n, x, c])²

    Squares, because the expected square is what layers with independent kernels pass
    on: the map of a random linear network is then, on average, the convolution of its
    layers' windows, and the squared spreads of layers add.

    Args:
      apply: (params, inputs) -> outputs [N, *out, O], image by image.
      params: whatever `apply` takes.
      inputs: [N, *spatial, C].
      position: one integer per axis of *out; the middle where none is given.

    Returns:
      [N, *spatial].

    Raises:
      ValueError: a position of another length or outside the outputs.

    Reference: Luo, Li, Urtasun and Zemel, Understanding the effective receptive field
    in deep convolutional neural networks, 2016.
    """
    gradients = _gradients(apply, params, inputs, position)
    return jnp.sum(jnp.square(gradients), axis=(0, -1))


def gradient_support(
    apply: Apply, params: Any, inputs: Array, position: Sequence[int] | None = None
) -> Array:
    """Where an output position has a gradient: the receptive field, seen at work.

        support[x] = any over n, o, c of ∂ outputs[n, position, o] / ∂ inputs[n, x, c]

    It is the whole field where no products cancel or underflow: kernels of ones are
    safe. A maximum has a gradient at its argument alone, and a ReLU only where it is
    open, so several images show more than one does.

    Args:
      apply: (params, inputs) -> outputs [N, *out, O], image by image.
      params: whatever `apply` takes.
      inputs: [N, *spatial, C].
      position: as in `gradient_map`.

    Returns:
      [*spatial] booleans.

    Raises:
      ValueError: as `gradient_map`.
    """
    gradients = _gradients(apply, params, inputs, position)
    return jnp.any(gradients != 0, axis=(0, 1, -1))


def bounding_box(support: Array) -> tuple[Array, Array]:
    """The smallest box that holds all of a support.

    Args:
      support: [*spatial] booleans.

    Returns:
      (start, size), both [rank] integers; size 0 of an empty support.
    """
    starts, sizes = [], []
    for axis in range(support.ndim):
        others = tuple(a for a in range(support.ndim) if a != axis)
        line = jnp.any(support, axis=others)
        first = jnp.argmax(line)
        last = line.size - 1 - jnp.argmax(jnp.flip(line))
        starts.append(first)
        sizes.append(jnp.where(jnp.any(line), last - first + 1, 0))
    return jnp.stack(starts), jnp.stack(sizes)


def coverage(support: Array) -> Array:
    """Share of a support's bounding box that it fills; dilation may leave gaps.

    Args:
      support: [*spatial] booleans.

    Returns:
      [] in (0, 1]; NaN of an empty support.
    """
    _, size = bounding_box(support)
    return jnp.sum(support) / jnp.prod(size)


def effective_receptive_field(
    apply: Apply, params: Any, inputs: Array, position: Sequence[int] | None = None
) -> Array:
    """The gradient map averaged over images: [*spatial].

    Args:
      apply: (params, inputs) -> outputs [N, *out, O], image by image.
      params: whatever `apply` takes; average over draws of them too where they are
        random.
      inputs: [N, *spatial, C].
      position: as in `gradient_map`.

    Raises:
      ValueError: as `gradient_map`.

    Reference: Luo, Li, Urtasun and Zemel, Understanding the effective receptive field
    in deep convolutional neural networks, 2016.
    """
    return jnp.mean(gradient_map(apply, params, inputs, position), axis=0)


def field_spread(field: Array) -> Array:
    """The size of an effective field: its standard deviation along every axis.

        spread_a = √(Σ_x f(x)·(x_a − m_a)² / Σ_x f(x)),  m_a = Σ_x f(x)·x_a / Σ_x f(x)

    A box of k equal values has spread √((k² − 1) / 12).

    Args:
      field: [*spatial], 0 or more everywhere.

    Returns:
      [rank] in pixels; NaN of a field that is 0 everywhere.
    """
    spreads = []
    for axis in range(field.ndim):
        others = tuple(a for a in range(field.ndim) if a != axis)
        mass = jnp.sum(field, axis=others)
        share = mass / jnp.sum(mass)
        place = jnp.arange(mass.size).astype(share.dtype)
        middle = jnp.sum(share * place)
        spreads.append(jnp.sqrt(jnp.sum(share * jnp.square(place - middle))))
    return jnp.stack(spreads)


def _gradients(
    apply: Apply, params: Any, inputs: Array, position: Sequence[int] | None
) -> Array:
    """The gradient of every output channel at one position: [O, N, *spatial, C]."""
    outputs, pull = jax.vjp(lambda inputs: apply(params, inputs), inputs)
    *_, features = outputs.shape
    out = outputs.shape[1:-1]
    if position is None:
        position = [size // 2 for size in out]
    if len(position) != len(out) or not all(
        0 <= p < size for p, size in zip(position, out, strict=True)
    ):
        raise ValueError(
            f"position: expected one integer per axis inside outputs {out}, "
            f"got {tuple(position)}"
        )
    place = jnp.zeros(out, outputs.dtype).at[tuple(position)].set(1)
    channels = jnp.eye(features, dtype=outputs.dtype)
    units = channels.reshape(features, *(1,) * len(out), features)
    units = units * place.reshape(1, *out, 1)
    each = jnp.broadcast_to(units[:, None], (features, *outputs.shape))
    return jax.vmap(lambda unit: pull(unit)[0])(each)
