"""Windows that slide along one axis: their sums and maxima, with fast derivatives.

XLA's own gradient of a window maximum, select-and-scatter, is 2 to 14 times slower on
CPUs than what is here and does not compile under a GPU's deterministic flags; that of a
strided slice, a padding with zeros, is a test at every position that no vector
instruction does. Here each of two linear maps is a primitive that transposes to the
other: gathering from windows, and spreading back to them, which handles the positions
of each residue modulo the stride together, as sums of slices of one padded array.

Arrays may have any axes; only one of them, the `axis`, changes. With k the window, s
the stride, n the size before and m = ⌊(n − k)/s⌋ + 1 the size after:

    gather   y[p] = Σ_w taps[w] · bit_w(chosen[p]) · x[s·p + w]
    spread   x[q] = Σ_p taps[q − s·p] · bit_{q − s·p}(chosen[p]) · y[p]

The bits, of windows [m], tell which positions hold the extreme; sums have none. They
are kept from the search for the extreme: comparing inputs with outputs later is not
safe, since a compiler may compute either again in another order of rounding, whereupon
no input equals its maximum.
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

WORD = 32  # bits of a word, a position of a window each


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
    chosen = _chosen(operation, slide, inputs)
    number = tree(jnp.add, [lax.population_count(word) for word in chosen])
    share = 1 / jnp.maximum(number, 1).astype(inputs.dtype)
    return outputs, share * _bind("gather", slide, tangent, *chosen)


def _chosen(
    operation: Callable[[Array, Array], Array], slide: Slide, inputs: Array
) -> list[Array]:
    """Words of WORD bits each, [m]: bit w of them all is on where w holds the extreme.

    At least one is on, however the inputs round; where a window has a NaN, none is.
    """
    ahead = jnp.greater if operation is jnp.maximum else jnp.less
    values = slices(inputs, slide.axis, len(slide.taps), slide.stride)
    dtype = _word(len(values))
    best, words = values[0], [jnp.ones(values[0].shape, dtype)]
    for position, value in enumerate(values[1:], start=1):
        place, bit = divmod(position, WORD)
        if place == len(words):
            words.append(jnp.zeros(value.shape, dtype))
        wins, ties = ahead(value, best), value == best
        words = [
            jnp.where(
                wins,
                dtype(bool(i == place) << bit),
                jnp.where(ties, word | dtype(bool(i == place) << bit), word),
            )
            for i, word in enumerate(words)
        ]
        best = operation(best, value)
    return [jnp.where(best == best, word, dtype(0)) for word in words]


def _word(window: int) -> Any:
    """The least unsigned type with a bit per position, up to WORD bits."""
    fitting = [t for t in (jnp.uint8, jnp.uint16) if window <= jnp.iinfo(t).bits]
    return (*fitting, jnp.uint32)[0]


def _kept(term: Array, chosen: Sequence[Array], position: int) -> Array:
    """`term` where the bit of a position is on, else 0; all of it if there are none."""
    if not chosen:
        return term
    place, bit = divmod(position, WORD)
    word = chosen[place]
    return jnp.where(word & word.dtype.type(1 << bit) != 0, term, 0)


def _gather(slide: Slide, inputs: Array, *chosen: Array) -> Array:
    terms = slices(inputs, slide.axis, len(slide.taps), slide.stride)
    kept = [_kept(term, chosen, position) for position, term in enumerate(terms)]
    return tree(jnp.add, _weighted(slide.taps, kept))


def _spread(slide: Slide, outputs: Array, *chosen: Array) -> Array:
    """Phase r are the positions q = s·j + r: outputs j, j − 1, … hold them."""
    axis, size, taps, stride = slide
    before, after = outputs.shape[:axis], outputs.shape[axis + 1 :]
    length = -(-size // stride)
    reach = -(-len(taps) // stride)
    edges = (reach - 1, max(length - slide.out, 0))
    padded = [_pad(array, axis, *edges) for array in (outputs, *chosen)]
    phases: list[Array] = []
    for phase in range(stride):
        terms: list[Array] = []
        for turn, position in enumerate(range(phase, len(taps), stride)):
            start = reach - 1 - turn
            term, *words = (
                lax.slice_in_dim(array, start, start + length, axis=axis)
                for array in padded
            )
            terms.append(_kept(term, words, position))
        # A phase that a window smaller than the stride does not reach.
        nothing = jnp.zeros_like(padded[0], shape=(*before, length, *after))
        ours = _weighted(taps[phase::stride], terms)
        phases.append(tree(jnp.add, ours) if terms else nothing)
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


def _bind(form: str, slide: Slide, array: Array, *chosen: Array) -> Array:
    if 0 in array.shape:
        size = slide.out if form == "gather" else slide.size
        shape = (*array.shape[: slide.axis], size, *array.shape[slide.axis + 1 :])
        return jnp.zeros(shape, array.dtype)
    return _PRIMITIVES[form].bind(*varying_alike(array, *chosen), slide=slide)


def _abstract(form: str, array, *chosen, slide: Slide):
    shape = list(array.shape)
    shape[slide.axis] = slide.out if form == "gather" else slide.size
    return array.update(shape=tuple(shape), weak_type=False)


@lru_cache(maxsize=1024)
def _compiled(form: str, slide: Slide):
    return jax.jit(lambda *arrays: _PRIMITIVES[form].bind(*arrays, slide=slide))


def _implement(form: str, *arrays: Array, slide: Slide) -> Array:
    with jax.disable_jit(False):  # compiled even so: its body is this primitive
        return _compiled(form, slide)(*arrays)


def _transpose(form: str, cotangent, array, *chosen, slide: Slide):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(array.aval), *[None] * len(chosen)]
    return [_bind(_OTHER[form], slide, cotangent, *chosen), *[None] * len(chosen)]


def _jvp(form: str, primals, tangents, *, slide: Slide):
    """Linear in the first array; bits have no tangents."""
    array, *chosen = primals
    outputs = _bind(form, slide, array, *chosen)
    return outputs, _bind(form, slide, tangents[0], *chosen)


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
