"""A run that is killed goes on to the same bits; `tests.faults.kills` does it often."""

import subprocess
import sys

from tests.harness.toys import ROOT


def test_runs_that_are_killed_go_on_to_the_same_bits():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills", "--kills=5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("5 kills (")
