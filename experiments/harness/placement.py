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
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnn_jax.training import meshes
from experiments.harness import environment, peers, spread

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
        # What is read for own seeds alone has rows to spare, see `of_own_seeds`.
        return training.run(self, min(map(len, leaves)), per_seed, shared)

    def placed(self, layout: Layout, num_seeds: int) -> Callable[..., Any]:
        """The program of a layout; its arguments have to lie as the layout says."""
        if layout == Layout("map", None):
            return self._alone
        if (layout, num_seeds) not in self._placed:
            over = _over(self._function, layout.by)
            if layout.mesh is None:
                program = self._jit(over)
            else:
                over = _spread(over, layout.mesh, num_seeds)
                program = self._jit(over, out_shardings=layout.sharding(num_seeds))
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
    rows = _rows(num_seeds, mesh.shape[meshes.SEED])

    def evenly(leaf: jax.Array) -> jax.Array:
        return leaf if len(leaf) == len(rows) else leaf[rows]

    def program(per_seed: Any, *shared: Any) -> Any:
        per_seed = jax.tree.map(evenly, per_seed)
        found = jax.shard_map(
            over,
            mesh=mesh,
            in_specs=(seeds, *[everywhere] * len(shared)),
            out_specs=seeds,
            check_vma=False,
        )(per_seed, *shared)
        return jax.tree.map(lambda leaf: leaf[:num_seeds], found)

    return program


def _rows(num_seeds: int, num_groups: int) -> np.ndarray:
    """The seed of each row where every group of devices has as many of them."""
    return np.minimum(np.arange(num_seeds + -num_seeds % num_groups), num_seeds - 1)


def own_seeds(num_seeds: int) -> np.ndarray:
    """The seeds that devices of this process train, in order.

    What is read for a seed (see `Lab.stream`) no other process has to read.
    """
    devices = usable_devices()[0]
    rows = _rows(num_seeds, len(devices)).reshape(len(devices), -1)
    index = jax.process_index()
    own = [device.process_index == index for device in devices]
    return np.unique(rows[own])


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

    def of_own_seeds(self, read: Any, num_seeds: int) -> Any:
        """What each process has read for its `own_seeds`, as arrays over all seeds.

        They lie as a program without shared batches takes them, and nothing is copied
        between processes.
        """
        if len(self._devices) == 1:
            return read
        rows = _rows(num_seeds, len(self._devices))
        rows = np.searchsorted(own_seeds(num_seeds), rows)
        over_seeds = NamedSharding(
            meshes.mesh(self._devices), PartitionSpec(meshes.SEED)
        )
        return jax.tree.map(lambda leaf: spread.put_rows(leaf, rows, over_seeds), read)

    def _laid_out(
        self, layout: Layout, num_seeds: int, per_seed: Any, shared: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        if layout.mesh is None:
            return per_seed, *shared
        everywhere = NamedSharding(layout.mesh, PartitionSpec())

        def copied(leaf: Any) -> Any:  # once in a training
            if id(leaf) not in self._shared:
                self._shared[id(leaf)] = leaf, spread.put(leaf, everywhere)
            return self._shared[id(leaf)][1]

        return (
            jax.tree.map(
                lambda leaf: spread.put(leaf, layout.sharding(len(leaf))), per_seed
            ),
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
