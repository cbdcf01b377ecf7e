"""A run from its first line to its files, and every way it can end."""

import dataclasses
import hashlib
import json
import signal
from pathlib import Path

import pytest

from experiments.harness import flags, intents, metrics, recording, signals
from experiments.harness import run as running
from experiments.harness.exits import CommandError
from tests.harness import toys
from tests.harness.toys import Launch

CLAIM_FIELDS = {
    "id",
    "statement",
    "source",
    "kind",
    "expected",
    "metric",
    "relation",
    "threshold",
    "per_seed",
    "mean",
    "ci_low",
    "ci_high",
    "verdict",
}


def read(run: Path, name: str) -> dict:
    return json.loads((run / name).read_text())


def log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def runs(out: Path) -> list[Path]:
    return sorted(out.glob("*/*"))


def test_the_first_line_names_seeds_device_threads_and_versions(
    launch: Launch, out: Path
):
    import jax

    first, *rest = launch("--exp=toy", f"--out={out}").out.splitlines()
    assert first.startswith("toy: no data set, 5 seeds, cpu, 3 threads, python 3.")
    assert first.endswith(f"jax {jax.__version__}")
    assert not any("inconclusive" in line for line in rest[:1])


def test_fewer_than_five_seeds_are_announced(launch: Launch, out: Path):
    said = launch("--exp=toy", "--num_seeds=4", f"--out={out}").out.splitlines()
    assert "4 seeds" in said[0]
    assert said[1].endswith("conditional claims will stay inconclusive")


def test_a_run_ends_with_table_counts_report_and_replay(launch: Launch, out: Path):
    *table, empty, summary, report, replay = launch(
        "--exp=toy", f"--out={out}"
    ).out.splitlines()[1:]
    (run,) = runs(out)
    assert table[0].split() == ["claim", "measured", "rule", "verdict"]
    assert table[1].endswith("supported (law)")
    assert "refuted: smallest counterexample" in table[2]
    assert len(table) == 6
    assert empty == ""
    assert summary.startswith(
        "5 claims: 2 supported, 1 refuted, 1 inconclusive, 1 not measured; "
        "1 of 1 control holds; "
    )
    assert report == f"report  {run}/report.html"
    assert replay == f"replay  python launch.py --replay={run}"


def test_a_run_directory_holds_what_it_takes_to_repeat_it(finished: Path):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*.*")}
    assert names == {
        "config.json",
        "figures/01-gain.svg",
        "figures/02-grid.svg",
        "log.jsonl",
        "metrics.npz",
        "report.html",
        "result.json",
    }


def test_the_result_has_the_fields_that_readers_rely_on(finished: Path):
    result = read(finished, "result.json")
    assert list(result) == [
        "experiment",
        "config",
        "environment",
        "wall_seconds",
        "metrics_digest",
        "claims",
        "controls",
    ]
    assert list(result["wall_seconds"]) == ["imports", "compile", "run", "report"]
    for each in result["claims"] + result["controls"]:
        assert set(each) >= CLAIM_FIELDS
    assert [each["id"] for each in result["controls"]] == ["toy-law:still"]
    both = result["claims"][3]
    assert both["metric"] is None
    assert [part["metric"] for part in both["parts"]] == ["gain", "harm"]


def test_config_json_repeats_the_config_of_the_result(finished: Path):
    config = read(finished, "config.json")
    assert config == {"experiment": "toy", **read(finished, "result.json")["config"]}
    assert {"shift", "scale", "seed", "num_seeds", "data", "data_dir"} <= set(config)
    assert {"device", "num_threads"} <= set(config)


def test_the_digest_is_that_of_the_saved_metrics(finished: Path):
    saved = metrics.load(finished / "metrics.npz")
    assert read(finished, "result.json")["metrics_digest"] == metrics.digest(saved)


def test_the_environment_names_versions_threads_and_variables(finished: Path):
    recorded = read(finished, "result.json")["environment"]
    for name in ("python", "jax", "jaxlib", "flax", "numpy", "scipy", "optax", "cpu"):
        assert recorded[name]
    assert recorded["num_threads"] == 3
    assert recorded["variables"]["PJRT_NPROC"] == "3"


def test_the_log_is_strict_json_from_start_to_end(finished: Path):
    start, drawn, end = log(finished)
    assert start["event"] == "start"
    assert start["command"].startswith("python launch.py --exp=toy --out=")
    assert drawn == {**drawn, "event": "drawn", "seeds": 5, "loss": None}
    assert end["event"] == "end"


def test_two_runs_of_one_config_are_the_same_but_for_time(launch: Launch, out: Path):
    assert launch("--exp=toy", f"--out={out}").code == 0
    assert launch("--exp=toy", f"--out={out}").code == 0
    first, second = runs(out)
    digests = {read(run, "result.json")["metrics_digest"] for run in (first, second)}
    drawings = {
        hashlib.sha256((run / "figures" / "01-gain.svg").read_bytes()).hexdigest()
        for run in (first, second)
    }
    assert len(digests) == len(drawings) == 1


def test_all_goes_on_after_a_failure_and_keeps_its_code(
    launch: Launch, out: Path, folder: Path
):
    broken = toys.SOURCE.replace('fail: str = ""', 'fail: str = "nan"')
    toys.write(folder, "another", broken)
    ended = launch("--exp=all", f"--out={out}")
    assert ended.code == 4
    assert [run.parent.name for run in runs(out)] == ["another", "toy"]
    assert (runs(out)[1] / "result.json").exists()


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("nan", 4, "the loss of max, seed 0, is nan at step 3"),
        ("data", 6, "no such data here"),
        ("disk", 5, "No space left on device: somewhere"),
        ("device-memory", 5, "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
        ("memory", 5, "out of memory"),
        ("term", 143, "terminated"),
        ("int", 130, "interrupted"),
    ],
)
def test_each_failure_is_one_line_and_its_code(
    launch: Launch, out: Path, how: str, code: int, words: str
):
    ended = launch("--exp=toy", f"--fail={how}", f"--out={out}")
    assert (ended.code, ended.err) == (code, f"launch.py: {words}\n")
    (run,) = runs(out)
    assert {path.name for path in run.iterdir()} == {"config.json", "log.jsonl"}
    assert log(run)[-1] == {**log(run)[-1], "event": "stopped", "reason": words}


def test_a_second_signal_is_handled_while_threads_are_left(
    launch: Launch, out: Path, monkeypatch: pytest.MonkeyPatch
):
    handlers = []

    def leave(code: int) -> None:
        handlers.append((code, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signals, "leave_threads", leave)
    assert launch("--exp=toy", "--fail=term", f"--out={out}").code == 143
    ((code, handler),) = handlers
    assert (code, handler != before) == (143, True)
    assert signal.getsignal(signal.SIGTERM) == before


def test_processes_may_read_from_elsewhere_but_no_other_examples(folder: Path):
    command = flags.parse(["--exp=toy", "--data_dir=here"], folder)
    assert isinstance(command, intents.Run)
    (one,) = command.requests
    other = dataclasses.replace(one, data_dir="there")
    ours = recording.identity(one, {"test": "a"})
    running._check_request(ours, recording.identity(other, {"test": "a"}))
    told = r'this one differs: examples was {"test": "a"}, is {"test": "b"}$'
    with pytest.raises(CommandError, match=told):
        running._check_request(ours, recording.identity(one, {"test": "b"}))


def test_a_bug_shows_its_traceback(launch: Launch, out: Path):
    with pytest.raises(KeyError, match="a bug"):
        launch("--exp=toy", "--fail=bug", f"--out={out}")


def test_bad_data_is_told_before_anything_is_written(
    launch: Launch, out: Path, folder: Path, tmp_path: Path
):
    toys.write(folder, "toy", toys.SOURCE.replace("DATA = ()", 'DATA = ("mnist",)'))
    ended = launch("--exp=toy", f"--data_dir={tmp_path}", f"--out={out}")
    assert ended.code == 6
    assert ended.err.count("\n") == 1
    assert "mnist" in ended.err
    assert not out.exists()


def test_the_data_is_named_in_the_first_line(launch: Launch, out: Path, folder: Path):
    toys.write(folder, "toy", toys.SOURCE.replace("DATA = ()", 'DATA = ("digits",)'))
    said = launch("--exp=toy", f"--out={out}").out
    assert said.startswith("toy: 1,797 real digits, 5 seeds, ")
