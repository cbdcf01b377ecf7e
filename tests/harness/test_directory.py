"""Run directories: whole files, or none; one run at a time."""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.harness import directory
from experiments.harness.exits import CommandError
from tests.harness import toys
from tests.harness.toys import Launch


def test_an_out_that_cannot_be_written_is_one_line(launch: Launch, tmp_path: Path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    ended = launch("--exp=toy", f"--out={occupied}")
    assert ended.code == 5
    assert ended.err == f"launch.py: cannot write to {occupied}: Not a directory\n"


@pytest.mark.parametrize("below", [(), ("deeper", "still")])
def test_an_out_is_refused_before_anything_is_made(
    tmp_path: Path, below: tuple[str, ...]
):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(CommandError, match="Not a directory") as refused:
        directory.check_writable(occupied.joinpath(*below))
    assert refused.value.code == 5
    directory.check_writable(tmp_path.joinpath("new", *below))
    assert list(tmp_path.iterdir()) == [occupied]


def test_a_full_disk_leaves_nothing_behind(
    launch: Launch, out: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "_sync", full)
    ended = launch("--exp=toy", f"--out={out}")
    assert ended.code == 5
    assert ended.err.startswith(f"launch.py: No space left on device: {out}/toy/")
    assert ended.err.endswith("/config.json\n")
    assert not list(out.rglob("*"))


def test_a_file_that_cannot_be_finished_keeps_its_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    directory.write_whole(tmp_path / "file", "old")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "_sync", full)
    with pytest.raises(OSError, match="No space"):
        directory.write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_in_use_is_refused(launch: Launch, finished: Path):
    with open(finished / "log.jsonl") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        ended = launch(f"--replay={finished}")
    assert ended.code == 3
    assert ended.err == f"launch.py: {finished} is in use by a run\n"


def test_a_run_holds_its_directory_until_it_is_closed(tmp_path: Path):
    run = directory.RunDirectory.new(tmp_path, "toy")
    run.write("result.json", "{}")
    with pytest.raises(CommandError, match="in use"), directory.finished(run.path):
        pass
    run.close()
    with pytest.raises(CommandError, match="damaged"), directory.finished(run.path):
        pass


def test_a_kill_frees_the_directory(folder: Path, out: Path, launch: Launch):
    process = subprocess.Popen(
        toys.command(folder, "--exp=toy", "--fail=sleep", f"--out={out}"),
        cwd=toys.ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(
            lambda: [r for r in sorted(out.glob("*/*")) if "sleeping" in _text(r)]
        )
        (run,) = sorted(out.glob("*/*"))
        assert launch(f"--replay={run}").code == 3
    finally:
        process.kill()
        process.wait()
    assert launch(f"--replay={run}").code == 6


def _text(run: Path) -> str:
    path = run / "log.jsonl"
    return path.read_text() if path.exists() else ""


def _wait_for(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300  # a loaded machine starts slowly
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_newest_stamp_is_found_of_those_that_say_what_is_wanted(tmp_path: Path):
    """Of two in one second the one that was written last."""
    said = {
        "20260101-000001-bbbbbb": '{"a": 1}',
        "20260101-000001-aaaaaa": '{"a": 1}',
        "20250101-000000-cccccc": '{"a": 1}',
        "20270101-000000-dddddd": '{"a": 2}',
        "20280101-000000-eeeeee": '{"a": ',
    }
    for moment, (name, text) in enumerate(said.items()):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "config.json"
        path.write_text(text)
        os.utime(path, (moment, moment))
    found = directory.newest(
        tmp_path.glob("*/config.json"), lambda said, _: said == {"a": 1}
    )
    assert found == tmp_path / "20260101-000001-aaaaaa"
    assert directory.newest(tmp_path.glob("*/config.json"), lambda *_: False) is None
