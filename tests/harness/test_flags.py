"""The command line: what it understands, and what it says where it does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.harness import flags, intents, modules
from experiments.harness.exits import USAGE, CommandError
from experiments.harness.peers import Peers
from tests.harness import toys


def request(folder: Path, *words: str) -> intents.Request:
    command = flags.parse(["--exp=toy", *words], folder)
    assert isinstance(command, intents.Run)
    (single,) = command.requests
    return single


def complaint(folder: Path, *words: str) -> str:
    with pytest.raises(CommandError) as caught:
        flags.parse(words, folder)
    assert caught.value.code == USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text(folder: Path, *words: str) -> str:
    command = flags.parse(words, folder)
    assert isinstance(command, intents.Say)
    return command.text


def test_parsing_imports_neither_jax_nor_numpy(folder: Path):
    code = (
        "import sys; from pathlib import Path; from experiments.harness import flags\n"
        "folder = Path(sys.argv[1])\n"
        "for words in ([], ['--list'], ['--exp=toy', '--help'], ['--exp=toy']):\n"
        "    flags.parse(words, folder)\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(tops - set(sys.stdlib_module_names) - {'absl', 'experiments'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        cwd=toys.ROOT,
        check=True,
    )
    third_party = eval(done.stdout)
    assert {"jax", "numpy", "matplotlib", "scipy"}.isdisjoint(third_party)
    # What site-packages loads at the start of every process is not ours.
    assert not {name for name in third_party if not name.startswith(("_", "sitecus"))}


def test_defaults_are_those_of_the_config(folder: Path):
    assert request(folder).record == {
        "shift": 1.0,
        "scale": 0.2,
        "extra": False,
        "fail": "",
        "seed": 0,
        "num_seeds": 5,
        "data": None,
        "data_dir": None,
        "device": "cpu",
        "num_threads": 3,
    }


def test_a_field_is_a_flag_of_its_type(folder: Path):
    config = request(folder, "--shift=2", "--extra", "--fail=nan").config
    assert config == {"shift": 2.0, "scale": 0.2, "extra": True, "fail": "nan"}
    assert isinstance(config["shift"], float)


def test_a_stream_is_for_who_takes_one_and_no_part_of_the_config(folder: Path):
    told = "toy holds its data in memory: no --stream"
    assert complaint(folder, "--exp=toy", "--stream=0") == told
    source = toys.SOURCE.replace("DATA = ()", "DATA = ('digits',)\nSTREAMS = True")
    toys.write(folder, source=source)
    assert request(folder).stream is None
    streaming = request(folder, "--stream=2")
    assert (streaming.stream, "stream" in streaming.record) == (2, False)
    assert flags.parse(["--replay=run", "--stream=0"], folder) == intents.Replay(
        Path("run"), None, 0
    )
    assert "0..64" in complaint(folder, "--exp=toy", "--stream=-1")


def test_quick_replaces_defaults(folder: Path):
    quick = request(folder, "--quick")
    assert (quick.config["scale"], quick.num_seeds) == (0.01, 1)


def test_a_flag_given_beside_quick_wins(folder: Path):
    quick = request(folder, "--quick", "--scale=0.2", "--num_seeds=5")
    assert (quick.config["scale"], quick.num_seeds) == (0.2, 5)


def test_all_runs_every_experiment(folder: Path):
    toys.write(folder, "second")
    command = flags.parse(["--exp=all", "--seed=3"], folder)
    assert isinstance(command, intents.Run)
    assert [each.experiment.name for each in command.requests] == ["second", "toy"]
    assert {each.seed for each in command.requests} == {3}


def test_a_package_is_an_experiment_and_a_helper_is_none(folder: Path):
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text(toys.SOURCE)
    (folder / "helper.py").write_text("QUICK = {}\n")
    (folder / "harness").mkdir()
    (folder / "harness" / "__init__.py").write_text("")
    assert modules.names(folder) == ("package", "toy")


def test_names_may_be_imported_into_an_experiment(folder: Path):
    source = toys.SOURCE.replace("def plot", "from other import plot\n\ndef draw")
    toys.write(folder, "toy", source)
    assert modules.names(folder) == ("toy",)


def test_all_threads_are_counted(folder: Path):
    assert request(folder, "--num_threads=all").num_threads >= 1


def test_the_data_is_the_first_that_the_experiment_names(folder: Path):
    source = toys.SOURCE.replace("DATA = ()", 'DATA = ("mnist", "digits")')
    toys.write(folder, "toy", source)
    assert request(folder).data == "mnist"
    assert request(folder, "--data=digits").data == "digits"
    message = complaint(folder, "--exp=toy", "--data=digts")
    assert message == "toy has no data set 'digts'; did you mean digits?"


JOINT = ["--exp=toy", "--coordinator=host:1"]


def test_processes_that_run_together_are_named_or_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def found(*words: str) -> Peers | None:
        command = flags.parse(words, folder)
        assert isinstance(command, intents.Run)
        return command.peers

    assert found("--exp=toy") is None
    assert found("--exp=toy", "--device=tpu") == Peers()
    words = [*JOINT, "--num_processes=2", "--process_id=1"]
    assert found(*words) == Peers("host:1", 2, 1)
    for name in ("JOB_ID", "STEP_NODELIST", "PROCID", "LOCALID", "NTASKS"):
        assert found("--exp=toy") is None
        monkeypatch.setenv(f"SLURM_{name}", "2")
    assert found("--exp=toy") == Peers()
    for words in (["--replay=run"], ["--exp=toy", "--sweep=seed=1,2"]):
        command = words[-1].partition("=")[0]
        message = f"{command} runs in one process, and Slurm has started several"
        assert complaint(folder, *words) == message


def test_a_run_on_a_pod_is_gone_on_with_by_all_its_processes(
    folder: Path, tmp_path: Path
):
    config = {"experiment": "toy", "device": "tpu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = flags.parse([f"--resume={tmp_path}"], folder)
    assert isinstance(command, intents.Resume)
    assert command.peers == Peers()


def test_how_seeds_run_is_recorded_where_it_was_asked_for(folder: Path):
    """Runs from before it could be asked for have configs without it."""
    assert "seeds_by" not in request(folder, "--seeds_by=auto").record
    assert request(folder, "--seeds_by=map").record["seeds_by"] == "map"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--exp=tyo"], "no experiment is named 'tyo'; did you mean toy?"),
        (["--exp=zzz"], "no experiment is named 'zzz'; --list shows them"),
        (["--exp=toy", "--shfit=1"], "unknown flag --shfit; did you mean --shift?"),
        (["--exp=toy", "--sed=1"], "unknown flag --sed; did you mean --seed?"),
        (["--exp=toy", "--zzzzz"], "unknown flag --zzzzz; --help lists all flags"),
        (
            ["--exp=all", "--shift=1"],
            "--shift is a flag of toy alone: give it with --exp=toy",
        ),
        (["--exp=toy", "--shift=x"], "flag --shift=x: expected a finite number"),
        (["--exp=toy", "--shift=nan"], "flag --shift=nan: expected a finite number"),
        (["--exp=toy", "--extra=2"], "flag --extra=2: expected true or false"),
        (["--exp=toy", "--scale=11"], "toy: expected a scale in 0..10, got 11.0"),
        (
            ["--exp=toy", "--seed=4294967296"],
            "flag --seed=4294967296: expected a whole number in 0..4294967295",
        ),
        (
            ["--exp=toy", "--seed=-1"],
            "flag --seed=-1: expected a whole number in 0..4294967295",
        ),
        (
            ["--exp=toy", "--num_seeds=0"],
            "flag --num_seeds=0: expected a whole number in 1..1000",
        ),
        (
            ["--exp=toy", "--num_seeds=1001"],
            "flag --num_seeds=1001: expected a whole number in 1..1000",
        ),
        (
            ["--exp=toy", "--num_seeds=1.5"],
            "flag --num_seeds=1.5: expected a whole number in 1..1000",
        ),
        (
            ["--exp=toy", "--num_threads=0"],
            "flag --num_threads=0: expected all or a whole number in 1..1024",
        ),
        (
            ["--exp=toy", "--device=gpus"],
            "flag --device=gpus: expected one of cpu, gpu, tpu",
        ),
        (["--exp=toy", "--out="], "flag --out=: expected a directory"),
        (["--exp=toy", "--seed"], "Missing value for flag --seed"),
        (
            ["--exp=toy", "--seed=1", "--seed=2"],
            "flag --seed=2: already defined as 1",
        ),
        (
            ["--exp=toy", "more"],
            "stray argument 'more'; flags are given as --name=value",
        ),
        (["toy"], "stray argument 'toy'; did you mean --exp=toy?"),
        (
            ["--exp=toy", "--", "x"],
            "stray argument 'x'; flags are given as --name=value",
        ),
        (["--seed=1"], "which experiment? --exp=toy|all"),
        (["--exp=toy", "--data=x"], "toy takes no data set"),
        (["--exp=toy", "--flagfile=x"], "unknown flag --flagfile=x"),
        (["--exp=toy", "--undefok=zz", "--zz"], "unknown flag --undefok=zz"),
        (["--replay=r", "--exp=toy"], "--replay does not go with --exp"),
        (["--replay=r", "--seed=1"], "--replay does not go with --seed"),
        (["--publish=r", "--replay=r"], "--replay does not go with --publish"),
        (["--list", "--quick"], "--list does not go with --quick"),
        (
            ["--exp=toy", "--coordinator=host"],
            "flag --coordinator=host: expected HOST:PORT",
        ),
        (
            ["--exp=toy", "--coordinator=host:1", "--process_id=0"],
            "--coordinator needs --num_processes as well",
        ),
        (
            [*JOINT, "--num_processes=2", "--process_id=2"],
            "flag --process_id: expected at most 1",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(folder: Path, words: list[str], message: str):
    assert complaint(folder, *words) == message


def test_the_largest_seed_is_taken(folder: Path):
    assert request(folder, "--seed=4294967295").seed == 2**32 - 1


def test_a_replay_may_find_its_data_elsewhere(folder: Path):
    command = flags.parse(["--replay=run", "--data_dir=data"], folder)
    assert command == intents.Replay(Path("run"), "data")


def test_alone_it_says_what_it_can_do(folder: Path):
    said = text(folder)
    for word in ("--list", "--exp=NAME", "--replay", "--publish", "--quick", "toy"):
        assert word in said
    assert said == text(folder, "--help") == text(folder, "-h")


def test_the_list_has_a_line_for_each_experiment(folder: Path):
    toys.write(folder, "second")
    first, second = text(folder, "--list").splitlines()
    assert first.split() == ["second", "Does", "a", "toy", "do", "what", "toys", "do?"]
    assert second.split()[0] == "toy"


def test_help_of_an_experiment_shows_docstring_fields_and_quick(folder: Path):
    said = text(folder, "--exp=toy", "--help")
    assert "value = shift + noise" in said
    assert "--shift=1.0  mean of the gain" in said
    assert "standard deviation of the gain, in points" in said
    assert "--quick stands for --scale=0.01 --num_seeds=1" in said


def test_help_wins_over_other_words_but_not_over_a_wrong_name(folder: Path):
    assert "value = shift" in text(folder, "--help", "--exp=toy", "--zzz")
    assert "did you mean toy" in complaint(folder, "--exp=tyo", "--help")


def test_a_field_may_not_take_a_name_of_the_harness(folder: Path):
    source = toys.SOURCE.replace("extra: bool", "seed: bool")
    toys.write(folder, "toy", source)
    with pytest.raises(ValueError, match=r"Config\.seed has a name of the harness"):
        flags.parse(["--exp=toy"], folder)


def test_quick_may_hold_flags_only(folder: Path):
    toys.write(folder, "toy", toys.SOURCE.replace('"scale": 0.01', '"scal": 0.01'))
    with pytest.raises(ValueError, match="QUICK holds no flag"):
        flags.parse(["--exp=toy"], folder)


def test_a_field_has_a_type_that_a_flag_can_have(folder: Path):
    source = toys.SOURCE.replace('fail: str = ""', "fail: tuple = ()")
    toys.write(folder, "toy", source)
    with pytest.raises(ValueError, match=r"Config\.fail to be one of int, float, str"):
        flags.parse(["--exp=toy"], folder)


def test_the_experiments_of_this_repository_can_be_read():
    for name in modules.names(modules.FOLDER):
        assert name != "harness"
        experiment = modules.read(modules.FOLDER, name)
        assert experiment.summary
        assert flags.parse([f"--exp={name}", "--quick"])
