"""`python launch.py` as a user meets it."""

import subprocess
import sys

import pytest

from tests.harness import toys

LAUNCH = toys.ROOT / "launch.py"
README = toys.ROOT / "README.md"


def launch(*words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *flags, str(LAUNCH), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_the_dependencies_it_names_the_command_that_brings_them():
    ended = launch(flags=("-S",))
    assert ended.returncode == 3
    assert ended.stdout == ""
    first, *rest = ended.stderr.splitlines()
    told, _, command = first.partition("; set up with: ")
    assert told == "absl is not installed"
    assert not rest
    assert f"{command} && .venv/bin/python launch.py" in README.read_text()


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--list",)])
def test_help_and_list_end_well(words: tuple[str, ...]):
    ended = launch(*words)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


def test_a_usage_error_is_one_line_on_stderr_and_code_2():
    ended = launch("--exp=equivarianc")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("launch.py: no experiment is named 'equivarianc'")
    assert ended.stderr.count("\n") == 1


def test_it_runs_from_any_directory(tmp_path):
    ended = subprocess.run(
        [sys.executable, str(LAUNCH), "--list"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0


def test_a_reader_that_stops_reading_is_no_error():
    process = subprocess.Popen(
        [sys.executable, str(LAUNCH), "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (0, "")
