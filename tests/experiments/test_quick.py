"""Experiments with --quick, from the command line to a replay."""

import importlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from experiments.equivariance import CLAIMS
from experiments.harness import table
from tests.experiments.launching import (
    assert_replays,
    finished_run,
    read_result,
)

# Smaller than --quick: what is tested is the path, not the accuracy.
SMALL = ("--steps=12", "--num_test=40", "--max_shift=3")
# What is smaller than --quick, and how many figures there are.
OTHERS = {
    "convolution_identities": (("--num_digits=8",), 6),
    "receptive_field": (("--steps=5",), 5),
    "long_range_memory": (("--num_held_out=10",), 4),
    "convolution_speed": (("--windows=3,9", "--crossover=3,21"), 4),
    "gradient_vanishing": (("--topics=all",), 13),
    "pooling_statistics": (("--steps=10", "--limit=20"), 5),
    "pooling_robustness": (("--steps=10", "--canvas_steps=10"), 7),
    "strong_prior": (("--steps=6", "--limit=20"), 4),
}

# Controls by the digits, which --quick of long_range_memory leaves out.
LEFT_OUT = "rnn-sees-all:digits-"


@pytest.fixture(scope="module")
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Callable[[str], Path]]:
    """Waits for a run of those that the chosen tests need; two run at a time."""
    words = {"equivariance": SMALL} | {name: each for name, (each, _) in OTHERS.items()}
    chosen = set()
    for item in request.session.items:
        if item.path == request.path:
            callspec = getattr(item, "callspec", None)
            chosen.add(callspec.params["experiment"] if callspec else "equivariance")
    with ThreadPoolExecutor(2) as pool:
        runs = {
            name: pool.submit(
                finished_run, name, tmp_path_factory.mktemp(name), "--quick", *each
            )
            for name, each in words.items()
            if name in chosen
        }
        yield lambda name: runs[name].result()
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def run(finished):
    return finished("equivariance")


@pytest.fixture(scope="module")
def result(run):
    return read_result(run)


def test_every_claim_of_the_ledger_is_measured(result):
    verdicts = {claim["id"]: claim["verdict"] for claim in result["claims"]}
    assert set(verdicts) == {claim.id for claim in CLAIMS}
    assert "not measured" not in verdicts.values()
    assert "invalid" not in verdicts.values()


def test_every_law_comes_out_as_expected(result):
    expected = {"yes": "supported", "no": "refuted"}
    for claim in result["claims"]:
        if claim["kind"] == "law":
            assert claim["verdict"] == expected[claim["expected"]], claim["id"]


def test_every_control_of_a_law_holds(result):
    laws = [control for control in result["controls"] if control["kind"] == "law"]
    assert len(laws) >= 12
    for control in laws:
        assert control["verdict"] == "supported", control["id"]


def test_the_run_leaves_a_report_with_every_figure(run):
    report = (run / "report.html").read_text()
    assert report.count("<svg") >= 5
    assert len(list((run / "figures").iterdir())) == 5


def test_a_replay_is_bit_identical(run):
    assert_replays(run)


def lacks(config: dict[str, Any], requires: str) -> bool:
    """Whether a run had not the flags that a claim needs."""
    for flag in requires.split():
        name, _, needed = flag.removeprefix("--").partition("=")
        given = str(config.get(name)).split(",")
        if given != ["all"] and not set(needed.split(",")) <= set(given):
            return True
    return False


@pytest.mark.parametrize("experiment", OTHERS)
def test_every_claim_of_an_experiment_is_measured(experiment, finished):
    run = finished(experiment)
    result = read_result(run)
    claims = importlib.import_module(f"experiments.{experiment}").CLAIMS
    assert [claim["id"] for claim in result["claims"]] == [each.id for each in claims]
    counted = {"yes": "supported", "no": "refuted"}
    config = result["config"]
    elsewhere = {each.id for each in claims if lacks(config, each.requires)}
    left_out = {
        claim["id"] for claim in result["claims"] if claim["verdict"] == "not measured"
    }
    assert left_out <= elsewhere
    for claim in result["claims"]:
        assert claim["verdict"] != "invalid", claim["id"]
        if claim["kind"] in ("law", "count"):
            assert claim["verdict"] == counted[claim["expected"]], claim["id"]
    # What a conditional claim judges depends on training, which --quick cuts short.
    trained = {each.metric for each in claims if each.kind == "conditional"}
    unsure = {
        control.id
        for each in claims
        for control in each.controls
        if control.metric in trained
    }
    for control in table.guards(result):
        if control["id"].startswith(LEFT_OUT):
            assert control["verdict"] == "not measured"
        elif control["kind"] in ("law", "count") and control["id"] not in unsure:
            assert control["verdict"] == "supported", control["id"]
    assert len(list((run / "figures").iterdir())) == OTHERS[experiment][1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("experiment", OTHERS)
def test_every_experiment_replays_to_the_bit(experiment, finished):
    assert_replays(finished(experiment))
