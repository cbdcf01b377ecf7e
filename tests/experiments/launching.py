"""The command line as a user has it, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def launch(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "launch.py", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def finished_run(experiment: str, out: Path, *words: str) -> Path:
    """The directory of a run that ended well."""
    done = launch(f"--exp={experiment}", *words, f"--out={out}")
    assert done.returncode == 0, done.stderr
    (directory,) = (out / experiment).iterdir()
    return directory


def read_result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


def assert_replays(run: Path) -> None:
    same = launch(f"--replay={run}")
    assert same.returncode == 0, same.stdout + same.stderr
    assert "bit-identical" in same.stdout
