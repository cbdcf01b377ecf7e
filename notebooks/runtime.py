"""What a notebook needs of its runtime: packages, the device, a run and its report.

Runtimes such as Colab's bring a jax that fits their GPU or TPU, with plugins; another
one may not find the device. So what is installed is what is missing, and jax, where
there is one, stays as it is.
"""

import html
import importlib.metadata
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
_DEVICES = ("gpu", "tpu")
# In a process of its own: a TPU belongs to the first process that looks at it.
_ASK = "import jax; print(jax.default_backend())"


def install(root: Path = ROOT) -> list[str]:
    """Installs what a run needs and the runtime lacks; jax only where there is none.

    What `--tensorboard` needs is among it.

    Args:
      root: of the project, where pyproject.toml is.

    Returns:
      What was installed.

    Raises:
      RuntimeError: the runtime's jax is too old for the project.
      subprocess.CalledProcessError: pip could not install it.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {})
    wanted = missing([*project["dependencies"], *extras.get("tensorboard", ())])
    if wanted:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
            constraints.write("\n".join(_jax_as_it_is()))
            constraints.flush()
            command = [sys.executable, "-m", "pip", "install", "-q"]
            subprocess.run([*command, "-c", constraints.name, *wanted], check=True)
    return wanted


def missing(requirements: Iterable[str]) -> list[str]:
    """Those of the requirements that are not there, or too old.

    Raises:
      RuntimeError: jax is too old.
    """
    return [each for each in requirements if not _is_met(Requirement(each))]


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    is_met = requirement.specifier.contains(version, prereleases=True)
    if not is_met and requirement.name == "jax":
        raise RuntimeError(
            f"this runtime has jax {version}, which is left as it is, and cnn_jax "
            f"needs jax{requirement.specifier}: choose a newer runtime"
        )
    return is_met


def _jax_as_it_is() -> list[str]:
    """Pins of jax, jaxlib, the plugins of the device and libtpu, where they are."""
    pins = set()
    for found in importlib.metadata.distributions():
        name = canonicalize_name(found.metadata["Name"])
        if name == "libtpu" or name == "jaxlib" or name.split("-")[0] == "jax":
            pins.add(f"{name}=={found.version}")
    return sorted(pins)


def device() -> str:
    """ "gpu", "tpu" or "cpu": what jax finds here, as --device takes it."""
    found = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, check=True
    ).stdout.split()
    return found[-1] if found[-1] in _DEVICES else "cpu"


def launch(*words: str, root: Path = ROOT) -> Path:
    """Runs `python launch.py` with these words, and prints what it says as it comes.

    Returns:
      The report's path.

    Raises:
      RuntimeError: it did not end well, or with no report.
    """
    report = None
    with subprocess.Popen(
        [sys.executable, "launch.py", *words],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            name, _, path = line.strip().partition("  ")
            report = root / path if name == "report" else report
    if process.returncode or report is None:
        raise RuntimeError(f"launch.py ended with {process.returncode}, see above")
    return report


def framed(report: Path, height: int = 900) -> str:
    """A report as HTML to be shown within another page, its styles its own."""
    page = html.escape(report.read_text(encoding="utf-8"))
    return (
        f'<iframe srcdoc="{page}" width="100%" height="{height}" frameborder="0">'
        "</iframe>"
    )
