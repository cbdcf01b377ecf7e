"""Trees of parameters in flax.linen's names: their checks, kernels and biases.

An entry is {"kernel": [D, H]} or {"kernel": [D, H], "bias": [H]}; entries i* multiply
the inputs, entries h* the state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Params = Mapping[str, Any]
Shape = tuple[int, ...]


def kernel_shape(params: Params, entry: str, cell: str) -> Shape:
    """The shape [H, H'] of an entry's kernel, which tells the sizes of all others.

    Raises:
      ValueError: no such entry, or a kernel that is no matrix.
    """
    kernel = params.get(entry, {}) if isinstance(params, Mapping) else {}
    kernel = kernel.get("kernel") if isinstance(kernel, Mapping) else None
    if kernel is None or jnp.ndim(kernel) != 2:
        raise ValueError(
            f"params: expected those of {cell}, with a matrix at {entry}/kernel, "
            f"got {_described(params)}"
        )
    return jnp.shape(kernel)


def check_params(params: Params, expected: dict[str, Shape], cell: str) -> None:
    """Raises ValueError unless the leaves are as expected.

    Args:
      params: nested dicts.
      expected: the shape at each path "entry/leaf"; a path ending in "?" may lack.
      cell: named in the error.
    """
    shapes = {path.rstrip("?"): shape for path, shape in expected.items()}
    needed = {path for path in expected if not path.endswith("?")}
    found = _shapes(params)
    if not needed <= found.keys() <= shapes.keys():
        raise ValueError(
            f"params: expected those of {cell}, {', '.join(sorted(expected))}, "
            f"got {_described(params)}"
        )
    for path, shape in found.items():
        if shape != shapes[path]:
            raise ValueError(
                f"params: expected shape {shapes[path]} at {path} of {cell}, "
                f"got {shape}"
            )


def _shapes(params: Params) -> dict[str, Shape]:
    leaves = jax.tree.leaves_with_path(params)
    return {
        "/".join(str(getattr(part, "key", part)) for part in path): jnp.shape(leaf)
        for path, leaf in leaves
    }


def _described(params: Any) -> str:
    return ", ".join(sorted(_shapes(params))) or "none"


def promote(params: Params, inputs: Array) -> tuple[Any, Array]:
    """Both in the one dtype that jax's promotion rules give."""
    dtype = jnp.result_type(*jax.tree.leaves(params), inputs)
    cast = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    return cast, jnp.asarray(inputs, dtype)


def kernels_of(params: Params, entries: Sequence[str]) -> tuple[Array, ...]:
    """[D, H] of each entry."""
    return tuple(params[entry]["kernel"] for entry in entries)


def biases_of(params: Params, entries: Sequence[str]) -> tuple[Array, ...] | None:
    """[H] of each entry, zeros where one lacks; None if all do."""
    biases = [params[entry].get("bias") for entry in entries]
    if all(bias is None for bias in biases):
        return None
    return tuple(
        jnp.zeros(kernel.shape[-1:], kernel.dtype) if bias is None else bias
        for bias, kernel in zip(biases, kernels_of(params, entries), strict=True)
    )


def add_bias(outputs: Array, bias: Array | None) -> Array:
    """outputs [..., H] + bias [H]"""
    if bias is None:
        return outputs
    return outputs + bias.reshape((1,) * (outputs.ndim - 1) + bias.shape)


def dense(params: Params, entry: str, inputs: Array) -> Array:
    """inputs @ kernel + bias of one entry."""
    kernel = params[entry]["kernel"]
    return add_bias(inputs.astype(kernel.dtype) @ kernel, params[entry].get("bias"))
