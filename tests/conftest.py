"""Strictness for every test, and how many examples hypothesis draws."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

from experiments.harness.compilation import HAS_OLDER_GENERATOR

# Tests compile for longer than they run, so XLA does it in a quick way, on one thread:
# less than half the time. With XLA_FLAGS set, if only to nothing, as that says.
_QUICK = [
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if HAS_OLDER_GENERATOR:
    _QUICK.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_QUICK))

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

# Every draw compiles: no deadline, and the same draws on every machine.
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, max_examples=60
)
hypothesis.settings.load_profile("repeatable")

_STRICT = ("ops", "layers", "instruments")


@pytest.fixture(autouse=True)
def _strict_dtype_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
    """No silent promotion in our own numerics; optax could not live with it."""
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    mode = "strict" if folder in _STRICT else "standard"
    with jax.numpy_dtype_promotion(mode):
        yield
