"""A replay: the same bits, or what differs."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.harness import metrics
from experiments.harness.environment import changes
from experiments.harness.replay import _disagrees
from tests.harness import toys
from tests.harness.toys import Launch


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_fresh_run_replays_bit_for_bit(launch: Launch, finished: Path):
    ended = launch(f"--replay={finished}")
    assert ended.code == 0
    assert ended.out.splitlines()[1:] == ["bit-identical, all 5 verdicts the same"]


def test_a_replay_leaves_no_run_behind(launch: Launch, finished: Path):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    launch(f"--replay={finished}")
    assert list(finished.parent.iterdir()) == [finished]
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_an_edited_config_differs_and_the_replay_says_where(
    launch: Launch, finished: Path
):
    edit(finished / "config.json", scale=0.3)
    ended = launch(f"--replay={finished}")
    assert ended.code == 1
    lines = ended.out.splitlines()[1:]
    assert lines[0] == f"{finished} differs from its replay"
    assert lines[1] == "config: scale was 0.2, is 0.3"
    assert lines[2].startswith("metric gain: 5 of 5 values differ, first at [0]: ")
    assert "; by at most " in lines[2]
    assert "toy-helps: verdict was supported, is inconclusive" in lines
    assert not any("toy-law" in line for line in lines)


def test_an_edited_config_of_the_result_differs(launch: Launch, finished: Path):
    config = json.loads((finished / "result.json").read_text())["config"]
    edit(finished / "result.json", config={**config, "shift": 2.0})
    ended = launch(f"--replay={finished}")
    assert ended.code == 1
    assert "config: shift was 2.0, is 1.0" in ended.out


def test_where_the_data_of_the_result_lay_is_no_difference(
    launch: Launch, finished: Path
):
    config = json.loads((finished / "result.json").read_text())["config"]
    edit(finished / "result.json", config={**config, "data_dir": "elsewhere"})
    assert launch(f"--replay={finished}").code == 0


def test_an_edited_number_or_verdict_differs(launch: Launch, finished: Path):
    claims = json.loads((finished / "result.json").read_text())["claims"]
    claims[1]["verdict"] = "supported"
    claims[2]["mean"] = 3.0
    edit(finished / "result.json", claims=claims)
    ended = launch(f"--replay={finished}")
    assert ended.code == 1
    assert ended.out.splitlines()[2:] == [
        "toy-law/breaks: verdict was supported, is refuted",
        "toy-helps: mean differ",
    ]


def test_changed_code_differs(launch: Launch, finished: Path, folder: Path):
    toys.write(folder, "toy", toys.SOURCE.replace("np.full(len(noise), 1e-7)", "noise"))
    ended = launch(f"--replay={finished}")
    assert ended.code == 1
    assert "metric small: " in ended.out


def test_another_environment_is_told_and_does_not_fail(launch: Launch, finished: Path):
    result = json.loads((finished / "result.json").read_text())
    result["environment"]["jax"] = "0.0.1"
    result["environment"]["variables"]["XLA_FLAGS"] = "--fast"
    edit(finished / "result.json", environment=result["environment"])
    ended = launch(f"--replay={finished}")
    assert ended.code == 0
    assert 'environment: jax was "0.0.1", is ' in ended.out
    assert 'environment: XLA_FLAGS was "--fast", is ' in ended.out


@pytest.mark.parametrize(
    ("gain", "code", "told"),
    [
        ("1.001 * config.shift", 0, "1 metric with other bits, all 5 claims agree"),
        ("9 * config.shift", 1, "toy-helps: gain was "),
        ("-config.shift", 1, "toy-helps: verdict was supported, is refuted"),
    ],
)
def test_in_another_environment_claims_agree_within_tolerances(
    launch: Launch, finished: Path, folder: Path, gain: str, code: int, told: str
):
    result = json.loads((finished / "result.json").read_text())
    there = {**result["environment"], "jax": "0.0.1"}
    edit(finished / "result.json", environment=there)
    toys.write(folder, "toy", toys.SOURCE.replace("config.shift +", f"{gain} +"))
    ended = launch(f"--replay={finished}")
    assert ended.code == code
    assert told in ended.out
    assert 'environment: jax was "0.0.1", is ' in ended.out
    assert "metric gain" not in ended.out


_RULE = {"metric": "m", "verdict": "supported", "measured": "", "mean": 2.0}


@pytest.mark.parametrize(
    ("kind", "changed", "disagrees"),
    [
        ("count", {"mean": 2.000001}, False),
        ("count", {"mean": 2.00001}, True),
        ("law", {"mean": 3.0}, False),
        ("law", {"verdict": "inconclusive"}, True),
        ("conditional", {"ci_low": 1.9, "ci_high": 4.0}, False),
        ("conditional", {"ci_low": 2.1, "ci_high": 4.0}, True),
        ("conditional", {"verdict": "inconclusive"}, False),
        ("conditional", {"verdict": "refuted"}, True),
    ],
)
def test_the_tolerances_of_another_environment(kind, changed, disagrees):
    old = {"kind": kind, **_RULE, "ci_low": 1.0, "ci_high": 2.0}
    assert bool(_disagrees(old, old | changed, False)) == disagrees
    assert bool(_disagrees(old, old | changed, True)) == (
        "verdict" in changed and disagrees
    )
    parts = {"kind": kind, "verdict": "invalid", "parts": [old, old | changed]}
    same = {**parts, "parts": [old, old]}
    expected = disagrees and kind != "law"  # its own verdict is all of it
    assert bool(_disagrees(same, parts, False)) == expected


def test_the_recorded_threads_are_used(launch: Launch, out: Path):
    launch("--exp=toy", "--num_threads=3", f"--out={out}")
    (run,) = (out / "toy").iterdir()
    assert "3 threads" in launch(f"--replay={run}").out.splitlines()[0]


def test_a_switch_and_a_comma_survive_the_way_through_config_json(
    launch: Launch, out: Path
):
    launch("--exp=toy", "--extra", "--seed=7", "--num_seeds=2", f"--out={out}")
    (run,) = (out / "toy").iterdir()
    assert launch(f"--replay={run}").code == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("config.json", "[]", "config.json is damaged"),
        ("config.json", '{"experiment": "tyo"}', "no experiment is named 'tyo'"),
        ("config.json", '{"experiment": "all"}', "config.json is damaged"),
        ("config.json", '{"experiment": "toy", "sed": 1}', "unknown flag --sed"),
        ("config.json", None, "config.json is absent"),
        ("result.json", "{}", "result.json is damaged: no experiment"),
        ("result.json", '{"exp', "result.json is damaged"),
        ("result.json", None, "result.json is absent"),
        ("metrics.npz", "PK", "metrics.npz is damaged"),
        ("metrics.npz", None, "metrics.npz is absent"),
        ("log.jsonl", None, "is no run directory"),
    ],
)
def test_a_damaged_run_directory_is_one_line(
    launch: Launch, finished: Path, name: str, content: str | None, words: str
):
    if content is None:
        (finished / name).unlink()
    else:
        (finished / name).write_text(content)
    ended = launch(f"--replay={finished}")
    assert ended.code == 6
    assert words in ended.err
    assert ended.err.count("\n") == 1


def test_metrics_of_another_run_are_told(launch: Launch, finished: Path):
    saved = dict(metrics.load(finished / "metrics.npz"))
    metrics.save(finished / "metrics.npz", saved | {"small": np.zeros(5)})
    ended = launch(f"--replay={finished}")
    assert ended.code == 6
    assert ended.err.endswith("metrics.npz is damaged: its digest is another\n")


def test_no_run_directory_at_all_is_one_line(launch: Launch, tmp_path: Path):
    ended = launch(f"--replay={tmp_path / 'none'}")
    assert (ended.code, ended.err.count("\n")) == (6, 1)


def test_timings_differ_only_where_supported_meets_refuted(
    launch: Launch, out: Path, folder: Path
):
    timed = toys.SOURCE.replace(
        "from experiments.harness.metrics import Grid, Shown",
        "import time\nfrom experiments.harness.metrics import Grid, Shown, Timings",
    ).replace(
        '"still": np.zeros(len(noise)),',
        '"still": np.zeros(len(noise)),\n        "times": Timings('
        "np.outer(np.linspace(1, 1.1, 20) + time.perf_counter(), [1.0, 2.0])),",
    )
    timed = timed.replace(
        'expected="no",\n        metric="gain",\n        relation=">",',
        'expected="no",\n        metric="times",\n        estimate="timing",\n'
        '        relation="<",',
    )
    toys.write(
        folder,
        "toy",
        timed.replace("threshold=0.5,\n        unit", "threshold=0.8,\n        unit"),
    )
    launch("--exp=toy", f"--out={out}")
    (run,) = (out / "toy").iterdir()
    assert launch(f"--replay={run}").code == 0
    claims = json.loads((run / "result.json").read_text())["claims"]
    claims[2]["verdict"] = "inconclusive"
    edit(run / "result.json", claims=claims)
    assert launch(f"--replay={run}").code == 0
    claims[2]["verdict"] = "refuted"
    edit(run / "result.json", claims=claims)
    assert launch(f"--replay={run}").code == 1


def test_differences_name_what_was_added_and_what_is_gone():
    assert list(changes({"a": 1, "b": 2}, {"a": 1, "c": 3})) == [
        "b was 2, is null",
        "c was null, is 3",
    ]
