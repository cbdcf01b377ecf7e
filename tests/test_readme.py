"""README says what is so: its commands, its results, its ten lines."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    pooling_table,
    recurrent_table,
    results,
    table,
    training_table,
)
from cnn_jax.ops import pooling

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def commands(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_ten_lines_of_the_library_run_and_mean_what_they_say():
    code, _, _ = commands("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names = {}
    exec(code, names)
    assert names["maps"].shape == (8, 16, 16, 16)
    assert names["error"].shape == (8,)
    assert names["error"].max() > 0.01  # zero padding of images that fill the frame


def test_the_lines_about_recurrent_networks_run_and_mean_what_they_say():
    _, code, _ = commands("python")
    names = {}
    exec(code, names)
    assert names["c"].shape == names["h"].shape == names["output"].shape == (8, 32)
    assert names["outputs"].shape == (8, 100, 32)
    assert not names["outputs"][0, 30:].any()
    cell = names["variables"]["params"]["cell"]
    assert cell["projection"]["kernel"].shape == (32, 8)
    assert set(cell["peephole"]) == {"i", "f", "o"}


def test_the_lines_about_pooling_run_and_mean_what_they_say():
    _, _, code = commands("python")
    names = {}
    exec(code, names)
    assert names["halves"].shape == (8, 16, 16, 16)
    assert names["drawn"].shape == (8, 15, 15, 16)
    assert names["regions"].shape == (8, 5, 7, 16)
    assert names["found"].shape == (9, 8)
    assert names["lost"].shape == names["agreement"].shape == (8,)
    found = np.asarray(names["found"])
    moved = found[1:] != found[0]
    assert moved.any()  # the lines measure something
    assert ((names["lost"] > 0) == moved.any(0)).all()
    assert ((names["agreement"] < 1) == moved.any(0)).all()


def test_the_table_of_pools_names_them_all_and_no_others():
    (table,) = re.findall(r"\| pools over \|.*?\n\n", README, re.DOTALL)
    named = set(re.findall(r"`(\w+)`", table))
    assert named == set(pooling.__all__)


def test_each_of_the_two_commands_is_one_line_that_sets_itself_up():
    shell = commands("sh")
    main, tests = shell[0].splitlines(), shell[1].splitlines()
    assert len(main) == len(tests) == 1
    for line in (*main, *tests):
        assert line.startswith("python3 -m venv .venv && ")
        assert "install -q -r requirements.txt" in line
    assert main[0].endswith("launch.py --exp=equivariance")
    assert tests[0].endswith("-m pytest -n 2")
    with_uv = shell[2].splitlines()
    assert [line.rpartition(" && ")[2] for line in with_uv] == [
        line.rpartition(" && ")[2] for line in (*main, *tests)
    ]


def test_continuous_integration_takes_the_test_command_from_here():
    run = (ROOT / ".ci" / "run").read_text()
    assert "<!-- test command -->" in run
    assert "<!-- test command -->" in README


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_pins_hold_every_dependency_and_no_address():
    pins = (ROOT / "requirements.txt").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in wanted:
        name = re.split(r"[^\w-]", requirement)[0].replace("_", "-").lower()
        assert re.search(rf"^{name}==", pins, re.MULTILINE), name
    assert "://" not in pins
    assert "index-url " not in pins.replace("--no-emit-index-url ", "")


@pytest.mark.parametrize("experiment", [p.name for p in (ROOT / "results").glob("*")])
def test_a_published_result_belongs_to_an_experiment(experiment):
    assert list((ROOT / "experiments").glob(f"{experiment}*"))


def test_the_library_imports_without_flax_absl_or_matplotlib():
    code = (
        "import sys, cnn_jax; "
        "print({m.partition('.')[0] for m in sys.modules}"
        " & {'flax', 'absl', 'matplotlib', 'experiments', 'tensorflow', 'optax'})"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "set()"


def test_the_rows_of_speed_are_those_of_the_benchmark():
    found = results.load(ROOT / "benchmarks/results/convolution-cpu.json")
    (shown,) = re.findall("<!-- speed -->\n(.*?)\n<!-- /speed -->", README, re.DOTALL)
    assert shown == table.telling(found)
    assert len(shown.splitlines()) == 2 + 5
    means = re.search(
        r"mean is ([\d.]+) times jax.lax forward and ([\d.]+) times\nwith gradients, "
        r"([\d.]+) and ([\d.]+) of torch",
        README,
    )
    assert means
    told = [
        results.geometric_mean([results.ratio(each, peer) for each in found.of(form)])
        for peer in ("lax", "torch")
        for form in ("forward", "gradients")
    ]
    assert [f"{mean:.2f}" for mean in told] == list(means.groups())


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_rows_of_recurrent_speed_are_those_of_the_benchmark(device):
    found = results.load(ROOT / f"benchmarks/results/recurrent-{device}.json")
    title = "recurrent speed" if device == "cpu" else "recurrent speed on a GPU"
    block = f"<!-- {title} -->\n(.*?)\n<!-- /{title} -->(.*?)(?:\n#|<!--)"
    shown, below = re.findall(block, README, re.DOTALL)[0]
    assert shown == recurrent_table.telling(found)
    means = re.search(
        r"mean is ([\d.]+) times flax.linen, and of torch\n([\d.]+) for the LSTM and "
        r"([\d.]+) for the GRU",
        below,
    )
    assert means
    speeds = (("linen", {}), ("torch", {"cell": "LSTM"}), ("torch", {"cell": "GRU"}))
    told = [
        results.geometric_mean(
            [results.ratio(each, peer) for each in found.of("gradients", **labels)]
        )
        for peer, labels in speeds
    ]
    assert [f"{mean:.2f}" for mean in told] == list(means.groups())


def test_the_rows_of_pooling_speed_are_those_of_the_benchmark():
    found = results.load(ROOT / "benchmarks/results/pooling-cpu.json")
    (shown,) = re.findall(
        "<!-- pooling speed -->\n(.*?)\n<!-- /pooling speed -->", README, re.DOTALL
    )
    assert shown == pooling_table.telling(found)
    means = re.search(
        r"ten max pools is ([\d.]+) times flax.linen, and of 39\n"
        r"max, average and L2 pools ([\d.]+) of torch's speed, ([\d.]+) for the 13",
        README,
    )
    assert means
    told = [f"{mean:.2f}" for mean in pooling_table.means(found)]
    assert told == list(means.groups())


def test_the_rows_of_training_speed_are_those_of_the_benchmark():
    found = results.load(ROOT / "benchmarks/results/training-cpu.json")
    (shown,) = re.findall(
        "<!-- training speed -->\n(.*?)\n<!-- /training speed -->", README, re.DOTALL
    )
    assert shown == training_table.telling(found)
