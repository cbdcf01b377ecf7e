"""Arrays spread over the devices of all processes: put there, moved, made whole."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding


def gathered(tree: Any) -> Any:
    """The tree with what is spread over devices whole on this process's first one."""
    leaves, structure = jax.tree.flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if _is_spread(leaf)]
    if not places:
        return tree
    mesh = next(
        leaves[i].sharding.mesh
        for i in places
        if isinstance(leaves[i].sharding, NamedSharding)
    )
    everywhere = NamedSharding(mesh, PartitionSpec())
    whole = _moved([leaves[i] for i in places], everywhere)
    for i, leaf in zip(places, whole, strict=True):
        leaves[i] = leaf.addressable_data(0)
    return jax.tree.unflatten(structure, leaves)


def _is_spread(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and len(leaf.sharding.device_set) > 1


def _moved(arrays: list[jax.Array], sharding: Sharding) -> list[jax.Array]:
    """Arrays that are spread, spread otherwise."""
    return _mover(sharding)(arrays)


@functools.lru_cache
def _mover(sharding: Sharding) -> Callable[..., Any]:
    """The identity, compiled once for each kind of array."""
    return jax.jit(lambda same: same, out_shardings=sharding)


def put(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process holds whole, or that is spread, as a sharding says.

    `jax.device_put` over processes would first compare all that they hold.
    """
    array = jax.numpy.asarray(leaf)
    if _is_spread(array):
        same = array.sharding.is_equivalent_to(sharding, array.ndim)
        return array if same else _moved([array], sharding)[0]
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = put(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda part: host[part])


def put_rows(own: np.ndarray, rows: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """An array of which every process has only the rows that its devices hold.

    Args:
      own: what this process has, [R, ...].
      rows: which of them each row of the whole array is, [N]; where it lies on devices
        of other processes, anything.
      sharding: over the first axis.
    """

    def held(part: tuple[slice, ...] | None) -> np.ndarray:
        assert part is not None
        return own[rows[part[0]]]

    shape = len(rows), *own.shape[1:]
    return jax.make_array_from_callback(shape, sharding, held)
