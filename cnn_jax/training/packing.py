"""A pytree of arrays and typed keys as one array of bytes, and back.

Its leaves are told by name, dtype and shape, so that another tree is seen.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed key."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )


def leaves_of(state: Any) -> list[dict[str, Any]]:
    """Name, dtype and shape of every leaf as jax sees it, and how it is stored."""
    found = []
    forms = jax.tree.leaves(jax.eval_shape(lambda same: same, state))
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, leaf), form in zip(leaves, forms, strict=True):
        stored = jax.random.key_data(leaf) if is_key(leaf) else form
        found.append(
            {
                "name": jax.tree_util.keystr(path, simple=True, separator="."),
                "dtype": str(form.dtype),
                "stored": np.dtype(stored.dtype).name,
                "shape": list(stored.shape),
                "weak": bool(form.weak_type),
            }
        )
    return found


def size_of(form: Mapping[str, Any]) -> int:
    """Bytes of a leaf that `leaves_of` tells of."""
    return math.prod(form["shape"]) * np.dtype(form["stored"]).itemsize


def pack(state: Any) -> np.ndarray:
    """The bits of all leaves, and one byte more: orbax refuses an array of size 0.

    Args:
      state: a pytree of arrays and typed keys.

    Returns:
      [bytes].
    """
    parts = [np.zeros(1, np.uint8)]
    for leaf in reversed(jax.tree.leaves(state)):
        array = jax.random.key_data(leaf) if is_key(leaf) else jnp.asarray(leaf)
        parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return np.concatenate(parts[::-1])


def unpack(
    packed: np.ndarray, like: Any, forms: Iterable[Mapping[str, Any]] | None = None
) -> Any:
    """The pytree whose leaves lie behind each other.

    Args:
      packed: [bytes], as `pack` gives them.
      like: a pytree of the same structure.
      forms: dtype and shape of every leaf, if they are not those of `like`.
    """
    before, tree = jax.tree.flatten(like)
    forms = leaves_of(like) if forms is None else forms
    leaves, start = [], 0
    for form, leaf in zip(forms, before, strict=True):
        content = packed[start : start + size_of(form)]
        leaves.append(_rebuilt(content, form, leaf))
        start += len(content)
    return jax.tree.unflatten(tree, leaves)


def _rebuilt(content: np.ndarray, form: Mapping[str, Any], like: Any) -> jax.Array:
    """The leaf as it was: a typed key again, weakly typed where it was."""
    array = content.view(form["stored"]).reshape(form["shape"])
    if is_key(like):
        data = jnp.asarray(array)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(like))
    if form["weak"]:  # which only an update in place hands on
        zero = np.dtype(form["stored"]).type(0).item()
        return jnp.full(array.shape, zero).at[...].set(array)
    return jnp.asarray(array)
