"""Windows that slide along one axis: their sums and maxima, with fast derivatives.

XLA's own gradient of a window maximum, select-and-scatter, is 10 to 20 times slower on
CPUs than what is here and does not compile under a GPU's deterministic flags; that of a
strided slice, a padding with zeros, is a test at every position that no vector
instruction does. Here each of two linear maps is a primitive that transposes to the
other: gathering from windows, and spreading back to them, which handles the positions
of each residue modulo the stride together, as sums of slices of one padded array.

Arrays may have any axes; only one of them, the `axis`, changes. With k the window, s
the stride, n the size before and m = ⌊(n − k)/s⌋ + 1 the size after:

    gather   y[p] = Σ_w taps[w] · [a[s·p + w] = b[p]] · x[s·p + w]
    spread   x[q] = Σ_p taps[q − s·p] · [a[q] = b[p]] · y[p]

The masks, of a [n] and b [m], are left out in sums.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnn_jax.ops.meshes import varying_alike
from cnn_jax.ops.pooling.frames import slices, stages, tree


class Slide(NamedTuple):
    """How windows lie along an axis.

    Attributes:
      axis: which one.
      size: n, at least the window.
      taps: weight of each position of a window.
      stride: s.
    """

    axis: int
    size: int
    taps: tuple[float, ...]
    stride: int

    @property
    def out(self) -> int:
        return (self.size - len(self.taps)) // self.stride + 1


def sums(inputs: Array, window: Sequence[int], strides: Sequence[int]) -> Array:
    """Σ of each window: [N, *spatial, C], padded, to [N, *out, C]."""
    for axis, size, stride in stages(inputs.shape, window, strides):
        inputs = window_sum(inputs, axis, (1.0,) * size, stride)
    return inputs


def weigh(
    inputs: Array, taps: Sequence[Sequence[float]], strides: Sequence[int]
) -> Array:
    """Σ of each window, weighted by the product of its axes' taps.

    Args:
      inputs: [N, *spatial, C], padded.
      taps: per spatial axis as many weights as the window has positions.
      strides: distance between windows.

    Returns:
      [N, *out, C].
    """
    for axis, (weights, stride) in enumerate(zip(taps, strides, strict=True), start=1):
        inputs = window_sum(inputs, axis, weights, stride)
    return inputs


def extremes(
    operation: Callable[[Array, Array], Array],
    inputs: Array,
    window: Sequence[int],
    strides: Sequence[int],
) -> Array:
    """jnp.maximum or jnp.minimum of each window: [N, *spatial, C] to [N, *out, C].

    Equal extremes share the gradient equally, stage by stage: see `frames.stages`.
    """
    for axis, size, stride in stages(inputs.shape, window, strides):
        inputs = window_extreme(operation, inputs, axis, size, stride)
    return inputs


def window_sum(inputs: Array, axis: int, taps: Sequence[float], stride: int) -> Array:
    """Σ_w taps[w] · inputs[s·p + w] along an axis; empty where that is."""
    if inputs.shape[axis] < len(taps):
        return lax.slice_in_dim(inputs, 0, 0, axis=axis)
    slide = Slide(axis, inputs.shape[axis], tuple(taps), stride)
    return _bind("gather", slide, inputs)


def window_extreme(
    operation: Callable[[Array, Array], Array],
    inputs: Array,
    axis: int,
    window: int,
    stride: int,
) -> Array:
    """jnp.maximum or jnp.minimum over windows along an axis; empty where that is.

    Equal extremes share the gradient equally; a NaN has gradient 0.
    """
    if inputs.shape[axis] < window:
        return lax.slice_in_dim(inputs, 0, 0, axis=axis)
    slide = Slide(axis, inputs.shape[axis], (1.0,) * window, stride)
    if not jnp.issubdtype(inputs.dtype, jnp.inexact):
        return _extreme.fun(operation, slide, inputs)
    return _extreme(operation, slide, inputs)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _extreme(
    operation: Callable[[Array, Array], Array], slide: Slide, inputs: Array
) -> Array:
    return tree(operation, slices(inputs, slide.axis, len(slide.taps), slide.stride))


@_extreme.defjvp
def _extreme_jvp(operation, slide: Slide, primals, tangents):
    (inputs,), (tangent,) = primals, tangents
    outputs = _extreme(operation, slide, inputs)
    values = slices(inputs, slide.axis, len(slide.taps), slide.stride)
    equal = [(value == outputs).astype(inputs.dtype) for value in values]
    share = 1 / jnp.maximum(tree(jnp.add, equal), 1)
    return outputs, share * _bind("gather", slide, tangent, inputs, outputs)


def _gather(slide: Slide, inputs: Array, *masks: Array) -> Array:
    terms = slices(inputs, slide.axis, len(slide.taps), slide.stride)
    if masks:
        values = slices(masks[0], slide.axis, len(slide.taps), slide.stride)
        terms = [
            jnp.where(value == masks[1], term, 0)
            for value, term in zip(values, terms, strict=True)
        ]
    return tree(jnp.add, _weighted(slide.taps, terms))


def _spread(slide: Slide, outputs: Array, *masks: Array) -> Array:
    """Phase r are the positions q = s·j + r: outputs j, j − 1, … hold them."""
    axis, size, taps, stride = slide
    before, after = outputs.shape[:axis], outputs.shape[axis + 1 :]
    length = -(-size // stride)
    reach = -(-len(taps) // stride)
    edges = (reach - 1, max(length - slide.out, 0))
    padded = [_pad(array, axis, *edges) for array in (outputs, *masks[1:])]
    values = [_pad(array, axis, 0, length * stride - size) for array in masks[:1]]
    phases: list[Array] = []
    for phase in range(stride):
        ours = taps[phase::stride]
        terms: list[Array] = []
        for turn in range(len(ours)):
            start = reach - 1 - turn
            term, *extreme = (
                lax.slice_in_dim(array, start, start + length, axis=axis)
                for array in padded
            )
            if extreme:
                here = lax.slice_in_dim(values[0], phase, None, stride, axis)
                term = jnp.where(here == extreme[0], term, 0)
            terms.append(jnp.asarray(term))
        # A phase that a window smaller than the stride does not reach.
        nothing = jnp.zeros_like(padded[0], shape=(*before, length, *after))
        phases.append(tree(jnp.add, _weighted(ours, terms)) if terms else nothing)
    if stride == 1:
        return phases[0]
    woven = jnp.stack(phases, axis=axis + 1)
    woven = woven.reshape(*before, length * stride, *after)
    return lax.slice_in_dim(woven, 0, size, axis=axis)


def _weighted(taps: Sequence[float], terms: list[Array]) -> list[Array]:
    return [
        term if tap == 1 else jnp.asarray(tap, term.dtype) * term
        for tap, term in zip(taps, terms, strict=True)
    ]


def _pad(array: Array, axis: int, low: int, high: int) -> Array:
    edges = [(0, 0, 0)] * array.ndim
    edges[axis] = (low, high, 0)
    return lax.pad(array, jnp.zeros((), array.dtype), edges)


_FORMS = {"gather": _gather, "spread": _spread}
_OTHER = {"gather": "spread", "spread": "gather"}


def _bind(form: str, slide: Slide, array: Array, *masks: Array) -> Array:
    masks = tuple(lax.stop_gradient(mask) for mask in masks)
    if 0 in array.shape:
        size = slide.out if form == "gather" else slide.size
        shape = (*array.shape[: slide.axis], size, *array.shape[slide.axis + 1 :])
        return jnp.zeros(shape, array.dtype)
    return _PRIMITIVES[form].bind(*varying_alike(array, *masks), slide=slide)


def _abstract(form: str, array, *masks, slide: Slide):
    shape = list(array.shape)
    shape[slide.axis] = slide.out if form == "gather" else slide.size
    return array.update(shape=tuple(shape), weak_type=False)


@lru_cache(maxsize=1024)
def _compiled(form: str, slide: Slide):
    return jax.jit(lambda *arrays: _PRIMITIVES[form].bind(*arrays, slide=slide))


def _implement(form: str, *arrays: Array, slide: Slide) -> Array:
    with jax.disable_jit(False):  # compiled even so: its body is this primitive
        return _compiled(form, slide)(*arrays)


def _transpose(form: str, cotangent, array, *masks, slide: Slide):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(array.aval), *[None] * len(masks)]
    return [_bind(_OTHER[form], slide, cotangent, *masks), *[None] * len(masks)]


def _jvp(form: str, primals, tangents, *, slide: Slide):
    """Linear in the first array; the masks have no tangents, `_bind` sees to it."""
    array, *masks = primals
    outputs = _bind(form, slide, array, *masks)
    return outputs, _bind(form, slide, tangents[0], *masks)


def _batch(form: str, arrays, axes, *, slide: Slide) -> Any:
    """One more axis in front; what is not mapped over is the same along it."""
    pairs = list(zip(arrays, axes, strict=True))
    (size,) = {each.shape[axis] for each, axis in pairs if axis is not None}
    moved = [
        jnp.broadcast_to(each, (size, *each.shape))
        if axis is None
        else jnp.moveaxis(each, axis, 0)
        for each, axis in pairs
    ]
    return _bind(form, slide._replace(axis=slide.axis + 1), *moved), 0


def _primitive(form: str) -> Primitive:
    primitive = Primitive(f"window_{form}")
    primitive.def_impl(partial(_implement, form))
    primitive.def_abstract_eval(partial(_abstract, form))
    ad.primitive_jvps[primitive] = partial(_jvp, form)
    ad.primitive_transposes[primitive] = partial(_transpose, form)
    batching.primitive_batchers[primitive] = partial(_batch, form)
    lowered = lambda *arrays, slide: _FORMS[form](slide, *arrays)  # noqa: E731
    mlir.register_lowering(primitive, mlir.lower_fun(lowered, multiple_results=False))
    return primitive


_PRIMITIVES = {form: _primitive(form) for form in _FORMS}
