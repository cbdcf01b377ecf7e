"""What a result depends on beside its config: set before jax starts, then recorded.

Bits are the same on every run only if nothing outside the config decides about them:
the number of threads is pinned (XLA's CPU backend splits sums by it, and so do numpy's
solvers, whose threads moreover wait in a loop that takes the cores from jax), float32
products are float32 on every device, and a GPU is told to be deterministic. Compiled
programs are kept in the user's cache directory, which changes times and no bits.

Two programs run side by side only if a thread is left that neither can keep busy, or if
they share one. A program keeps its thread until it ends; work that others left there
waits, and once 1,024 pieces do, Eigen does the next ones at once, amid another piece
whose numbers they overwrite: convolutions come out wrong, by far more than rounding
(seen in jax 0.10.2 with two programs on two threads and three on three, in the
gradients of LeNet with 8 and 32 maps, from about the hundredth step on). A free thread
takes that work away.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from experiments.harness.exits import UNAVAILABLE, CommandError

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("jax", "jaxlib", "flax", "numpy", "scipy", "optax")

# "cpu" comes second so that host computations have a place beside an accelerator.
PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu", "tpu": "tpu,cpu"}
_INSTALL = {"gpu": "the extra cuda12 or cuda13", "tpu": "the extra tpu"}
# Most of a short run is compilation, and all but elementwise work is done by library
# calls: LLVM's second level costs a fifth of a --quick run and makes no step faster.
_FLAGS = {
    "cpu": ("--xla_backend_optimization_level=1",),
    "gpu": ("--xla_gpu_deterministic_ops=true",),
    "tpu": (),
}
_NUM_THREADS = "PJRT_NPROC"
_READ_BY_XLA = ("JAX_", "XLA_", "PJRT_")
_WITHOUT_EFFECT = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")  # on any number


def prepare(device: str, num_threads: int) -> None:
    """Sets the variables that jax and numpy read when they are first imported."""
    os.environ["JAX_PLATFORMS"] = PLATFORMS[device]
    os.environ[_NUM_THREADS] = str(num_threads)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    given = os.environ.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in given}
    missing = [flag for flag in _FLAGS[device] if flag.partition("=")[0] not in named]
    os.environ["XLA_FLAGS"] = " ".join(given + missing)
    _keep_compiled_programs()


def restart(device: str = "cpu", num_threads: int = 3) -> None:
    """`prepare` for a command whose package imports jax before its own first line.

    The command starts anew, once, in the variables of a run: training at large rates
    depends on the last bits, and so do the rates that are chosen.
    """
    before = dict(os.environ)
    prepare(device, num_threads)
    if before != dict(os.environ):
        os.execv(sys.executable, sys.orig_argv)


def programs_at_once() -> int:
    """How many may run side by side on the threads that `prepare` has set: 1 or 2."""
    num_threads = int(os.environ.get(_NUM_THREADS, 2))  # unset: nobody knows, so 2
    return 1 if num_threads == 2 else 2


def devices_at_once() -> int | None:
    """Devices of one CPU that programs may run on side by side; None: all."""
    num_threads = int(os.environ.get(_NUM_THREADS, 2))
    return None if num_threads == 1 else max(1, num_threads - 1)


def _keep_compiled_programs() -> None:
    """Points jax at a directory of this kind of machine, if it can be written."""
    directory = cache_directory() / "compiled" / _machine_digest()
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
    if os.access(directory, os.W_OK):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(directory))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def cache_directory() -> Path:
    """CNN_JAX_CACHE, or the user's cache directory; safe to delete at any time."""
    if chosen := os.environ.get("CNN_JAX_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("cnn_jax", appauthor=False))


def check_device(device: str) -> None:
    """Starts jax on the device that was asked for.

    Raises:
      CommandError: with code 3, if there is none, or if several processes do not have
        equally many, which jax would tell deep within their first collective.
    """
    import jax

    try:
        found = jax.default_backend()
    except (RuntimeError, AssertionError):  # an absent GPU is an empty AssertionError
        found = "none"
    if found != device:
        raise CommandError(
            UNAVAILABLE,
            f"no {device.upper()} that jax can use on this machine: take --device=cpu, "
            f"or install {_INSTALL.get(device, 'jaxlib')}",
        )
    if jax.process_count() > 1 and not jax.distributed.is_initialized():
        raise CommandError(
            UNAVAILABLE,
            f"the {found.upper()}s belong to {jax.process_count()} processes, and this "
            "command runs in one",
        )
    owned = Counter(each.process_index for each in jax.devices())
    counts = [owned[index] for index in range(jax.process_count())]
    if len({*counts}) > 1:
        raise CommandError(
            UNAVAILABLE,
            "every process needs as many devices as the others: they have "
            f"{', '.join(map(str, counts))}",
        )


def record(num_threads: int) -> dict[str, Any]:
    """Everything that can change the numbers of a run of one config."""
    import jax

    devices, processes = jax.devices(), jax.process_count()
    revision, dirty = _revision()
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "device": devices[0].device_kind,
        "num_devices": len(devices),
        **({"num_processes": processes} if processes > 1 else {}),
        "num_threads": num_threads,
        "variables": dict(_variables()),
        "revision": revision,
        "dirty": dirty,
    }


def source_digest(experiment: Path) -> str:
    """sha256 of every module that a run may import, an experiment's own among them."""
    beside = experiment.parent if experiment.name == "__init__.py" else experiment
    trees = REPOSITORY / "cnn_jax", REPOSITORY / "experiments", beside
    files = {path for tree in trees for path in [tree, *tree.rglob("*.py")]}
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def deciding(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `record` that decide bits: all but those that name the source."""
    names = ("platform", "revision", "dirty")
    return {name: value for name, value in recorded.items() if name not in names}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for each entry of `record` that is another now."""
    return list(changes(flat(then), flat(now)))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """One line for each entry that is another now."""
    for name in {**old, **new}:
        before, after = json.dumps(old.get(name)), json.dumps(new.get(name))
        if before != after:
            yield f"{name} was {before}, is {after}"


def flat(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """An environment with its variables as entries of their own."""
    rows = {name: value for name, value in recorded.items() if name != "variables"}
    return rows | recorded.get("variables", {})


def _variables() -> Iterator[tuple[str, str]]:
    for name, value in sorted(os.environ.items()):
        if name.startswith(_READ_BY_XLA) and not name.startswith(_WITHOUT_EFFECT):
            yield name, value


def _revision() -> tuple[str | None, bool | None]:
    """The commit that the source is at, and whether files differ from it."""
    head = _output("git", "-C", str(REPOSITORY), "rev-parse", "HEAD")
    changes = _output("git", "-C", str(REPOSITORY), "status", "--porcelain")
    return (head, bool(changes)) if head else (None, None)


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_info() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return _output("sysctl", "-a", "machdep.cpu") or ""


def _cpu_model() -> str:
    for line in _cpu_info().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "machdep.cpu.brand_string"):
            return value.strip()
    return platform.processor() or platform.machine()


def _machine_digest() -> str:
    """Tells kinds of processor apart: a program compiled for one may crash another."""
    lines = [
        line
        for line in _cpu_info().splitlines()
        if line.startswith(("model name", "flags", "Features", "machdep.cpu.features"))
    ]
    text = "\n".join([platform.machine(), *sorted(set(lines))])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
