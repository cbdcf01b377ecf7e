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
PATHS = sorted(RESULTS.glob("**/result.json"))
NAMES = [path.parent.relative_to(RESULTS).as_posix() for path in PATHS]
_FIXED = ("id", "statement", "source", "kind", "expected", "rule", "metric", "controls")


def _fixed(judged: Any) -> list[dict[str, Any]]:
    """What is fixed before a run, of each claim or control."""
    return [{name: each.get(name) for name in _FIXED} for each in judged]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_published_result_judges_the_claims_of_today(path: Path):
    result = json.loads(path.read_text())
    claims = importlib.import_module(f"experiments.{result['experiment']}").CLAIMS
    judged = [each.to_json() for each in judge(claims, {})]
    controls = [each.to_json() for each in judge_controls(claims, {})]
    assert _fixed(result["claims"]) == _fixed(judged)
    assert _fixed(result["controls"]) == _fixed(controls)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_published_result_is_that_of_its_flags_and_of_the_defaults_of_today(
    path: Path,
):
    result = json.loads(path.read_text())
    config = {"experiment": result["experiment"], **result["config"]}
    request = replay.request_of(path.parent, config, modules.FOLDER)
    assert request.record == result["config"]
    flags = publish.differing(result)
    assert flags == result.get("flags", "")
    assert path.parent == publish.folder_of(RESULTS, result["experiment"], flags)
