"""What a primitive of convolution is compiled to, on the platform it is lowered for.

Arrays have a leading axis B of convolutions of their own, as in `primitive`: on a CPU
they are one compiled loop, elsewhere one batched convolution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from cnn_jax.ops.algorithms import Settings, autotune, registry, selection


@dataclass(frozen=True)
class Problem:
    """What the three forms of one convolution share. Hashable.

    Attributes:
      settings: strides, padding, dilations, groups, precision.
      spatial: sizes of the inputs.
      window: sizes of the kernel.
      algorithms: names for the three forms, in the order of `registry.FORMS`; "auto"
        and "autotune" are chosen where the primitive is lowered.
    """

    settings: Settings
    spatial: tuple[int, ...]
    window: tuple[int, ...]
    algorithms: tuple[str, str, str]


def lower(
    form: str, on_cpu: bool, left: Array, right: Array, *, problem: Problem, dtype
) -> Array:
    """What is compiled: one convolution after the other on a CPU, else all at once."""
    # A cotangent has the preferred element type, which is wider than the other's.
    wider = max(left.dtype, right.dtype, key=lambda dtype: dtype.itemsize)
    left, right = left.astype(wider), right.astype(wider)
    compute = partial(_compute, form, on_cpu, problem=problem, dtype=dtype)
    if len(left) == 1:
        return compute(left[0], right[0])[None]
    if on_cpu and not _is_elementwise(form, left.shape, right.shape, problem):
        return lax.map(lambda pair: compute(*pair), (left, right))
    return jax.vmap(compute)(left, right)


def _is_elementwise(
    form: str, left: Sequence[int], right: Sequence[int], problem: Problem
) -> bool:
    """Whether every tap scales channels: a loop keeps XLA from vectorizing that.

    Kernel gradients are sums as well, and such sums of rank 7 crash jaxlib 0.10.2.
    """
    if form == "kernel_gradient":
        return False
    name = _chosen(form, True, left[1:], right[1:], jnp.float32, problem)
    groups = problem.settings.feature_group_count
    each = form == "forward" or right[-1] == groups
    return name == "shifted" and right[-2] == 1 and each


def _compute(
    form: str, on_cpu: bool, left: Array, right: Array, *, problem: Problem, dtype
) -> Array:
    """One convolution, or one of its gradients: the arrays have no axis B."""
    settings = problem.settings
    name = _chosen(form, on_cpu, left.shape, right.shape, left.dtype, problem)
    if name == "autotune":
        name = _measured(form, on_cpu, left, right, problem=problem, dtype=dtype)
    if name == registry.GROUPED:
        return _by_groups(form, on_cpu, left, right, problem=problem, dtype=dtype)
    algorithm = registry.FORMS[form][name]
    if form == "forward":
        preferred = None if dtype == left.dtype else dtype
        settings = replace(settings, preferred_element_type=preferred)
        return algorithm(left, right, settings).astype(dtype)
    sizes = problem.spatial if form == "input_gradient" else problem.window
    return algorithm(left, right, settings, sizes).astype(dtype)


def _chosen(
    form: str,
    on_cpu: bool,
    left: Sequence[int],
    right: Sequence[int],
    dtype: DTypeLike,
    problem: Problem,
) -> str:
    """The algorithm's name for arrays of these shapes, without an axis B."""
    name = problem.algorithms[list(registry.FORMS).index(form)]
    if name != "auto":
        return name
    if not on_cpu:
        if jnp.issubdtype(dtype, jnp.inexact):
            return "direct"
        # cuDNN convolves no int32.
        dense = problem.settings.feature_group_count == 1
        return "im2col" if dense else registry.GROUPED
    kernel_shape = _kernel_shape(form, left, right, problem)
    sizes = (problem.spatial, kernel_shape)
    return selection.select(form, *sizes, problem.settings, left[0])


def _measured(
    form: str, on_cpu: bool, left: Array, right: Array, *, problem: Problem, dtype
) -> str:
    """The name that "autotune" stands for."""

    def compute(name: str) -> Callable[..., Array]:
        alone = replace(problem, algorithms=(name,) * 3)
        return partial(lower, form, on_cpu, problem=alone, dtype=dtype)

    kernel_shape = _kernel_shape(form, left.shape, right.shape, problem)
    sizes = (problem.spatial, kernel_shape)
    settings = problem.settings
    return autotune.choose(form, on_cpu, (left, right), sizes, settings, dtype, compute)


def _kernel_shape(
    form: str, left: Sequence[int], right: Sequence[int], problem: Problem
) -> Sequence[int]:
    if form != "kernel_gradient":
        return right
    channels = left[-1] // problem.settings.feature_group_count
    return (*problem.window, channels, right[-1])


def _by_groups(
    form: str, on_cpu: bool, left: Array, right: Array, *, problem: Problem, dtype
) -> Array:
    """The groups as an axis B of convolutions without groups."""
    groups = problem.settings.feature_group_count
    settings = replace(problem.settings, feature_group_count=1)
    dense = replace(problem, settings=settings)
    if registry.GROUPED in problem.algorithms:  # measured as one of the candidates
        dense = replace(dense, algorithms=("autotune",) * 3)
    split = (_split(left, groups), _split(right, groups))
    outputs = lower(form, on_cpu, *split, problem=dense, dtype=dtype)
    joined = jnp.moveaxis(outputs, 0, -2)
    return joined.reshape(*joined.shape[:-2], groups * joined.shape[-1])


def _split(array: Array, groups: int) -> Array:
    """[..., groups · L] to [groups, ..., L]: channels of x, features of k and y."""
    split = array.reshape(*array.shape[:-1], groups, array.shape[-1] // groups)
    return jnp.moveaxis(split, -2, 0)
