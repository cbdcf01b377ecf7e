"""--resume: the same bits, or one line that says why not."""

import json
import os
import shutil
from pathlib import Path

import pytest

from experiments.harness import directory, kept
from tests.faults.study import SOURCE
from tests.harness import toys
from tests.harness.toys import Launch

ALL = "--checkpoint_seconds=0"
TERMINATED = "--signals=15 3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toys.study(tmp_path)


def digest(run: Path) -> str:
    return json.loads((run / "result.json").read_text())["metrics_digest"]


def last_line(text: str) -> str:
    """Of stderr, where a slow machine shows its progress before."""
    return text.splitlines(keepends=True)[-1]


def events(run: Path, name: str) -> list[dict]:
    return [event for event in directory.read_log(run) if event["event"] == name]


def ended_at(launch: Launch, out: Path, *words: str) -> Path:
    """A run that SIGTERM has ended in the fourth chunk of its third training."""
    ended = launch("--exp=study", TERMINATED, f"--out={out}", *words)
    assert (ended.code, last_line(ended.err)) == (143, "launch.py: terminated\n")
    run = toys.only(out)
    assert ended.out.endswith(f"resume  python launch.py --resume={run}\n")
    return run


@pytest.fixture(scope="module")
def whole() -> dict[str, str]:
    """Filled by the first test that asks for it."""
    return {}


@pytest.fixture
def expected(
    launch: Launch,
    tmp_path: Path,
    whole: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The digest without any checkpoint or signal."""
    if not whole:
        out = tmp_path / "whole"
        with monkeypatch.context() as patch:
            patch.setattr(kept, "SHARE", 0.0)  # of the time: nothing is affordable
            assert launch("--exp=study", f"--out={out}").code == 0
        assert not (toys.only(out) / "checkpoints").exists()
        whole["digest"] = digest(toys.only(out))
    return whole["digest"]


def test_a_terminated_run_goes_on_to_the_same_bits(
    launch: Launch, out: Path, expected: str
):
    run = ended_at(launch, out, ALL)
    assert directory.read_log(run)[-1]["event"] == "stopped"
    ended = launch(f"--resume={run}", ALL)
    assert (ended.code, "is not taken" in ended.err) == (0, False)
    assert digest(run) == expected
    restored = {each["label"]: each["chunk"] for each in events(run, "restored")}
    assert restored == {**restored, "a": 12, "d": 4}
    chunks = [(each["label"], each["chunk"]) for each in events(run, "chunk")]
    assert len(chunks) == len(set(chunks)) == 4 * 12
    assert [each["event"] for each in directory.read_log(run)][-1] == "end"


def test_a_signal_keeps_the_chunk_it_came_in_however_soon(launch: Launch, out: Path):
    run = ended_at(launch, out)
    assert [each["chunk"] for each in events(run, "chunk") if each["label"] == "d"][
        -1
    ] == 4
    assert [each["chunk"] for each in events(run, "checkpoint")].count(4) == 1


def test_an_interrupted_run_is_resumed_as_the_latest(
    launch: Launch, out: Path, expected: str
):
    words = ("--exp=study", "--signals=2 5", f"--out={out}", "--resume=latest")
    assert launch(*words).code == 130
    done = launch(*words)
    assert done.code == 0
    run = toys.only(out)
    assert digest(run) == expected
    again = launch(*words)
    assert again.code == 0
    assert again.out == done.out[done.out.index("claim ") :]
    assert toys.only(out) == run
    assert launch(*words, "--chunks=5").code == 0  # another config is another run
    assert len(list(out.glob("study/*"))) == 2
    assert launch(f"--resume={run}").out == again.out


def test_a_changed_config_is_refused_and_named(launch: Launch, out: Path):
    run = ended_at(launch, out)
    before = sorted(run.rglob("*")), (run / "log.jsonl").read_bytes()
    words = (f"--resume={run}", "--chunks=5", "--num_seeds=2", "--pause=0")
    for more in ((), ("--exp=study",)):
        ended = launch(*words, *more)
        assert ended.code == 2
        assert ended.err == (
            f"launch.py: {run} has another config: "
            "chunks was 12, not 5, num_seeds was 5, not 2\n"
        )
    ended = launch(f"--resume={run}", "--quick")
    assert ended.err.endswith("has another config: chunks was 12, not 3\n")
    assert (sorted(run.rglob("*")), (run / "log.jsonl").read_bytes()) == before


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A directory of data sets with the digits, and one with their negatives."""
    from cnn_jax.data import builders, sources

    usual, others = (tmp_path_factory.mktemp(name) for name in ("usual", "others"))
    builders.prepare(sources.find("digits"), usual)
    images, labels = builders.bundled.digits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builders.bundled, "digits", lambda: (16 - images, labels))
        builders.prepare(sources.find("digits"), others)
    return usual, others


def test_data_that_was_moved_is_found_where_it_lies_now(
    launch: Launch,
    out: Path,
    folder: Path,
    expected: str,
    prepared: tuple[Path, Path],
):
    old, new = out.with_name("old"), out.with_name("new")
    shutil.copytree(prepared[0], old)
    toys.write(folder, "study", SOURCE.replace("DATA = ()", 'DATA = ("digits",)'))
    run = ended_at(launch, out, ALL, f"--data_dir={old}")
    old.rename(new)
    ended = launch(f"--resume={run}", ALL)
    assert (ended.code, f"{old} is not a directory" in ended.err) == (6, True)
    ended = launch(f"--resume={run}", ALL, f"--data_dir={new}")
    assert (ended.code, "is not taken" in ended.err) == (0, False)
    assert f'data_dir was "{old}", is "{new}"\n' in ended.out
    assert {"a", "d"} <= {each["label"] for each in events(run, "restored")}
    assert digest(run) == expected
    told = json.loads((run / "config.json").read_text()), *events(run, "resume")
    assert [each["data_dir"] for each in told] == [str(old), str(new)]


def test_other_examples_are_no_part_of_a_run(
    launch: Launch, out: Path, folder: Path, prepared: tuple[Path, Path]
):
    toys.write(folder, "toy", toys.SOURCE.replace("DATA = ()", 'DATA = ("digits",)'))
    usual, others = prepared
    place = shutil.copytree(others, out.with_name("place"))
    assert launch("--exp=toy", f"--out={out}", f"--data_dir={place}").code == 0
    (run,) = out.glob("toy/*")
    shutil.rmtree(place)
    shutil.copytree(usual, place)
    told = (
        "launch.py: digits: the test and train examples of {} are not those that "
        f"{run} began with\n"
    )
    ended = launch(f"--replay={run}")
    assert (ended.code, ended.err) == (6, told.format(place))
    assert launch(f"--replay={run}", f"--data_dir={others}").code == 0
    (run / "result.json").unlink()
    log = (run / "log.jsonl").read_bytes()
    for where, more in ((place, ()), (usual, (f"--data_dir={usual}",))):
        ended = launch(f"--resume={run}", *more)
        assert (ended.code, ended.err) == (6, told.format(where))
    assert (run / "log.jsonl").read_bytes() == log
    assert launch(f"--resume={run}", f"--data_dir={others}").code == 0


def test_the_latest_run_is_one_of_the_same_examples_wherever_they_lie(
    launch: Launch, out: Path, folder: Path, prepared: tuple[Path, Path]
):
    toys.write(folder, "toy", toys.SOURCE.replace("DATA = ()", 'DATA = ("digits",)'))
    usual, others = prepared
    words = ("--exp=toy", f"--out={out}", "--resume=latest")
    first = launch(*words)
    assert launch(*words, f"--data_dir={others}").code == 0
    assert len([*out.glob("toy/*")]) == 2
    again = launch(*words, f"--data_dir={usual}")  # it is finished: its table is shown
    assert again.out == first.out[first.out.index("claim ") :]
    assert len([*out.glob("toy/*")]) == 2
    absent = launch(*words, f"--data_dir={out}")
    assert (absent.code, absent.err.count("\n")) == (6, 1)
    assert len([*out.glob("toy/*")]) == 2


def test_what_is_no_run_or_in_use_or_asked_in_vain_is_one_line(
    launch: Launch, out: Path, tmp_path: Path
):
    ended = launch(f"--resume={tmp_path}")
    assert (ended.code, ended.err.count("\n")) == (6, 1)
    assert "no run directory" in ended.err
    assert launch("--resume=latest").code == 2
    assert launch(f"--resume={tmp_path}", "--list").code == 2
    assert launch(f"--resume={tmp_path}", f"--out={out}").code == 2
    run = ended_at(launch, out)
    with_lock = directory.RunDirectory.again(run)
    for words in ((f"--resume={run}",), ("--exp=study", TERMINATED, f"--out={out}")):
        more = () if words[0].startswith("--resume") else ("--resume=latest",)
        ended = launch(*words, *more)
        assert ended.code == 3
        assert ended.err == f"launch.py: {run} is in use by a run\n"
    with_lock.close()


def test_a_run_that_is_completed_while_it_is_asked_for_is_not_run_again(
    launch: Launch, finished: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    toys.write(folder)
    result, log = (finished / name for name in ("result.json", "log.jsonl"))
    lines, again = log.read_bytes(), directory.RunDirectory.again
    result.rename(finished / "result")

    def completed(path: Path) -> directory.RunDirectory:
        (finished / "result").rename(result)
        return again(path)

    monkeypatch.setattr(directory.RunDirectory, "again", completed)
    ended = launch(f"--resume={finished}")
    assert (ended.code, ended.out[:6]) == (0, "claim ")
    assert log.read_bytes() == lines


def test_a_torn_line_is_dropped_and_the_log_goes_on_whole(
    launch: Launch, out: Path, expected: str
):
    run = ended_at(launch, out, ALL)
    whole = directory.read_log(run)
    with open(run / "log.jsonl", "ab") as file:
        file.write(b'{"event": "chunk", "sec')
    (run / ".result.json.123").write_text("{")
    assert directory.read_log(run) == whole
    assert launch(f"--resume={run}").code == 0
    assert directory.read_log(run)[: len(whole)] == whole
    assert not list(run.glob(".*"))
    assert digest(run) == expected


def test_a_damaged_log_or_config_is_told(launch: Launch, out: Path):
    run = ended_at(launch, out)
    config = (run / "config.json").read_text()
    (run / "config.json").write_text(config.replace('"chunks": 12', '"chunks": 13'))
    ended = launch(f"--resume={run}")
    assert (ended.code, ended.err.count("\n")) == (6, 1)
    assert "log.jsonl and config.json differ" in ended.err
    (run / "config.json").write_text(config)
    log = (run / "log.jsonl").read_bytes()
    (run / "log.jsonl").write_bytes(log.replace(b'"start"', b'"start', 1))
    ended = launch(f"--resume={run}")
    assert ended.code == 6
    assert ended.err == f"launch.py: {run}/log.jsonl is damaged in line 1\n"


@pytest.mark.parametrize("is_needed", [False, True])
def test_a_damaged_line_is_named_and_left_out(
    launch: Launch, out: Path, expected: str, is_needed: bool
):
    run = ended_at(launch, out, ALL)
    *lines, _ = (run / "log.jsonl").read_bytes().split(b"\n")
    number = next(n for n, line in enumerate(lines) if b'"chunk": 4, "of"' in line)
    old, new = (b'"chunk", ', b'"choice", ') if is_needed else (b'"of": ', b'"of": {')
    lines[number] = lines[number].replace(old, new).replace(b'"of": ', b'"of": {')
    (run / "log.jsonl").write_bytes(b"\n".join([*lines, b""]))
    ended = launch(f"--resume={run}", ALL)
    assert ended.code == 0
    told = f"{run}/log.jsonl is damaged in line {number + 1}, which is left out"
    more = "; trainings begin anew, as it may have told of a choice"
    assert f"{told}{more if is_needed else ''}\n" in ended.err
    assert ("is not taken: of another training" in ended.err) == is_needed
    assert bool(events(run, "restored")) != is_needed
    assert digest(run) == expected
    assert lines == (run / "log.jsonl").read_bytes().split(b"\n")[: len(lines)]


@pytest.mark.parametrize("damage", ["newest", "all", "deleted"])
def test_damaged_checkpoints_fall_back_with_a_warning(
    launch: Launch, out: Path, expected: str, damage: str
):
    run = ended_at(launch, out, ALL)
    (folder,) = run.glob("checkpoints/d-*")
    names = sorted(path.name for path in folder.iterdir())
    assert names in (["3", "4"], ["4"])  # a busy machine leaves out what is overtaken
    for name in names if damage == "all" else names[-1:]:
        for file in (folder / name).rglob("d/*"):
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    if damage == "deleted":
        shutil.rmtree(run / "checkpoints")
    ended = launch(f"--resume={run}", ALL)
    assert ended.code == 0
    assert digest(run) == expected
    warned = {"newest": 1, "all": len(names), "deleted": 0}[damage]
    assert ended.err.count("is not taken: damaged") == warned
    assert len(events(run, "unsound")) == warned
    assert "Traceback" not in ended.err


def test_a_checkpoint_of_another_start_is_not_taken(
    launch: Launch, out: Path, expected: str
):
    """A folder copied from elsewhere is sound in itself, and still not this one's."""
    other = ended_at(launch, out / "other", ALL, "--seed=1")
    run = ended_at(launch, out, ALL)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(other / "checkpoints", run / "checkpoints")
    ended = launch(f"--resume={run}")
    assert ended.code == 0
    assert "of another training" in ended.err
    assert digest(run) == expected


def test_a_loss_that_is_not_finite_keeps_the_last_good_states(
    launch: Launch, out: Path
):
    words = ("--exp=study", "--diverges=6", f"--out={out}")
    told = "launch.py: not finite: the loss of d, seed 0, is nan at step 60\n"
    ended = launch(*words)
    assert (ended.code, last_line(ended.err)) == (4, told)
    run = toys.only(out)
    (kept_states,) = run.glob("checkpoints/d-*/*")
    assert kept_states.name == "6"
    again = launch(f"--resume={run}")
    assert (again.code, last_line(again.err)) == (4, told)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        ValueError("RESOURCE_EXHAUSTED: Error writing ...\n[OS error 28: ENOSPC ...]"),
    ],
    ids=["system", "tensorstore"],
)
def test_a_disk_that_is_full_when_a_state_is_kept_ends_the_run(
    launch: Launch,
    out: Path,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
):
    def full(folder: Path, checkpoint: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(kept.checkpoints, "save", full)
        ended = launch("--exp=study", ALL, f"--out={out}", "--signals=15 99")
    assert ended.code == 5
    run = toys.only(out)
    told = f"launch.py: No space left on device: {run}/checkpoints/"
    assert last_line(ended.err).startswith(told)
    assert launch(f"--resume={run}").code == 0
    assert digest(run) == expected


def test_a_read_only_run_is_one_line(
    launch: Launch, out: Path, monkeypatch: pytest.MonkeyPatch
):
    run = ended_at(launch, out)
    opened = open

    def refuses(path: object, mode: str = "r", *words: object, **more: object):
        if "a" in mode:
            raise OSError(30, os.strerror(30))
        return opened(path, mode, *words, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(directory, "open", refuses, raising=False)
    ended = launch(f"--resume={run}")
    assert ended.code == 5
    assert ended.err == f"launch.py: cannot write to {run}: Read-only file system\n"


def test_two_trainings_of_one_label_are_a_bug(launch: Launch, out: Path, folder: Path):
    toys.write(folder, "study", SOURCE.replace("train(n, t)", 'train("a", t)'))
    with pytest.raises(ValueError, match="label of its own, got 'a' twice"):
        launch("--exp=study", f"--out={out}")


def test_the_time_of_all_processes_counts(launch: Launch, out: Path):
    run = ended_at(launch, out, "--pause=0.05")
    spent = directory.read_log(run)[-1]["seconds"]
    assert launch(f"--resume={run}").code == 0
    result = json.loads((run / "result.json").read_text())
    assert result["wall_seconds"]["run"] > spent
