"""Convolution as three bilinear primitives, each of which transposes to the others.

    forward(inputs, kernel), input_gradient(cotangent, kernel),
    kernel_gradient(inputs, cotangent)

are the three derivatives of one trilinear form Σ y·ȳ, so derivatives of any order, in
either mode, are again these three; each chooses its own algorithm, on the platform
that it is lowered for.

Every array has one more leading axis B here: kernels that are mapped over, each with
its own inputs, by `jax.vmap`. On a CPU they are one compiled loop over B. Where only
one of two arrays is mapped over, the mapped axis becomes images, channels or features
of a single convolution. Letters: inputs x [B, N, *spatial, C], kernel k
[B, *window, C // groups, O], outputs y [B, N, *out, O].
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.lowering import Problem, lower
from cnn_jax.ops.meshes import varying_alike

# The arrays of each form, and where each letter lies in each array.
_ROLES = {
    "forward": ("xk", "y"),
    "input_gradient": ("yk", "x"),
    "kernel_gradient": ("xy", "k"),
}
_AXES = {
    "x": {"N": 1, "C": -1},
    "k": {"C": -2, "O": -1},
    "y": {"N": 1, "O": -1},
}
_GROUPED_AXES = {("x", "C"), ("k", "O"), ("y", "O")}


def convolution(
    inputs: Array,
    kernel: Array,
    settings: Settings,
    algorithms: tuple[str, str, str] = ("auto",) * 3,
) -> Array:
    """The convolution, with derivatives and batching rules of its own.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O], of the same dtype.
      settings: strides, padding, dilations, groups, precision.
      algorithms: of the forward form and of the two gradients.

    Returns:
      [N, *out, O].
    """
    dtype = settings.output_dtype(inputs)
    problem = _problem(settings, inputs.shape[1:-1], kernel, algorithms)
    return _bind("forward", inputs[None], kernel[None], problem, dtype)[0]


def transposed_convolution(
    cotangent: Array,
    kernel: Array,
    settings: Settings,
    spatial: Sequence[int],
    algorithms: tuple[str, str, str] = ("auto",) * 3,
) -> Array:
    """The transpose of `convolution` in its inputs, for the same kernel and settings.

    Args:
      cotangent: [N, *out, O], what `convolution` returns for inputs of these sizes.
      kernel: [*window, C // groups, O], of the same dtype.
      settings: strides, padding, dilations, groups, precision.
      spatial: sizes of the inputs.
      algorithms: of the forward form and of the two gradients.

    Returns:
      [N, *spatial, C].
    """
    dtype = settings.output_dtype(cotangent)
    # The algorithms of a gradient add up in the dtype of what they are given.
    cotangent, kernel = cotangent.astype(dtype), kernel.astype(dtype)
    problem = _problem(settings, tuple(spatial), kernel, algorithms)
    return _bind("input_gradient", cotangent[None], kernel[None], problem, dtype)[0]


def _problem(
    settings: Settings,
    spatial: tuple[int, ...],
    kernel: Array,
    algorithms: tuple[str, str, str],
) -> Problem:
    settings = replace(settings, preferred_element_type=None)
    return Problem(settings, spatial, kernel.shape[:-2], algorithms)


def _bind(form: str, left: Array, right: Array, problem: Problem, dtype) -> Array:
    shape = _output_shape(form, left.shape, right.shape, problem)
    if 0 in left.shape + right.shape + shape:
        return jnp.zeros(shape, dtype)
    left, right = varying_alike(left, right)
    return _PRIMITIVES[form].bind(left, right, problem=problem, dtype=jnp.dtype(dtype))


def _output_shape(
    form: str, left: Sequence[int], right: Sequence[int], problem: Problem
) -> tuple[int, ...]:
    groups = problem.settings.feature_group_count
    if form == "forward":
        out = problem.settings.out(problem.spatial, problem.window)
        return (*left[:2], *out, right[-1])
    if form == "input_gradient":
        return (*left[:2], *problem.spatial, groups * right[-2])
    return (left[0], *problem.window, left[-1] // groups, right[-1])


def _abstract(form: str, left, right, *, problem: Problem, dtype):
    shape = _output_shape(form, left.shape, right.shape, problem)
    return left.update(shape=shape, dtype=dtype, weak_type=False)


@lru_cache(maxsize=1024)
def _compiled(form: str, problem: Problem, dtype):
    bind = _PRIMITIVES[form].bind
    return jax.jit(lambda left, right: bind(left, right, problem=problem, dtype=dtype))


def _implement(form: str, left: Array, right: Array, *, problem: Problem, dtype):
    with jax.disable_jit(False):  # compiled even so: its body is this primitive
        return _compiled(form, problem, dtype)(left, right)


def _transpose(
    form: str, unknown: int, cotangent: Array, *arrays, problem: Problem, dtype
) -> Array:
    """The cotangent of the operand that is not known: one of the other two forms."""
    operands, output = _ROLES[form]
    known = dict(zip(operands, arrays, strict=True)) | {output: cotangent}
    wanted = operands[unknown]
    dtype = known.pop(wanted).aval.dtype
    (other,) = (name for name, (_, output) in _ROLES.items() if output == wanted)
    left, right = (known[role] for role in _ROLES[other][0])
    return _bind(other, left, right, problem, dtype)


def _batch(form: str, arrays, axes, *, problem: Problem, dtype):
    """Maps over axes of one operand or of both; B takes up an axis that both have."""
    operands, output = _ROLES[form]
    mapped = {
        role: jnp.moveaxis(array, axis, 0)
        for role, array, axis in zip(operands, arrays, axes, strict=True)
        if axis is not None
    }
    operand = dict(zip(operands, arrays, strict=True))
    size = next(iter(mapped.values())).shape[0]
    if len(mapped) == 2:
        letter, groups = "B", 1
    else:
        (role,) = mapped
        (letter,) = _AXES[role].keys() & _AXES[output].keys()
        groups = problem.settings.feature_group_count
    folded = {
        role: _fold(array, *_place(role, letter, groups))
        for role, array in mapped.items()
    }
    left, right = (folded.get(role, operand[role]) for role in operands)
    outputs = _bind(form, left, right, problem, dtype)
    return _unfold(outputs, *_place(output, letter, groups), size), 0


def _place(role: str, letter: str, groups: int) -> tuple[int, int]:
    """The axis of a letter, and the groups that it is divided into."""
    if letter == "B":
        return 0, 1
    return _AXES[role][letter], groups if (role, letter) in _GROUPED_AXES else 1


def _fold(array: Array, axis: int, groups: int) -> Array:
    """[V, ..., groups·L, ...] to [..., groups·V·L, ...]; the axis of L without V."""
    mapped, *shape = array.shape
    axis %= len(shape)
    before, length, after = shape[:axis], shape[axis], shape[axis + 1 :]
    split = array.reshape(mapped, *before, groups, length // groups, *after)
    moved = jnp.moveaxis(split, 0, axis + 1)
    return moved.reshape(*before, mapped * length, *after)


def _unfold(array: Array, axis: int, groups: int, size: int) -> Array:
    """[..., groups·V·L, ...] to [V, ..., groups·L, ...]: what `_fold` did, undone."""
    axis %= array.ndim
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    length = array.shape[axis] // size
    split = array.reshape(*before, groups, size, length // groups, *after)
    return jnp.moveaxis(split, axis + 1, 0).reshape(size, *before, length, *after)


def _primitive(form: str) -> Primitive:
    primitive = Primitive(f"convolution_{form}")
    primitive.def_impl(partial(_implement, form))
    primitive.def_abstract_eval(partial(_abstract, form))
    transposes = (partial(_transpose, form, unknown) for unknown in (0, 1))
    ad.defbilinear(primitive, *transposes)
    batching.primitive_batchers[primitive] = partial(_batch, form)
    for platform in ("cpu", None):
        lowered = partial(lower, form, platform == "cpu")
        rule = mlir.lower_fun(lowered, multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


_PRIMITIVES = {form: _primitive(form) for form in _ROLES}
