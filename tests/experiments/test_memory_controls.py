"""The control of recurrent nets: one that is deaf to its input has to fail it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from experiments import long_range_memory
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.verdicts import judge, judge_controls
from experiments.long_range_memory import CLAIMS, nets, training
from experiments.long_range_memory.results import HEARD, Result, net_metrics
from experiments.long_range_memory.tasks import problem
from tests.experiments.memory_cases import COPY

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
ROW = "rnn-sees-all"


def learned_digits() -> Result:
    """The plain RNN after a tenth of the digits' steps."""
    task, sets = problem("sequential", 100, 100, LAB.data)
    net = nets.build("rnn", task)
    training._program.cache_clear()  # whole or cut, it has the same config
    trained = training.train(keys(0, 2), LAB, net, task, sets, 60, 3e-3, "rnn")
    training._program.cache_clear()
    return Result(net, "sequential", task, trained)


def control_of(results: dict[str, Result]) -> Any:
    controls = judge_controls(CLAIMS, net_metrics(results))
    return next(each for each in controls if each.id == f"{ROW}:digits-rnn")


def test_a_recurrent_net_that_reads_its_input_passes():
    control = control_of({"rnn-sequential": learned_digits()})
    assert control.verdict == "supported"
    assert control.findings[0].worst > 30


def test_a_recurrent_net_whose_input_kernel_is_cut_fails(monkeypatch):
    whole = nets.as_tree

    def cut(net: nets.Net, params: jax.Array) -> dict:
        tree = whole(net, params)
        kernel = tree["layer1"]["cell"]["i"]["kernel"]
        tree["layer1"]["cell"]["i"]["kernel"] = jnp.zeros_like(kernel)
        return tree

    monkeypatch.setattr(nets, "as_tree", cut)
    control = control_of({"rnn-sequential": learned_digits()})
    assert control.verdict == "refuted"
    assert control.findings[0].worst < 15  # about chance, 10


def seen(right: tuple[float, ...]) -> dict[str, Result]:
    """The plain RNN blind on copy memory, and as right on digits as it is said."""
    net = nets.build("rnn", COPY)
    ones = np.ones((5, training.LOOKS, 2))
    right_of_seeds = np.asarray(right)[:, None, None] * ones
    blind = training.Trained(np.zeros((5, 1)), ones, right_of_seeds, np.ones(2))
    results = {"rnn-copy": Result(net, "copy", COPY, blind)}
    return results | {"rnn-sequential": Result(net, "sequential", COPY, blind)}


def verdict(results: dict[str, Result]) -> tuple[str, str]:
    claims = {each.id: each for each in judge(CLAIMS, net_metrics(results))}
    return claims[f"{ROW}/rnn-copy"].verdict, claims[f"{ROW}/rnn-copy"].note


def test_a_net_that_remembers_nothing_refutes_only_if_it_learned_digits():
    assert verdict(seen((21, 50, 60, 70, 80)))[0] == "refuted"
    judged, note = verdict(seen((19, 50, 60, 70, 80)))
    assert judged == "invalid"
    assert "control digits-rnn refuted" in note


def test_a_run_without_digits_says_which_control_is_missing():
    results = seen((50,) * 5)
    del results["rnn-sequential"]
    judged, note = verdict(results)
    assert judged == "invalid"
    assert "control digits-rnn not measured" in note
    control = control_of(results)
    assert control.note == "digits-right/rnn is absent"
    assert "task sequential" in control.statement
    del results["rnn-copy"]
    assert "needs --nets=rnn --tasks=copy,sequential" in verdict(results)[1]


@pytest.mark.parametrize(("heard", "verdict"), [(30.0, "supported"), (19.0, "refuted")])
def test_where_images_are_others_the_small_digits_alone_decide(heard, verdict):
    results = seen((100 - heard,) * 5)  # of the run's own images
    results[f"rnn-{HEARD}"] = seen((heard,) * 5)["rnn-sequential"]._replace(name=HEARD)
    assert control_of(results).verdict == verdict


def test_recurrent_nets_read_the_small_digits_beside_other_images(monkeypatch):
    """With one step each; the trainings and their data are recorded."""
    fitted = []

    def train(keys, lab, net, task, sets, steps, learning_rate, label):
        fitted.append((label, task.length, learning_rate))
        blind = np.ones((len(keys), training.LOOKS, 2))
        return training.Trained(np.zeros((len(keys), 1)), blind, blind, np.ones(2))

    monkeypatch.setattr(long_range_memory, "train", train)
    lab = Lab("mnist", None, lambda *_, **__: None, lambda *_: None)
    images = np.zeros((20, 28, 28, 1), np.float32), np.arange(20) % 10
    small = LAB.data()

    def data(name=None):
        if name == "digits":
            return small
        test = Split(*(each[:10] for each in images))
        return dataclasses.replace(small, train=Split(*images), test=test)

    monkeypatch.setattr(lab, "data", data)
    config = long_range_memory.Config(nets="rnn,shallow", tasks="sequential")
    metrics = long_range_memory.run(keys(0, 2), config, lab)
    rates = training.LEARNING_RATES
    assert sorted(fitted) == [
        ("rnn, heard", 64, rates["digits"]["rnn"]),
        ("rnn, sequential", 784, rates["mnist"]["rnn"]),
        ("shallow, sequential", 784, rates["mnist"]["shallow"]),
    ]
    assert "digits-right/rnn" in metrics
