"""--sweep: one study, one table, and nothing that is done is done again."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from experiments.harness import directory
from tests.harness import conftest, toys
from tests.harness.toys import Launch

SWEEP = "--sweep=shift=1,-1;scale=0.01,0.02"


def only(out: Path) -> Path:
    (study,) = out.glob("toy/sweep-*")
    return study


def table(study: Path) -> dict[str, Any]:
    return json.loads((study / "table.json").read_text())


def runs(study: Path) -> list[Path]:
    return sorted(study.glob("toy/*"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished sweep, and what it has printed."""
    from experiments.harness.command import main

    path = tmp_path_factory.mktemp("swept")
    folder = toys.write(path / "experiments")
    said = io.StringIO()
    with conftest.own_environment(path / "cache"), contextlib.redirect_stdout(said):
        assert main(["--exp=toy", SWEEP, f"--out={path / 'runs'}"], folder) == 0
    return only(path / "runs"), said.getvalue()


@pytest.fixture
def swept(recorded: tuple[Path, str], out: Path) -> tuple[Path, str]:
    """The same in a directory of the test's own."""
    study, said = recorded
    copy = shutil.copytree(study, out / "toy" / study.name)
    return copy, said.replace(str(study), str(copy))


def test_a_sweep_prints_one_table_of_all_cells(swept: tuple[Path, str]):
    study, said = swept
    lines = said[said.index("claim ") :].splitlines()
    assert lines[0].split() == [
        "claim",
        "rule",
        "shift",
        "scale",
        "measured",
        "verdict",
    ]
    gains = [line.split() for line in lines if line.startswith("toy-helps ")]
    assert [(row[3], row[4]) for row in gains] == [  # behind the words of the rule
        ("points", shift) for shift in ("1.0", "1.0", "-1.0", "-1.0")
    ]
    assert [row[-1] for row in gains] == ["supported"] * 2 + ["refuted"] * 2
    assert "4 of 4 cells finished; 2 of 5 verdicts depend on the cell" in lines
    assert lines[-2:] == [
        f"report  {study}/report.html",
        f"table   {study}/table.json",
    ]
    assert said.count("claim ") == 1
    assert "cell 2/4: shift=1.0 scale=0.02\n" in said


def test_the_table_as_json_agrees_with_the_runs(swept: tuple[Path, str]):
    found = table(swept[0])
    assert found["version"] == 1
    assert found["grid"] == {"shift": [1.0, -1.0], "scale": [0.01, 0.02]}
    assert found["config"]["experiment"] == "toy"
    assert {"shift", "scale"}.isdisjoint(found["config"])
    for cell in found["cells"]:
        run = swept[0] / cell["run"]
        result = directory.read_result(run)
        assert cell["values"].items() <= result["config"].items()
        assert cell["metrics_digest"] == result["metrics_digest"]
        for claim, own in zip(cell["claims"], result["claims"], strict=True):
            assert claim.items() <= own.items()
    assert len({cell["metrics_digest"] for cell in found["cells"]}) == 4


def test_a_cell_is_a_run_that_can_be_replayed(swept: tuple[Path, str], launch: Launch):
    run = runs(swept[0])[-1]
    ended = launch(f"--replay={run}")
    assert ended.code == 0
    assert "bit-identical" in ended.out


def test_the_report_shows_every_cell_and_what_differs(swept: tuple[Path, str]):
    study, _ = swept
    page = (study / "report.html").read_text()
    claims = page[page.index('id="claims"') : page.index('id="repeat"')]
    assert re.findall(r'colspan="(\d)">([^<]*)<', claims) == [
        ("2", "1.0"),
        ("2", "-1.0"),
        *[("1", "0.01"), ("1", "0.02")] * 2,
    ]
    rows = claims.split("<tr")
    (gain,) = [row for row in rows if ">toy-helps " in row]
    assert re.findall(r"</span>(\w+)</span>", gain) == [
        "supported",
        "supported",
        "refuted",
        "refuted",
    ]
    assert sum("differs" in row for row in rows) == 2
    for link in re.findall(r'href="([^"#:]+)"', page):
        assert (study / link).is_file()
    assert "toy &lt;obeys&gt;" not in page  # statements are the cells' own
    assert "<script" not in page


def test_a_finished_sweep_is_printed_again_and_nothing_runs(
    swept: tuple[Path, str], launch: Launch, out: Path
):
    study, said = swept
    before = {run: (run / "log.jsonl").read_bytes() for run in runs(study)}
    for words in (
        ("--exp=toy", SWEEP, f"--out={out}", "--resume=latest"),
        (f"--resume={study}",),
    ):
        ended = launch(*words)
        assert ended.code == 0
        assert ended.out[ended.out.index("claim ") :] == said[said.index("claim ") :]
        assert {run: (run / "log.jsonl").read_bytes() for run in runs(study)} == before
    other = ("--sweep=fail=nan", "--seed=1", "--resume=latest")
    assert launch("--exp=toy", *other, f"--out={out}").code == 4
    assert len(list(out.glob("toy/sweep-*"))) == 2


def test_of_a_sweep_only_what_is_not_finished_runs(
    swept: tuple[Path, str], launch: Launch
):
    study, _ = swept
    before, (first, ended, gone, last) = table(study), runs(study)
    (ended / "result.json").unlink()
    shutil.rmtree(gone)
    kept = [(run / "log.jsonl").read_bytes() for run in (first, last)]
    assert launch(f"--resume={study}").code == 0
    assert [(run / "log.jsonl").read_bytes() for run in (first, last)] == kept
    assert len(runs(study)) == 4
    assert ended in runs(study)
    digests = [
        [cell["metrics_digest"] for cell in found["cells"]]
        for found in (before, table(study))
    ]
    assert digests[0] == digests[1]


def test_a_sweep_that_a_signal_ends_goes_on_where_it_was(launch: Launch, out: Path):
    words = ("--exp=toy", "--sweep=fail='',term,nan", f"--out={out}")
    ended = launch(*words)
    study = only(out)
    assert ended.code == 143
    assert ended.out.endswith(f"resume  python launch.py --resume={study}\n")
    states = ["finished", "not run", "not run"]
    assert [cell["status"] for cell in table(study)["cells"]] == states
    before = runs(study)
    log = (before[0] / "log.jsonl").read_bytes()
    assert launch(*words, "--resume=latest").code == 143  # the same cell ends it again
    assert runs(study) == before
    assert len(before) == 2
    assert (before[0] / "log.jsonl").read_bytes() == log


def test_a_cell_that_fails_is_told_and_the_others_run(launch: Launch, out: Path):
    words = ("--exp=toy", "--sweep=fail=nan,'',data", f"--out={out}")
    ended = launch(*words)
    study = only(out)
    assert ended.code == 4
    reason = "the loss of max, seed 0, is nan at step 3"
    assert ended.err == f"launch.py: {reason}\nlaunch.py: no such data here\n"
    found = table(study)
    assert [cell["status"] for cell in found["cells"]] == [
        "unfinished",
        "finished",
        "unfinished",
    ]
    assert [cell["reason"] for cell in found["cells"]] == [
        reason,
        "",
        "no such data here",
    ]
    assert f"unfinished  fail=nan: {reason}\n" in ended.out
    assert ended.out.endswith(f"resume  python launch.py --resume={study}\n")
    assert reason in (study / "report.html").read_text()


def test_a_full_disk_ends_the_sweep(launch: Launch, out: Path):
    ended = launch("--exp=toy", "--sweep=fail=disk,''", f"--out={out}")
    assert ended.code == 5
    assert len(runs(only(out))) == 1


def test_a_sweep_in_use_is_refused(swept: tuple[Path, str], launch: Launch):
    import fcntl

    with open(swept[0] / "sweep.json") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        ended = launch(f"--resume={swept[0]}")
    assert (ended.code, ended.err) == (3, f"launch.py: {swept[0]} is in use by a run\n")


def test_a_sweep_is_gone_on_with_as_it_is(swept: tuple[Path, str], launch: Launch):
    ended = launch(f"--resume={swept[0]}", "--seed=1")
    told = "launch.py: --resume=RUN_DIR does not go with --seed\n"
    assert (ended.code, ended.err) == (2, told)
    path = swept[0] / "sweep.json"
    for content, told in (
        ('{"version": 1, "grid": 3, "config": {}}', "is damaged"),
        ('{"version": 2}', "is of version 2, not 1"),
    ):
        path.write_text(content)
        ended = launch(f"--resume={swept[0]}")
        assert (ended.code, ended.err) == (6, f"launch.py: {path} {told}\n")
