"""Meshes of devices with the axes "seed" and "data", and batches split over "data".

Seeds come first: they need no communication, and one device gives each the bits that it
would get alone. Devices that seeds leave over share the examples of every step, whose
gradients they average. Inside `jax.shard_map` over such a mesh `classification.chunk`
splits its batches; outside of one nothing here does anything.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh

SEED = "seed"
DATA = "data"


def mesh(devices: Sequence[jax.Device], num_shares: int = 1) -> Mesh:
    """The devices as [seed, data].

    Args:
        devices: all of them, in the same order in every process.
        num_shares: devices that share the batch of one seed.

    Raises:
        ValueError: `num_shares` does not divide the number of devices.
    """
    if len(devices) % num_shares:
        raise ValueError(
            f"expected a divisor of {len(devices)} devices, got {num_shares}"
        )
    placed = np.asarray(devices).reshape(-1, num_shares)
    return Mesh(placed, (SEED, DATA), axis_types=(AxisType.Auto,) * 2)


def num_shares_for(num_devices: int, num_seeds: int, batch_size: int) -> int:
    """How many devices share a batch: as many as seeds leave over.

    Args:
        num_devices: 1 or more.
        num_seeds: 1 or more.
        batch_size: of one step.

    Returns:
        The largest divisor of both the devices and the batch that leaves a device, or a
        group of them, for each seed; 1 where there are fewer devices than seeds.
    """
    most = max(1, num_devices // num_seeds)
    sizes = range(1, most + 1)
    return max(n for n in sizes if not (num_devices % n or batch_size % n))


def num_shares() -> int:
    """Devices that share a batch where this is traced: 1 outside of `jax.shard_map`."""
    try:
        return lax.axis_size(DATA)
    except NameError:  # how jax says that no such axis is mapped
        return 1


def own_share(batch: jax.Array) -> jax.Array:
    """This device's examples of a batch [N, ...]: [N / num_shares, ...].

    Raises:
        ValueError: N is no multiple of the devices that share it.
    """
    shares = num_shares()
    if shares == 1:
        return batch
    if len(batch) % shares:
        raise ValueError(
            f"expected a batch that {shares} devices can share, got {len(batch)} "
            "examples"
        )
    size = len(batch) // shares
    return lax.dynamic_slice_in_dim(batch, lax.axis_index(DATA) * size, size)


def mean_over_shares(tree: Any) -> Any:
    """The mean of every leaf over the devices that share a batch.

    That of a mean over examples, or of its gradient, is the mean over the whole batch.
    """
    return lax.pmean(tree, DATA) if num_shares() > 1 else tree
