"""A real file system that is full or read-only: one line, and what was there stays."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.study import SOURCE
from tests.harness import toys

# What is run inside a name space of its own, where a small disk can be mounted.
_SCRIPT = """
import contextlib, io, json, os, subprocess, sys
from pathlib import Path

from experiments.harness.command import main

folder, disk, report = map(Path, sys.argv[1:])


def launch(*words):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        code = main(["--exp=study", f"--out={disk}", *words], folder)
    return code, told.getvalue()


def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)


def content():
    return {str(each): each.read_bytes() for each in disk.rglob("*") if each.is_file()}


mount("size=6m")
first = launch()
whole = content()
used = sum(map(len, whole.values()))
ends = []
# Each time the run has a little more room than before: it fails at every phase once.
for kilobytes in (0, 12, 24, 40, 72, 4096):
    filled = disk / "filler"
    with contextlib.suppress(OSError), open(filled, "ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(filled, filled.stat().st_size // 4096 * 4096 - 1024 * kilobytes)
    code, told = launch("--seed=1", "--checkpoint_seconds=0", "--resume=latest")
    filled.unlink()
    now = content()
    kept = all(now.get(name) == each for name, each in whole.items())
    ends.append((kilobytes, code, told, kept))
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
read_only = [launch("--seed=2"), launch("--seed=1", "--resume=latest")]
results = {}
for path in disk.glob("study/*/result.json"):
    result = json.loads(path.read_text())
    results[result["config"]["seed"]] = result["metrics_digest"]
report.write_text(json.dumps([first, ends, read_only, results]))
"""


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    test = ["unshare", "-r", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="no user name spaces to mount a disk in")
def test_a_full_disk_ends_a_run_at_every_phase_and_loses_nothing(tmp_path: Path):
    folder = toys.write(tmp_path / "experiments", "study", SOURCE)
    disk, report = tmp_path / "disk", tmp_path / "report.json"
    disk.mkdir()
    words = ["unshare", "-r", "-m", sys.executable, "-c", _SCRIPT]
    done = subprocess.run(
        [*words, str(folder), str(disk), str(report)],
        cwd=toys.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, ends, read_only, results = json.loads(report.read_text())
    assert first[0] == 0
    codes = [code for _, code, _, _ in ends]
    assert codes[0] == 5
    assert codes[-1] == 0
    assert set(codes) == {0, 5}
    for kilobytes, code, told, kept in ends:
        assert kept, kilobytes
        last = told.splitlines()[-1] if code else ""
        assert not code or last.startswith("launch.py: "), told
        assert not code or "No space left on device" in last, told
        assert "Traceback" not in told
    (new, line), (again, silent) = read_only
    assert new == 5
    assert line.splitlines()[-1].startswith("launch.py: cannot write to")
    assert (again, silent) == (0, "")  # it is complete: its table is printed
    assert set(results) == {"0", "1"}
