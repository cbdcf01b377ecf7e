"""Seeds and batches spread over devices: as if each had run alone."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from cnn_jax.training import meshes
from experiments.harness import placement
from tests.harness.toys import ROOT


def test_devices_change_no_bit_of_a_seed_and_sharing_a_batch_only_the_last():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.devices"],
        env={**os.environ, "XLA_FLAGS": flags, "PJRT_NPROC": "1"},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    gaps = told["gaps"]
    same = ["a single run", "5 seeds on 8", "called by a chunk", "5 streams on 8"]
    assert [gaps.pop(name) for name in same] == [0, 0, 0, 0]
    assert gaps.pop("3 seeds on 8") < 1e-6
    assert gaps.pop("vmap on 8") < 1e-5
    assert told["shares"] == [1, 1, 1, 2, 1, 1, 1]
    by = [(each["by"], each["reason"].partition(":")[0]) for each in told["placed"]]
    alone = [("map", "on a CPU")]
    assert by == alone * 4 + [("vmap", "--seeds_by=vmap")] + alone * 2


@pytest.mark.parametrize(
    ("devices", "seeds", "batch", "shares"),
    [(8, 5, 16, 1), (8, 3, 16, 2), (8, 1, 16, 8), (6, 1, 16, 2), (8, 1, 15, 1)],
)
def test_what_seeds_leave_over_shares_a_batch_where_it_divides(
    devices: int, seeds: int, batch: int, shares: int
):
    assert meshes.num_shares_for(devices, seeds, batch) == shares


def test_a_batch_that_cannot_be_shared_is_refused():
    mesh = jax.make_mesh((1,), ("other",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        assert meshes.num_shares() == 1
    batch = jax.numpy.zeros((2, 3, 1))

    def share(examples: Any) -> Any:
        return jax.vmap(meshes.own_share, axis_name=meshes.DATA)(examples)

    with pytest.raises(ValueError, match="that 2 devices can share, got 3 examples"):
        share(batch)


def test_vmap_is_taken_where_the_memory_is_known_to_hold_it():
    def choose(stats: dict[str, int] | None) -> str:
        needed = SimpleNamespace(
            temp_size_in_bytes=5, argument_size_in_bytes=2, output_size_in_bytes=1
        )
        device: Any = SimpleNamespace(memory_stats=lambda: stats)
        return placement.by_memory(needed, device)[0]

    assert choose({"bytes_limit": 10}) == "vmap"
    assert choose({"bytes_limit": 9}) == "map"
    assert choose(None) == "map"


@pytest.mark.parametrize(
    ("threads", "used", "note"),
    [("1", 8, ""), ("9", 8, ""), ("3", 4, "; 4 of 8 devices, --num_threads=5 for all")],
)
def test_devices_of_a_cpu_leave_a_thread_free(
    monkeypatch: pytest.MonkeyPatch, threads: str, used: int, note: str
):
    devices = [
        SimpleNamespace(platform="cpu", process_index=number // 4)
        for number in range(8)
    ]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setenv("PJRT_NPROC", threads)
    found, told = placement.usable_devices()
    assert (len(found), told) == (used, note)
    assert {each.process_index for each in found} == {0, 1}


def test_a_process_reads_for_the_seeds_that_its_devices_train(
    monkeypatch: pytest.MonkeyPatch,
):
    devices = [
        SimpleNamespace(platform="cpu", process_index=number // 2)
        for number in range(6)
    ]
    monkeypatch.setattr(placement, "usable_devices", lambda: (devices, ""))

    def own(num_seeds: int) -> list[list[int]]:
        found = []
        for index in range(3):
            monkeypatch.setattr(jax, "process_index", lambda index=index: index)
            found.append(placement.own_seeds(num_seeds).tolist())
        return found

    assert own(12) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert own(5) == [[0, 1], [2, 3], [4]]
    assert own(1) == [[0], [0], [0]]
