"""Published results: complete, of no particular machine, and what README says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.harness import publish
from experiments.harness.environment import REPOSITORY
from experiments.harness.exits import CommandError
from experiments.harness.metrics import Metrics, Shown, digest, load, save
from tests.harness.toys import Launch

README = "# Title\n\n<!-- results -->\nold\n<!-- /results -->\n\nMore.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    (path / "README.md").write_text(README)
    return path


def remember(run: Path, measured: Metrics) -> None:
    """Makes these the metrics of a finished run."""
    save(run / "metrics.npz", measured)
    result = json.loads((run / "result.json").read_text())
    result["metrics_digest"] = digest(measured)
    (run / "result.json").write_text(json.dumps(result))


def test_a_published_run_lies_in_results_with_its_figure(
    finished: Path, root: Path, folder: Path
):
    assert publish.publish(finished, root, folder) == 0
    published = root / "results" / "toy"
    assert {path.name for path in published.iterdir()} == {"result.json", "gain.svg"}
    original = (finished / "figures" / "01-gain.svg").read_text()
    assert (published / "gain.svg").read_text() == original
    result = json.loads((finished / "result.json").read_text())
    assert json.loads((published / "result.json").read_text()) == result


def test_words_and_rules_of_a_claim_are_those_of_today(
    finished: Path, root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    source = (folder / "toy.py").read_text()
    source = source.replace("A toy helps.", "A toy assists.")
    source = source.replace(
        'metric="gain",\n        relation=">"', 'metric="gain",\n        relation="<"'
    )
    (folder / "toy.py").write_text(source)
    before = json.loads((finished / "result.json").read_text())
    publish.publish(finished, root, folder)
    after = json.loads((root / "results" / "toy" / "result.json").read_text())
    statements = {each["id"]: each["statement"] for each in after["claims"]}
    assert statements["toy-helps"] == "A toy assists."
    assert after["judged_anew"] == ["toy-helps"]
    verdicts = [
        {each["id"]: each["verdict"] for each in result["claims"]}["toy-helps"]
        for result in (before, after)
    ]
    assert verdicts == ["supported", "refuted"]
    assert "judged by other rules than when they ran: toy-helps" in (
        capsys.readouterr().out
    )
    text = (root / "README.md").read_text()
    assert "holds; 1 judged by a rule younger than the run. No data set" in text


def test_damaged_metrics_are_not_published(finished: Path, root: Path, folder: Path):
    measured = load(finished / "metrics.npz")
    measured["still"] = np.asarray(measured["still"]) + 1
    save(finished / "metrics.npz", measured)
    with pytest.raises(CommandError, match="digest is another"):
        publish.publish(finished, root, folder)
    assert not (root / "results").exists()


def test_readme_gets_the_tables_between_its_marks(
    finished: Path, root: Path, folder: Path
):
    publish.publish(finished, root, folder)
    text = (root / "README.md").read_text()
    assert text.startswith("# Title\n\n<!-- results -->\n### toy\n")
    assert text.endswith("<!-- /results -->\n\nMore.\n")
    assert "\nold\n" not in text
    between = text.partition(publish.BEGIN)[2].partition(publish.END)[0]
    assert between == "\n" + publish.render_results(root / "results")


def test_readme_names_a_seed_that_is_not_the_default(
    finished: Path, root: Path, folder: Path
):
    publish.publish(finished, root, folder)
    published = root / "results" / "toy" / "result.json"
    assert "--seed" not in publish.render_results(root / "results")
    result = json.loads(published.read_text())
    result["config"]["seed"] = 7
    published.write_text(json.dumps(result))
    assert "seeds of --seed=7, cpu" in publish.render_results(root / "results")


def test_publishing_again_changes_nothing(finished: Path, root: Path, folder: Path):
    publish.publish(finished, root, folder)
    before = (root / "README.md").read_text()
    publish.publish(finished, root, folder)
    assert (root / "README.md").read_text() == before


def test_a_run_with_flags_lies_below_and_shows_what_it_measured(
    launch: Launch, folder: Path, out: Path, root: Path
):
    words = ("--exp=toy", "--seed=3", f"--out={out}")
    assert launch(*words, "--shift=2.5").code == 0
    assert launch(*words).code == 0
    for run in out.glob("toy/*"):
        publish.publish(run, root, folder)
    places = sorted(root.glob("results/**/result.json"))
    assert [path.parent.name for path in places] == ["toy", "shift-2.5"]
    flags = [json.loads(path.read_text()).get("flags") for path in places]
    assert flags == [None, "--shift=2.5"]
    text = (root / "README.md").read_text()
    _, plain, below = re.split(r"###+ ", text)
    assert plain.startswith("toy\n\n[5 claims: ")
    assert "(not measured)" in plain
    assert below.startswith("`--shift=2.5`\n\n[4 claims: ")
    assert "(results/toy/shift-2.5/result.json)" in below
    assert "not measured" not in below
    assert "Verdicts that differ (without these flags): " in below
    assert "without these flags" not in plain


def test_readme_names_the_verdicts_that_flags_change(
    launch: Launch, folder: Path, out: Path, root: Path
):
    words = ("--exp=toy", f"--out={out}")
    for more in ((), ("--shift=2.5",)):
        assert launch(*words, *more).code == 0
    for run in out.glob("toy/*"):
        publish.publish(run, root, folder)
    path = root / "results/toy/result.json"
    usual = json.loads((path.parent / "shift-2.5/result.json").read_text())
    path.write_text(json.dumps(usual))
    same = "Every verdict is the one without these flags."
    assert same in publish.render_results(root / "results")
    changed, absent = usual["claims"][:2]
    was, changed["verdict"] = changed["verdict"], "invalid"
    changed["note"] = "control learned refuted; could have detected 2 points"
    absent["verdict"] = "not measured"
    path.write_text(json.dumps(usual))
    line = (
        f"Verdicts that differ (without these flags): {changed['id']} {was} (invalid)."
    )
    tables = publish.render_results(root / "results")
    assert line in tables
    assert "(invalid; control learned refuted) |" in tables


def test_a_run_with_flags_has_a_heading_where_the_experiment_has_none(
    launch: Launch, folder: Path, out: Path, root: Path
):
    assert launch("--exp=toy", "--shift=2.5", f"--out={out}").code == 0
    (run,) = out.glob("toy/*")
    publish.publish(run, root, folder)
    text = (root / "README.md").read_text()
    assert "<!-- results -->\n### toy\n\n#### `--shift=2.5`\n\n[4 claims: " in text


def test_flags_are_those_that_differ_as_they_are_given(folder: Path):
    config = {"shift": 1.0, "scale": 0.3, "extra": True, "seed": 7, "data": None}
    result = {"experiment": "toy", "config": config}
    assert publish.differing(result, folder) == "--scale=0.3 --extra=true"


def test_tables_of_words_are_published_and_those_of_numbers_are_not(
    finished: Path, root: Path, folder: Path
):
    words = np.array([["net", "loss"], ["a|b", "0.5"]])
    shown = {"table": Shown(words, "what <it> is"), "numbers": Shown(np.eye(2), "eye")}
    remember(finished, load(finished / "metrics.npz") | shown)
    publish.publish(finished, root, folder)
    written = (root / "results" / "toy" / "tables.md").read_text()
    table = "| net | loss |\n|---|---|\n| a\\|b | 0.5 |\n"
    assert written == f"what &lt;it> is:\n\n{table}"
    assert "[Tables](results/toy/tables.md)." in (root / "README.md").read_text()


def test_the_table_has_a_row_per_statement_and_a_column_per_verdict(
    finished: Path, root: Path, folder: Path
):
    publish.publish(finished, root, folder)
    lines = publish.render_results(root / "results").splitlines()
    rows = [line for line in lines if line.startswith("| **")]
    assert len(rows) == 4
    name, supported, refuted, neither = rows[0][2:-2].split(" | ")
    assert name.startswith("**toy-law**: A toy &lt;obeys> &amp; plays. A toy never")
    assert supported == "holds: 1e-07"
    assert refuted.startswith("breaks: ")
    assert not neither.strip()
    assert "(not measured)" in rows[3]
    assert any("5 claims: 2 supported, 1 refuted" in line for line in lines)
    assert {line.count(" |") for line in rows} == {4}


def test_a_published_result_names_no_place_of_the_machine():
    result = {
        "config": {"data_dir": "/home/me/data/tfds", "arms": "max/2"},
        "environment": {
            "device": "cpu",
            "variables": {"XLA_FLAGS": "--xla_dump_to=/home/me/dump --other=~/x/y"},
        },
        "claims": [{"id": "a/b", "statement": "a / b"}],
    }
    published = publish.portable(result)
    assert published["config"] == {"data_dir": "tfds", "arms": "max/2"}
    variables = published["environment"]["variables"]
    assert variables == {"XLA_FLAGS": "--xla_dump_to=dump --other=y"}
    assert published["claims"] == result["claims"]


def test_a_relative_data_dir_is_shortened_too():
    result = {"config": {"data_dir": "../elsewhere/tfds/"}, "environment": {}}
    assert publish.portable(result)["config"]["data_dir"] == "tfds"


def test_a_readme_without_marks_is_refused_before_anything_is_written(
    finished: Path, root: Path, folder: Path
):
    (root / "README.md").write_text("# Title\n")
    with pytest.raises(CommandError, match="has no <!-- results -->") as caught:
        publish.publish(finished, root, folder)
    assert caught.value.code == 6
    assert not (root / "results").exists()


def test_an_unfinished_run_is_refused(launch: Launch, finished: Path):
    (finished / "result.json").unlink()
    ended = launch(f"--publish={finished}")
    assert ended.code == 6
    assert ended.err.endswith("result.json is absent\n")


def test_readme_says_what_the_published_results_say():
    readme, results = REPOSITORY / "README.md", REPOSITORY / "results"
    if not results.is_dir():
        pytest.skip("nothing is published yet")
    between = readme.read_text().partition(publish.BEGIN)[2].partition(publish.END)[0]
    assert between == "\n" + publish.render_results(results)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("results/**/result.json")))
def test_no_published_result_names_a_place_of_a_machine(path: Path):
    result = json.loads(path.read_text())
    assert publish.portable(result) == result
