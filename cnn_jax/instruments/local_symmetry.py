"""Does a function commute with an infinitesimal motion? Exactly, in forward mode.

A function f that commutes with a motion, f(T_t x) = T'_t f(x), commutes with its
generators: df(x)·L x = L' f(x). The left side is one Jacobian-vector product, exact up
to rounding: no step size, no samples; L and L' are those of `generators`. The left side
less the right is the Lie derivative of f, its size the local equivariance error. Where
outputs have no spatial axis, as logits have none, T' does nothing, L' is 0, and
the error is one of invariance.

Layout: inputs are [N, *spatial, C]; outputs a pytree of maps [N, *spatial', C'] and of
vectors [N, K], so that one call measures logits and every activation beside them.

Reference: Gruver, Finzi, Goldblum and Wilson 2023, The Lie Derivative for Measuring
Learned Equivariance.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.instruments.generators import Generator
from cnn_jax.instruments.translations import real_dtype, spatial_axes
from cnn_jax.ops.dtypes import output_dtype

Apply = Callable[[Any, jax.Array], Any]


class LocalError(NamedTuple):
    """Local equivariance error of one output, per example.

    absolute: [N] mean over positions and channels of |left - right|.
    square: [N] mean of (left - right)².
    scale: [N] mean of the output's own squares, to divide `square` by.

    Units: of the output per pixel, radian or unit of log factor; their squares.
    """

    absolute: jax.Array
    square: jax.Array
    scale: jax.Array


def local_equivariance_sides(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    generator: Generator,
    *,
    strides: Any = 1,
    centers: Any = None,
) -> tuple[Any, Any]:
    """Both sides of df(x)·L x = L' f(x).

    Args:
        apply: (params, inputs) -> pytree of arrays [N, *spatial', C'] or [N, K].
        params: whatever `apply` takes.
        inputs: [N, *spatial, C], real; integers are taken as float32.
        generator: `rotation_generator`, `scaling_generator`,
            `partial(translation_generator, direction=...)`, or any of their form.
        strides: product of the strides from the inputs to the outputs; one for all,
            or a pytree like the outputs with one number, or a tuple of one per axis,
            for each.
        centers: where the middle of the inputs lies in each output, in its pixels; None
            where it is the output's middle, else a pytree as for `strides`.
            A convolution with "SAME" padding and stride 2 moves it by half a pixel.

    Returns:
        (df(x)·L x, L' f(x)), pytrees like the outputs.

    Raises:
        ValueError: an output with other spatial axes than the inputs, or strides or
            centers whose structure is not that of the outputs.
    """
    return _pushed(apply, params, inputs, generator, strides, centers)[1:]


def _pushed(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    generator: Generator,
    strides: Any,
    centers: Any,
) -> tuple[Any, Any, Any]:
    """f(x), df(x)·L x and L' f(x)."""
    inputs = inputs.astype(output_dtype(inputs.dtype))
    outputs, pushed = jax.jvp(
        lambda images: apply(params, images), (inputs,), (generator(inputs),)
    )
    generated = _generated(generator, inputs, outputs, strides, centers)
    return outputs, pushed, generated


def _generated(
    generator: Generator, inputs: jax.Array, outputs: Any, strides: Any, centers: Any
) -> Any:
    """L' of every output; 0 of those without spatial axes."""
    leaves, structure = jax.tree.flatten(outputs)
    each_stride = _per_leaf(strides, structure, "strides")
    each_center = _per_leaf(centers, structure, "centers")
    generated = []
    for leaf, stride, center in zip(leaves, each_stride, each_center, strict=True):
        if leaf.ndim == 2:
            generated.append(jnp.zeros_like(leaf))
            continue
        if leaf.ndim != inputs.ndim:
            raise ValueError(
                f"expected outputs [N, K] or with the {len(spatial_axes(inputs))} "
                f"spatial axes of the inputs, got shape {leaf.shape}"
            )
        generated.append(generator(leaf, stride=stride, center=center))
    return jax.tree.unflatten(structure, generated)


def _per_leaf(value: Any, structure: Any, name: str) -> list[Any]:
    """One value per output: the same for all, or those of a pytree like it."""
    if value is None or isinstance(value, int | float):
        return [value] * structure.num_leaves
    try:
        return structure.flatten_up_to(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected one value, or a pytree like the outputs, {structure}, "
            f"got {value}"
        ) from error


def local_equivariance_error(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    generator: Generator,
    *,
    strides: Any = 1,
    centers: Any = None,
    margin: int = 0,
) -> Any:
    """Size of df(x)·L x - L' f(x) for every output; 0 means locally equivariant.

    Args and Raises: as `local_equivariance_sides`; and
        margin: pixels of every map that are left out at each border, where padding, or
            a derivative that reaches over it, would be measured instead.

    Returns:
        A pytree like the outputs, with a `LocalError` for each array.
    """

    def interior(array: jax.Array) -> jax.Array:
        if margin == 0 or array.ndim == 2:
            return array
        if min(array.shape[1:-1]) <= 2 * margin:
            raise ValueError(
                f"expected a margin that leaves a pixel of {array.shape}, got {margin}"
            )
        inner = slice(margin, -margin)
        return array[(slice(None), *[inner] * (array.ndim - 2))]

    def measured(left: jax.Array, right: jax.Array, output: jax.Array) -> LocalError:
        return _local_error(*map(interior, (left, right, output)))

    outputs, left, right = _pushed(apply, params, inputs, generator, strides, centers)
    return jax.tree.map(measured, left, right, outputs)


def _local_error(left: jax.Array, right: jax.Array, output: jax.Array) -> LocalError:
    dtype = real_dtype(left)
    difference = left.astype(dtype) - right.astype(dtype)
    axes = tuple(range(1, left.ndim))
    return LocalError(
        jnp.mean(jnp.abs(difference), axis=axes),
        jnp.mean(jnp.square(difference), axis=axes),
        jnp.mean(jnp.square(output.astype(dtype)), axis=axes),
    )


def layer_contributions(
    layers: Sequence[Apply],
    params: Sequence[Any],
    inputs: jax.Array,
    generator: Generator,
    *,
    strides: Sequence[Any] | None = None,
    centers: Sequence[Any] | None = None,
) -> list[jax.Array]:
    """What each layer adds to the local equivariance error of the whole stack.

        e_l = df_l·L x_(l-1) - L x_l            the error of layer l by itself
        contribution_l = df_n ··· df_(l+1)·e_l  as it arrives at the outputs

    By the chain rule the contributions add up to the error of f_n ∘ ··· ∘ f_1.

    Args:
        layers: (params, inputs) -> outputs, one array each, the first layer first.
        params: one entry per layer.
        inputs: [N, *spatial, C], real.
        generator: as in `local_equivariance_sides`.
        strides: for each layer the product of the strides from the inputs to its
            outputs; 1 unless given.
        centers: for each layer as in `local_equivariance_sides`.

    Returns:
        One array per layer, each of the shape of the last outputs.

    Raises:
        ValueError: params, strides or centers for another number of layers; and as
            `local_equivariance_sides`.
    """
    count = len(layers)
    strides = [1] * count if strides is None else strides
    centers = [None] * count if centers is None else centers
    if {len(params), len(strides), len(centers)} != {count}:
        raise ValueError(
            f"expected params, strides and centers of {count} layers, got "
            f"{len(params)}, {len(strides)} and {len(centers)}"
        )
    inputs = inputs.astype(output_dtype(inputs.dtype))
    hidden, moved = inputs, generator(inputs)
    contributions: list[jax.Array] = []
    for layer, own, stride, center in zip(
        layers, params, strides, centers, strict=True
    ):
        outputs, push = jax.linearize(lambda x, f=layer, p=own: f(p, x), hidden)
        contributions = [push(error) for error in contributions]
        acted = _generated(generator, inputs, outputs, stride, center)
        contributions.append(push(moved) - acted)
        hidden, moved = outputs, acted
    return contributions
