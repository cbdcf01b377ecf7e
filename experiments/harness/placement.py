"""Where the seeds of a training run: on which devices, and in which way on each.

`over_seeds` gives a `Program`. Called within `Lab.fit` it spreads the seeds over all
devices of all processes, as a mesh of [seed, data] (see `cnn_jax.training.meshes`);
called anywhere else it stays on one device, and every process computes the same. If the
seeds are no multiple of the devices, the last seed is repeated and what comes of the
repetition is dropped.

On its device a seed runs after the others ("map": bit for bit what it would give alone,
on however many devices) or beside them ("vmap", whose last bits may differ).
"""

import contextlib
import dataclasses
import functools
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from cnn_jax.training import meshes
from experiments.harness import environment, peers

MEMORY = 0.8  # of a device's, that the seeds of a vmap may fill

_under_way = threading.local()  # the `Training` of this thread, if there is one


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a program runs.

    Attributes:
      by: "map" or "vmap".
      mesh: of more than one device, or None.
    """

    by: str
    mesh: Mesh | None

    def sharding(self, num_seeds: int) -> NamedSharding:
        """Of what has a leading seed axis, between two calls of a program."""
        assert self.mesh is not None
        even = num_seeds % self.mesh.shape[meshes.SEED] == 0
        axes = (meshes.SEED,) if even else ()
        return NamedSharding(self.mesh, PartitionSpec(*axes))


class Program:
    """A function of one seed as a jitted one of all; see `seeds.over_seeds`."""

    def __init__(
        self,
        function: Callable[..., Any],
        jit: Callable[..., Callable[..., Any]],
        batch_size: int | None,
    ) -> None:
        self.batch_size = batch_size
        self._function, self._jit = function, jit
        self._alone = jit(_over(function, "map"))
        self._placed: dict[tuple[Layout, int], Callable[..., Any]] = {}

    def __call__(self, per_seed: Any, *shared: Any) -> Any:
        leaves = jax.tree.leaves(per_seed)
        training = getattr(_under_way, "training", None)
        if training is None or isinstance(leaves[0], jax.core.Tracer):
            return self._alone(per_seed, *shared)
        return training.run(self, len(leaves[0]), per_seed, shared)

    def placed(self, layout: Layout, num_seeds: int) -> Callable[..., Any]:
        """The program of a layout; its arguments have to lie as the layout says."""
        if layout == Layout("map", None):
            return self._alone
        if (layout, num_seeds) not in self._placed:
            over = _over(self._function, layout.by)
            if layout.mesh is None:
                program = self._jit(over)
            else:
                spread = _spread(over, layout.mesh, num_seeds)
                program = self._jit(spread, out_shardings=layout.sharding(num_seeds))
            self._placed[layout, num_seeds] = program
        return self._placed[layout, num_seeds]


def _over(function: Callable[..., Any], by: str) -> Callable[..., Any]:
    def mapped(per_seed: Any, *shared: Any) -> Any:
        if by == "vmap":
            return jax.vmap(lambda one: function(one, *shared))(per_seed)
        return jax.lax.map(lambda one: function(one, *shared), per_seed)

    return mapped


def _spread(over: Callable[..., Any], mesh: Mesh, num_seeds: int) -> Callable[..., Any]:
    """Each device its seeds; types of axes are not checked, as optax knows none."""
    seeds, everywhere = PartitionSpec(meshes.SEED), PartitionSpec()
    more = -num_seeds % mesh.shape[meshes.SEED]
    index = np.minimum(np.arange(num_seeds + more), num_seeds - 1)

    def spread(per_seed: Any, *shared: Any) -> Any:
        if more:
            per_seed = jax.tree.map(lambda leaf: leaf[index], per_seed)
        found = jax.shard_map(
            over,
            mesh=mesh,
            in_specs=(seeds, *[everywhere] * len(shared)),
            out_specs=seeds,
            check_vma=False,
        )(per_seed, *shared)
        return jax.tree.map(lambda leaf: leaf[:num_seeds], found) if more else found

    return spread


class Training:
    """Places the programs that one training runs.

    Args:
      chunk: of the training; the devices that seeds leave over share its batches, if it
        is a program of a known batch size. One that calls programs leaves them idle and
        gets and gives states whole, on one device.
      states: of the training, before it.
      seeds_by: "auto", "map" or "vmap".
      log: `log("placed", **fields)`, for each program.
    """

    def __init__(
        self, chunk: Any, states: Any, seeds_by: str, log: Callable[..., None]
    ) -> None:
        self._devices, self._note = usable_devices()
        self._chunk, self._seeds_by, self._log = chunk, seeds_by, log
        self._layouts: dict[tuple[Program, int], Layout] = {}
        self._shared: dict[int, tuple[Any, Any]] = {}  # what is given, and its copies
        self.num_shares = 1
        if isinstance(chunk, Program) and chunk.batch_size is not None:
            num_seeds = len(jax.tree.leaves(states)[0])
            self.num_shares = meshes.num_shares_for(
                len(self._devices), num_seeds, chunk.batch_size
            )

    def run(
        self, program: Program, num_seeds: int, per_seed: Any, shared: tuple[Any, ...]
    ) -> Any:
        """A program's result, spread over the devices."""
        known = program, num_seeds
        if known not in self._layouts:
            self._layouts[known] = self._layout(program, num_seeds, per_seed, shared)
        layout = self._layouts[known]
        given = self._laid_out(layout, num_seeds, per_seed, shared)
        return program.placed(layout, num_seeds)(*given)

    def _laid_out(
        self, layout: Layout, num_seeds: int, per_seed: Any, shared: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        if layout.mesh is None:
            return per_seed, *shared
        everywhere = NamedSharding(layout.mesh, PartitionSpec())

        def copied(leaf: Any) -> Any:  # once in a training
            if id(leaf) not in self._shared:
                self._shared[id(leaf)] = leaf, _put(leaf, everywhere)
            return self._shared[id(leaf)][1]

        placed = layout.sharding(num_seeds)
        return (
            jax.tree.map(lambda leaf: _put(leaf, placed), per_seed),
            *jax.tree.map(copied, shared),
        )

    def _layout(
        self, program: Program, num_seeds: int, per_seed: Any, shared: tuple[Any, ...]
    ) -> Layout:
        """Chooses, and says so in the log."""
        shares = self.num_shares if program is self._chunk else 1
        mesh = meshes.mesh(self._devices, shares) if len(self._devices) > 1 else None
        if self._seeds_by != "auto":
            by, reason = self._seeds_by, f"--seeds_by={self._seeds_by}"
        elif self._devices[0].platform == "cpu":
            by, reason = "map", "on a CPU: each seed bit for bit as alone"
        else:
            layout = Layout("vmap", mesh)
            given = self._laid_out(layout, num_seeds, per_seed, shared)
            jitted: Any = program.placed(layout, num_seeds)
            needed = jitted.lower(*given).compile().memory_analysis()
            by, reason = by_memory(needed, jax.local_devices()[0])
            by = ("map", "vmap")[peers.gather([by == "vmap"])[0][0]]  # as the first
        self._log(
            "placed",
            seeds=num_seeds,
            devices=len(self._devices),
            batch_shared_by=shares,
            by=by,
            reason=reason + self._note,
        )
        return Layout(by, mesh)


@contextlib.contextmanager
def training(
    chunk: Any, states: Any, seeds_by: str, log: Callable[..., None]
) -> Generator[Training]:
    """While the block runs, programs that this thread calls are placed.

    Args: see `Training`.
    """
    _under_way.training = Training(chunk, states, seeds_by, log)
    try:
        yield _under_way.training
    finally:
        del _under_way.training


def usable_devices() -> tuple[list[jax.Device], str]:
    """The devices of all processes that trainings use, and why not the others.

    Devices of one CPU are programs side by side, see `environment`.
    """
    found = jax.devices()
    if found[0].platform != "cpu":
        return found, ""
    most = environment.devices_at_once()
    by_process: dict[int, list[jax.Device]] = defaultdict(list)
    for device in found:
        by_process[device.process_index].append(device)
    used = [device for own in by_process.values() for device in own[:most]]
    if len(used) == len(found):
        return used, ""
    wanted = 1 + max(map(len, by_process.values()))
    note = f"; {len(used)} of {len(found)} devices, --num_threads={wanted} for all"
    return used, note


def by_memory(needed: Any, device: jax.Device) -> tuple[str, str]:
    """ "vmap" where its program fits into the device's memory, and the reason.

    Args:
      needed: `memory_analysis()` of the compiled program.
      device: that it would run on.
    """
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if needed is None or limit is None:
        return "map", "the memory that vmap needs is not known"
    total = (
        needed.temp_size_in_bytes
        + needed.argument_size_in_bytes
        + needed.output_size_in_bytes
    )
    limit /= environment.programs_at_once()  # trainings, each of which asks
    by = "vmap" if total <= MEMORY * limit else "map"
    return by, f"vmap needs {total / 1e6:.0f} MB, a training may have {limit / 1e6:.0f}"


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


def _put(leaf: Any, sharding: NamedSharding) -> jax.Array:
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
        data = _put(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda part: host[part])
