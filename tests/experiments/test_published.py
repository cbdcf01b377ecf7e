"""Published results: of the claims, the flags and the defaults as they are today."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from experiments.harness import modules, publish, replay
from experiments.harness.environment import REPOSITORY
from experiments.harness.verdicts import judge, judge_controls

RESULTS = REPOSITORY / "results"
# A result whose rules have changed since, and why it is kept until its next run.
STALE = {
    "long_range_memory/length-1000-nets-dilated-tasks-copy": "the control that a net "
    "has learned was of the mean over seeds, and of convolutional nets alone",
}
_FIXED = ("id", "statement", "source", "kind", "expected", "rule", "metric", "controls")


def _published() -> list[Any]:
    """Every result; one that is known to be stale has to be."""
    found = []
    for path in sorted(RESULTS.glob("**/result.json")):
        name = path.parent.relative_to(RESULTS).as_posix()
        stale = pytest.mark.xfail(reason=STALE.get(name, ""), strict=True)
        found.append(
            pytest.param(path, id=name, marks=[stale] if name in STALE else [])
        )
    return found


def _fixed(judged: Any) -> list[dict[str, Any]]:
    """What is fixed before a run, of each claim or control."""
    return [{name: each.get(name) for name in _FIXED} for each in judged]


@pytest.mark.parametrize("path", _published())
def test_a_published_result_judges_the_claims_of_today(path: Path):
    result = json.loads(path.read_text())
    claims = importlib.import_module(f"experiments.{result['experiment']}").CLAIMS
    judged = [each.to_json() for each in judge(claims, {})]
    controls = [each.to_json() for each in judge_controls(claims, {})]
    assert _fixed(result["claims"]) == _fixed(judged)
    assert _fixed(result["controls"]) == _fixed(controls)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("**/result.json")))
def test_a_published_result_is_that_of_its_flags_and_of_the_defaults_of_today(
    path: Path,
):
    result = json.loads(path.read_text())
    config = {"experiment": result["experiment"], **result["config"]}
    request = replay._request(path.parent, config, modules.FOLDER)
    assert request.record == result["config"]
    flags = publish.differing(result)
    assert flags == result.get("flags", "")
    assert path.parent == publish.folder_of(RESULTS, result["experiment"], flags)


def test_every_result_that_is_called_stale_is_there():
    assert all((RESULTS / name / "result.json").is_file() for name in STALE)
