"""--tensorboard: what TensorBoard itself reads is what the log says, once."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.harness import directory, event_files
from tests.harness import toys
from tests.harness.toys import Launch

plugin = pytest.importorskip(
    "tensorboardX.proto.plugin_hparams_pb2", reason="needs the extra tensorboard"
)
accumulators = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="needs TensorBoard, of the extra dev",
)
SEEDS, CHUNKS, STEPS = 2, 4, 10
LABELS = ("a", "b, c", "d", "alone")
WORDS = (
    "--exp=study",
    f"--num_seeds={SEEDS}",
    f"--chunks={CHUNKS}",
    "--checkpoint_seconds=0",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toys.study(tmp_path)


def read(run: Path, name: str) -> Any:
    path = run / "tensorboard" / name
    accumulator = accumulators.EventAccumulator(str(path))
    accumulator.Reload()
    return accumulator


def curves(run: Path, seed: int) -> dict[str, list[tuple[int, float]]]:
    read_back = read(run, f"seed-{seed}")
    return {
        tag: [(event.step, event.value) for event in read_back.Scalars(tag)]
        for tag in read_back.Tags()["scalars"]
    }


def logged(run: Path, seed: int) -> dict[str, list[tuple[int, float]]]:
    """The curves that the log tells, in float32 as event files have it."""
    found: dict[str, dict[int, float]] = {}
    for event in directory.read_log(run):
        if event["event"] == "chunk":
            steps, loss = event["steps"], event["loss"][seed]
            found.setdefault(f"{event['label']}/loss", {})[steps] = loss
    return {tag: list(curve.items()) for tag, curve in found.items()}


def assert_shown(run: Path) -> None:
    """Each seed has each curve, at every chunk once, as logged."""
    for seed in range(SEEDS):
        shown, told = curves(run, seed), logged(run, seed)
        assert set(shown) == {f"{label}/loss" for label in LABELS}
        for tag, curve in shown.items():
            assert [step for step, _ in curve] == [
                STEPS * (chunk + 1) for chunk in range(CHUNKS)
            ]
            values = [value for _, value in told[tag]]
            assert [value for _, value in curve] == pytest.approx(values, rel=1e-6)
    assert "tensorflow" not in sys.modules


def test_curves_claims_and_config_of_a_run(launch: Launch, out: Path):
    assert launch(*WORDS, "--tensorboard", f"--out={out}").code == 0
    run = toys.only(out)
    assert_shown(run)
    (claim,) = json.loads((run / "result.json").read_text())["claims"]
    found = read(run, "")
    (measured,) = found.Scalars("claims/line-fits")
    assert measured.value == pytest.approx(claim["mean"], rel=1e-6)
    text = found.Tensors("verdicts/text_summary")[0].tensor_proto.string_val[0].decode()
    assert f"| line-fits | {claim['measured']} | `< 0.5` |" in text
    metadata = found.SummaryMetadata("_hparams_/session_start_info")
    told = plugin.HParamsPluginData.FromString(metadata.plugin_data.content)
    hparams = told.session_start_info.hparams
    assert hparams["experiment"].string_value == "study"
    assert hparams["chunks"].number_value == CHUNKS


def test_a_resumed_run_shows_every_point_once(launch: Launch, out: Path):
    words = (*WORDS, "--tensorboard", f"--out={out}", "--signals=15 2")
    assert launch(*words).code == 143
    run = toys.only(out)
    assert [step for step, _ in curves(run, 0)["d/loss"]] == [10, 20, 30]
    # As a kill leaves it: a chunk that no checkpoint has, and a torn record.
    for state in run.glob("checkpoints/d-*/3/**/d/*"):
        state.unlink()
    for file in run.rglob("events.out.*"):
        file.write_bytes(file.read_bytes()[:-3])
    assert launch(*words, "--resume=latest").code == 0
    told = [each for each in directory.read_log(run) if each["event"] == "chunk"]
    assert len(told) > len(LABELS) * CHUNKS
    assert_shown(run)
    assert len(list(run.rglob("events.out.*"))) == SEEDS + 1


def test_a_finished_run_is_given_event_files_later(launch: Launch, out: Path):
    assert launch(*WORDS, f"--out={out}").code == 0
    run = toys.only(out)
    assert not (run / "tensorboard").exists()
    for _ in range(2):
        assert launch(f"--resume={run}", "--tensorboard").code == 0
        assert_shown(run)
        assert len(read(run, "").Scalars("claims/line-fits")) == 1


def chunk(number: int, *losses: Any, label: str = "net") -> dict[str, Any]:
    event = {"event": "chunk", "seconds": 0.5, "label": label, "chunk": number, "of": 9}
    return {**event, "steps": 10 * number, "loss": list(losses)}


def test_what_is_told_again_with_another_value_counts(tmp_path: Path):
    files = event_files.EventFiles(tmp_path, [chunk(1, 1.0), chunk(1, 2.0)])
    files.add(chunk(2, 3.0))
    files.add(chunk(2, 3.0))
    assert curves(tmp_path, 0) == {"net/loss": [(10, 2.0), (20, 3.0)]}
    before = set(tmp_path.rglob("events.out.*"))
    files.add(chunk(1, 4.0))
    files.close()
    assert curves(tmp_path, 0) == {"net/loss": [(10, 4.0), (20, 3.0)]}
    assert before.isdisjoint(tmp_path.rglob("events.out.*"))


def test_a_kill_between_new_files_and_old_ones_shows_no_point_twice(tmp_path: Path):
    event_files.EventFiles(tmp_path, [chunk(1, 1.0), chunk(2, 2.0)])
    (old,) = tmp_path.rglob("events.out.*")
    content = old.read_bytes()
    event_files.EventFiles(tmp_path, [chunk(1, 1.0), chunk(2, 2.0)])
    old.write_bytes(content)
    assert curves(tmp_path, 0) == {"net/loss": [(10, 1.0), (20, 2.0)]}


def test_an_array_has_a_curve_for_each_element_and_null_is_nan(tmp_path: Path):
    event_files.EventFiles(tmp_path, [chunk(1, [1.0, None], [2.0, 3.0])])
    shown = curves(tmp_path, 0)
    assert shown["net/loss/0"] == [(10, 1.0)]
    assert math.isnan(shown["net/loss/1"][0][1])
    assert curves(tmp_path, 1)["net/loss/1"] == [(10, 3.0)]


def test_without_tensorboardx_it_is_one_line(
    launch: Launch, out: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_files.importlib.util, "find_spec", lambda name: None)
    ended = launch("--exp=study", "--tensorboard", f"--out={out}")
    told = "no tensorboardX: install the extra tensorboard for --tensorboard"
    assert (ended.code, ended.err) == (3, f"launch.py: {told}\n")
    assert not out.exists()
