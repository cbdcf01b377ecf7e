"""Linear maps with a transpose of their own, under every transformation of jax.

    outputs = forward(operands, residuals),   linear in the operands
    operand cotangents = transposed(output cotangents, residuals)

`jax.custom_vjp` gives up forward mode and `jax.custom_derivatives.linear_call` gives up
vmap and second derivatives; here both functions are the parameters of one primitive.
Derivatives in the residuals are jax's own, of the two functions as they stand.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnn_jax.ops.meshes import varying_alike

Arrays = tuple[Array, ...]
Map = Callable[[Arrays, Arrays], Arrays]


def linear_map(
    forward: Map, transposed: Map, operands: Arrays, residuals: Arrays
) -> Arrays:
    """forward(operands, residuals), which reverse mode transposes by `transposed`.

    Args:
      forward: linear in its first argument; a function that equals itself when it is
        made again, since compilations are kept by it.
      transposed: its transpose; likewise.
      operands: what the map is linear in.
      residuals: what it depends on otherwise.

    Returns:
      A tuple of arrays.
    """
    arrays = varying_alike(*operands, *residuals)
    outputs = _linear.bind(
        *arrays, forward=forward, transposed=transposed, num_operands=len(operands)
    )
    return tuple(outputs)


def _run(*arrays: Array, forward: Map, num_operands: int, **_: Any) -> Arrays:
    return forward(arrays[:num_operands], arrays[num_operands:])


@lru_cache(maxsize=256)
def _compiled(forward: Map, num_operands: int) -> Callable[..., Arrays]:
    return jax.jit(
        lambda *arrays: _run(*arrays, forward=forward, num_operands=num_operands)
    )


def _implement(*arrays: Array, forward: Map, transposed: Map, num_operands: int):
    with jax.disable_jit(False):
        return _compiled(forward, num_operands)(*arrays)


def _abstract(*avals: Any, forward: Map, transposed: Map, num_operands: int):
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
    outputs = jax.eval_shape(
        forward, tuple(shapes[:num_operands]), tuple(shapes[num_operands:])
    )
    return [
        avals[0].update(shape=output.shape, dtype=output.dtype, weak_type=False)
        for output in outputs
    ]


def _jvp(primals, tangents, *, forward: Map, transposed: Map, num_operands: int):
    operands, residuals = primals[:num_operands], primals[num_operands:]
    outputs = linear_map(forward, transposed, operands, residuals)
    terms = []
    if any(type(tangent) is not ad.Zero for tangent in tangents[:num_operands]):
        moved = tuple(map(ad.instantiate_zeros, tangents[:num_operands]))
        terms.append(linear_map(forward, transposed, moved, residuals))
    moving = {
        place: tangent
        for place, tangent in enumerate(tangents[num_operands:])
        if type(tangent) is not ad.Zero
    }
    if moving:

        def of_moving(*moved: Array) -> Arrays:
            new = dict(zip(moving, moved, strict=True))
            given = tuple(new.get(i, residual) for i, residual in enumerate(residuals))
            return forward(operands, given)

        moved = tuple(residuals[place] for place in moving)
        terms.append(jax.jvp(of_moving, moved, tuple(moving.values()))[1])
    return outputs, [sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True)]


def _transpose(
    cotangents, *arrays, forward: Map, transposed: Map, num_operands: int
) -> list:
    operands, residuals = arrays[:num_operands], arrays[num_operands:]
    if all(type(cotangent) is ad.Zero for cotangent in cotangents):
        pulled: Any = (None,) * num_operands
    else:
        given = tuple(map(ad.instantiate_zeros, cotangents))
        pulled = linear_map(transposed, forward, given, residuals)
    wanted = [
        cotangent if ad.is_undefined_primal(operand) else None
        for operand, cotangent in zip(operands, pulled, strict=True)
    ]
    return wanted + [None] * len(residuals)


@lru_cache(maxsize=256)
def _mapped(function: Map, axes: tuple[int | None, ...]) -> Map:
    """function over a leading axis of all it is linear in, and of some residuals."""
    return jax.vmap(function, (0, axes))


def _batch(arrays, axes, *, forward: Map, transposed: Map, num_operands: int):
    size = next(
        array.shape[axis]
        for array, axis in zip(arrays, axes, strict=True)
        if axis is not None
    )
    front = [
        array if axis is None else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays, axes, strict=True)
    ]
    # The transpose of an operand shared by all would have to be summed: copied, the
    # sum is that of the broadcast's own transpose.
    operands = tuple(
        jnp.broadcast_to(array, (size, *array.shape)) if axis is None else array
        for array, axis in zip(front[:num_operands], axes[:num_operands], strict=True)
    )
    places = tuple(None if axis is None else 0 for axis in axes[num_operands:])
    outputs = linear_map(
        _mapped(forward, places),
        _mapped(transposed, places),
        operands,
        tuple(front[num_operands:]),
    )
    return outputs, [0] * len(outputs)


_linear = Primitive("linear_map")
_linear.multiple_results = True
_linear.def_impl(_implement)
_linear.def_abstract_eval(_abstract)
ad.primitive_jvps[_linear] = _jvp
ad.primitive_transposes[_linear] = _transpose
batching.primitive_batchers[_linear] = _batch
mlir.register_lowering(_linear, mlir.lower_fun(_run, multiple_results=True))
