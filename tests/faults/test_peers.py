"""Several processes that run one study: the same bits, and an end where one is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from experiments.harness import directory
from tests.faults import study
from tests.faults.conftest import Begin
from tests.faults.study import logged
from tests.harness import nets, toys

LONG = 300.0
PATIENCE = 30.0  # within which the loss of a peer has to end the others


@pytest.fixture
def start(tmp_path: Path, begin: Begin) -> Begin:
    """`start(*words, cores, **variables)`: a command line in a process of its own."""
    folder = toys.write(tmp_path / "experiments", "nets", nets.SOURCE)
    toys.write(folder, "study", study.SOURCE)

    def on(
        *words: str, cores: Collection[int] = (), **variables: str
    ) -> subprocess.Popen[str]:
        before = os.sched_getaffinity(0) if cores else ()
        if cores:  # a process has the cores of the thread that starts it
            os.sched_setaffinity(0, cores)
        process = begin(toys.command(folder, *words), **variables)
        if cores:
            os.sched_setaffinity(0, before)
        return process

    return on


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def together(start: Callable, count: int, *words: str) -> list[subprocess.Popen[str]]:
    """The same command in several processes."""
    joint = (f"--coordinator=localhost:{free_port()}", f"--num_processes={count}")
    return [start(*words, *joint, f"--process_id={index}") for index in range(count)]


def ended(process: subprocess.Popen[str], seconds: float = LONG) -> tuple[int, str]:
    """The code and the last line that was told."""
    _, told = process.communicate(timeout=seconds)
    return process.returncode, (told.splitlines() or [""])[-1]


def complete(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        code, told = ended(process)
        assert code == 0, told


def digest(out: Path) -> str:
    (result,) = out.glob("*/*/result.json")
    return json.loads(result.read_text())["metrics_digest"]


def wait_for(
    seen: Callable[[], object], processes: list[subprocess.Popen[str]]
) -> None:
    while not seen():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)


def test_two_processes_give_the_bits_of_two_devices_of_one_core(
    start: Callable, tmp_path: Path
):
    words = ("--exp=nets", "--num_seeds=1", "--num_threads=3")
    both, one = tmp_path / "both", tmp_path / "one"
    complete(*together(start, 2, *words, f"--out={both}"))
    (run,) = both.glob("nets/*")
    placed = [each for each in directory.read_log(run) if each["event"] == "placed"]
    assert [(each["devices"], each["batch_shared_by"]) for each in placed] == [(2, 2)]
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    core = list(os.sched_getaffinity(0))[:1] if sys.platform == "linux" else ()
    complete(start(*words, f"--out={one}", cores=core, XLA_FLAGS=flags))
    assert digest(one) == digest(both)


def test_processes_that_each_read_for_their_own_seeds_give_the_bits_of_one(
    start: Callable, tmp_path: Path
):
    words = ("--exp=nets", "--num_seeds=3", "--chunks=2", "--stream=0")
    both, one = tmp_path / "both", tmp_path / "one"
    complete(*together(start, 2, *words, f"--out={both}"))
    complete(start(*words, f"--out={one}"))
    assert digest(one) == digest(both)


def test_processes_of_other_commands_end_before_they_train(
    start: Callable, tmp_path: Path
):
    joint = (f"--coordinator=localhost:{free_port()}", "--num_processes=2")
    words = ("--exp=nets", "--num_seeds=1", f"--out={tmp_path / 'runs'}", *joint)
    both = [
        start(*words, f"--seed={index}", f"--process_id={index}") for index in (0, 1)
    ]
    told = "launch.py: unlike process 0, this one differs: seed was 0, is 1"
    assert [ended(process) for process in both] == [(2, told), (2, told)]
    (run,) = tmp_path.glob("runs/nets/*")
    events = [each["event"] for each in directory.read_log(run)]
    assert "chunk" not in events


def test_a_lost_peer_ends_the_others_and_fewer_go_on(start: Callable, tmp_path: Path):
    out, whole = tmp_path / "runs", tmp_path / "whole"
    words = ("--exp=study", "--num_seeds=4", "--chunks=6", "--resume=latest")
    words += ("--checkpoint_seconds=0",)
    complete(start(*words, f"--out={whole}"))
    processes = together(start, 4, *words, f"--out={out}", "--pause=0.2")
    wait_for(lambda: logged(out, "checkpoint"), processes)
    processes[2].send_signal(signal.SIGKILL)
    began = time.monotonic()
    for process in (processes[index] for index in (0, 1, 3)):
        code, told = ended(process, PATIENCE)
        assert code == 7, told
        assert "lost" in told
    assert time.monotonic() - began < PATIENCE
    before = len(logged(out, "chunk"))
    (run,) = out.glob("study/*")
    fewer = together(start, 2, f"--resume={run}", "--checkpoint_seconds=0")
    wait_for(lambda: len(logged(out, "chunk")) > before + 1, fewer)
    fewer[1].send_signal(signal.SIGTERM)
    for process in fewer:
        assert ended(process) == (143, "launch.py: terminated")
    assert logged(out, "restored")
    last, kept = logged(out, "chunk")[-1], logged(out, "checkpoint")[-1]
    assert (last["label"], last["chunk"]) == (kept["label"], kept["chunk"])
    complete(start(*words, f"--out={out}", "--pause=0.2"))
    assert digest(out) == digest(whole)


def test_an_absent_peer_ends_the_first_in_time(tmp_path: Path):
    folder = toys.write(tmp_path / "experiments", "study", study.SOURCE)
    python, option, code, *words = toys.command(
        folder,
        "--exp=study",
        f"--out={tmp_path / 'runs'}",
        f"--coordinator=localhost:{free_port()}",
        "--num_processes=2",
        "--process_id=0",
    )
    code = f"from experiments.harness import peers; peers.PATIENCE = 3; {code}"
    done = subprocess.run(
        [python, option, code, *words],
        capture_output=True,
        text=True,
        cwd=toys.ROOT,
        check=False,
    )
    told = "launch.py: not all processes came within 3 s\n"
    assert (done.returncode, done.stderr) == (7, told)
    assert not (tmp_path / "runs").exists()
