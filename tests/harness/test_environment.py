"""What is set before jax starts, and the device that has to be there."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from experiments.harness import environment
from experiments.harness.exits import CommandError
from tests.harness import toys


def test_an_absent_gpu_is_one_line(folder: Path, out: Path):
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    ended = toys.launch(folder, "--exp=toy", "--device=gpu", f"--out={out}")
    assert ended.returncode == 3
    assert ended.stderr.startswith("launch.py: no GPU that jax can use")
    assert ended.stderr.count("\n") == 1
    assert not out.exists()


def test_unlike_numbers_of_devices_are_told_with_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
):
    owners = [0, 1, 1, 2]
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(
        jax, "devices", lambda: [SimpleNamespace(process_index=each) for each in owners]
    )
    with pytest.raises(CommandError, match=r"they have 1, 2, 1$"):
        environment.check_device(jax.default_backend())
    owners += [0, 2]
    environment.check_device(jax.default_backend())


def test_threads_and_precision_are_pinned_before_jax_starts(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    environment.prepare("gpu", 3)
    assert os.environ["PJRT_NPROC"] == "3"
    assert os.environ["JAX_DEFAULT_MATMUL_PRECISION"] == "highest"
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_deterministic_ops=true"
    environment.prepare("cpu", 1)
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    assert "--xla_backend_optimization_level=1" in os.environ["XLA_FLAGS"]
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    environment.prepare("cpu", 1)  # what the user set stays
    assert os.environ["XLA_FLAGS"] == "--xla_backend_optimization_level=3"


SOLVED = """
import sys

from experiments.harness import environment

environment.prepare("cpu", 2)
import numpy as np

matrix = np.random.RandomState(0).standard_normal((300, 300))
print(np.linalg.solve(matrix, matrix.T).tobytes().hex())
"""


def test_solutions_of_numpy_do_not_depend_on_the_number_of_cores():
    found = set()
    for threads in ("1", "2"):
        variables = dict(os.environ) | {"OPENBLAS_NUM_THREADS": threads}
        words = [sys.executable, "-c", SOLVED]
        found.add(subprocess.run(words, env=variables, stdout=subprocess.PIPE).stdout)
    assert len(found) == 1
    assert found != {b""}


def test_compiled_programs_are_kept_in_the_cache_directory(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    environment.prepare("cpu", 2)
    kept = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert kept.is_relative_to(os.environ["CNN_JAX_CACHE"])
    assert kept.is_dir()


TOLD = """
import os
import sys

import jax

before = jax.config.values["jax_compilation_cache_dir"]
from experiments.harness import environment

environment.restart()
print(before == os.environ["JAX_COMPILATION_CACHE_DIR"], os.environ["PJRT_NPROC"])
print(*sys.argv[1:], sep="|")
"""


def test_a_command_that_imported_jax_too_early_starts_anew(tmp_path: Path):
    path = tmp_path / "too_early.py"
    path.write_text(TOLD)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    variables |= {"PYTHONPATH": os.getcwd(), "PJRT_NPROC": "1"}
    words = [sys.executable, str(path), "--rate=1", "two words"]
    ended = subprocess.run(words, env=variables, capture_output=True, text=True)
    assert ended.stdout == "True 3\n--rate=1|two words\n", ended.stderr
