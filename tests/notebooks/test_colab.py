"""The notebook: it runs from start to end, and leaves jax as the runtime has it."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from notebooks import runtime
from tests.experiments.test_quick import SMALL

NOTEBOOK = runtime.ROOT / "notebooks" / "colab.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(each.get("text", "") for each in cell.outputs)


def test_the_notebook_in_the_repository_has_no_outputs():
    for cell in read().cells:
        assert not cell.get("outputs"), cell.id
        assert not cell.get("execution_count"), cell.id
        assert not cell.metadata, cell.id
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert "widgets" not in json.loads(text)["metadata"]


@pytest.mark.filterwarnings("default")  # those of Jupyter are its own
def test_the_notebook_runs_from_start_to_end(tmp_path, monkeypatch):
    words = ("--quick", *SMALL, f"--out={tmp_path}")
    monkeypatch.setenv("CNN_JAX_FLAGS", " ".join(words))
    notebook = read()
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=folder).execute()
    done = {cell.id: cell for cell in notebook.cells}
    assert "nothing, all was there" in printed(done["runtime"])
    assert "device: cpu" in printed(done["runtime"])
    assert "29 claims: " in printed(done["run"])
    (report,) = tmp_path.glob("equivariance/*/report.html")
    (shown,) = done["report"].outputs
    assert shown.data["text/html"] == runtime.framed(report)
    assert list(report.parent.rglob("*tfevents*"))


def test_only_what_is_missing_or_too_old_is_installed(monkeypatch):
    versions = {"jax": "0.99", "flax": "0.11.9", "numpy": "2.1"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    wanted = ["jax>=0.10.2", "flax>=0.12", "numpy>=2.1", "optax>=0.2.5"]
    skipped = 'colorama>=0.4; sys_platform == "none"'
    assert runtime.missing([*wanted, skipped]) == ["flax>=0.12", "optax>=0.2.5"]
    versions["jax"] = "0.4.38"
    with pytest.raises(RuntimeError, match=r"jax 0\.4\.38.*jax>=0\.10\.2"):
        runtime.missing(wanted)


def test_jax_is_held_where_it_is_while_others_are_installed(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["jax>=0.1", "cnn-jax-has-no-such>=1"]'
    )
    asked = []

    def run(command: list[str], check: bool) -> None:
        pins = Path(command[command.index("-c") + 1]).read_text().split()
        asked.append((command[1:4], command[-1], pins))

    monkeypatch.setattr(subprocess, "run", run)
    assert runtime.install(tmp_path) == ["cnn-jax-has-no-such>=1"]
    ((pip, wanted, pins),) = asked
    assert (pip, wanted) == (["-m", "pip", "install"], "cnn-jax-has-no-such>=1")
    for name in ("jax", "jaxlib"):
        assert f"{name}=={importlib.metadata.version(name)}" in pins
    assert not [pin for pin in pins if pin.startswith(("numpy", "flax"))]


def test_the_device_is_asked_for_in_a_process_that_has_let_go_of_it(monkeypatch):
    answers = iter(["gpu", "some warning\ntpu", "METAL", "cpu"])

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == sys.executable
        return subprocess.CompletedProcess(command, 0, stdout=next(answers))

    monkeypatch.setattr(subprocess, "run", run)
    assert [runtime.device() for _ in range(4)] == ["gpu", "tpu", "cpu", "cpu"]


def test_a_study_that_ends_badly_is_not_taken_for_one_with_a_report(tmp_path, capsys):
    (tmp_path / "launch.py").write_text(
        "import sys; print('report  runs/a b/report.html'); sys.exit(len(sys.argv) - 1)"
    )
    path = runtime.launch(root=tmp_path)
    assert path == tmp_path / "runs" / "a b" / "report.html"
    assert capsys.readouterr().out.startswith("report  runs")
    with pytest.raises(RuntimeError, match="ended with 1"):
        runtime.launch("--quick", root=tmp_path)
    (tmp_path / "launch.py").write_text("print('nothing')")
    with pytest.raises(RuntimeError, match="ended with 0"):
        runtime.launch(root=tmp_path)
