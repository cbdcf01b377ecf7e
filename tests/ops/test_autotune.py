"""algorithm="autotune": what it measures, keeps, shares and tells."""

import json
import multiprocessing
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax.data import cache
from cnn_jax.ops import Choice, conv, recording_choices
from cnn_jax.ops.algorithms import autotune, choices
from cnn_jax.ops.algorithms.registry import GROUPED

tuned = partial(conv, algorithm="autotune")
X, K = jnp.ones((1, 5, 2)), jnp.ones((3, 2, 2))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, an empty memory, and nothing warned of yet."""
    monkeypatch.setenv("CNN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(choices, "_made", {})
    monkeypatch.setattr(choices, "_recorders", [])
    monkeypatch.setattr(choices, "_warned", set())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The candidates of every measurement, in which the last one always wins."""
    calls: list[list[str]] = []

    def measure(functions: dict[str, Any], *_: Any) -> dict[str, float]:
        calls.append(list(functions))
        return {name: 1.0 - 0.01 * i for i, name in enumerate(functions)}

    monkeypatch.setattr(autotune, "_measure", measure)
    return calls


def lower(*arrays: Any, **settings: Any) -> str:
    """A program of its own each time, so that every call chooses."""
    return jax.jit(lambda *a: tuned(*a, **settings)).lower(*arrays).as_text()


def test_a_measured_choice_is_the_fastest_and_computes_the_convolution(
    tmp_path: Path,
) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 2)), jnp.float32)
    k = jnp.asarray(np.random.default_rng(1).normal(size=(2, 2, 2)), jnp.float32)
    with recording_choices() as made:
        outputs = jax.jit(lambda x, k: tuned(x, k, strides=2))(x, k)
    (choice,) = made
    np.testing.assert_allclose(outputs, conv(x, k, strides=2), rtol=1e-5, atol=1e-5)
    assert choice.source == "measured"
    assert choice.algorithm == min(choice.seconds, key=lambda n: choice.seconds[n])
    assert {"direct", "im2col", "shifted", "fourier"} <= choice.seconds.keys()
    assert "winograd2" not in choice.seconds  # two taps and strides
    stored = json.loads((tmp_path / "algorithms.json").read_text())
    ((environment, problems),) = stored["environments"].items()
    assert f"jax {jax.__version__}" in environment
    assert problems[choice.problem]["algorithm"] == choice.algorithm


def test_each_form_of_each_shape_is_measured_once(measured: list[list[str]]) -> None:
    def loss(k: Any) -> Any:
        return jnp.sum(tuned(X, k) ** 3)

    def train(k: Any) -> Any:  # gradients of both orders, in a loop
        def step(k: Any, _: None) -> tuple[Any, None]:
            return k - jax.hessian(loss)(k).sum((3, 4, 5)), None

        return lax.scan(step, k, length=2)[0]

    with recording_choices() as made:
        jax.jit(train).lower(K)
        jax.jit(lambda k: train(2 * k)).lower(K)
    forms = {choice.problem.split()[1] for choice in made}
    assert forms >= {"forward", "kernel_gradient"}
    assert len(measured) == len(made) == len({choice.problem for choice in made})


def test_what_decides_about_speed_tells_choices_apart(
    measured: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(X, K)
    lower(X.astype(jnp.bfloat16), K.astype(jnp.bfloat16))
    lower(X, K, padding="VALID")
    lower(jnp.ones((2, 5, 2)), K)
    assert len(measured) == 4
    monkeypatch.setattr(choices, "_made", {})
    lower(X, K)
    assert len(measured) == 4  # on disk
    for name, value in (("PJRT_NPROC", "7"), ("XLA_FLAGS", "--some_flag=1")):
        monkeypatch.setattr(choices, "_made", {})
        monkeypatch.setenv(name, value)
        lower(X, K)
    assert len(measured) == 6


def test_the_least_exact_algorithm_is_never_a_candidate(
    measured: list[list[str]],
) -> None:
    lower(jnp.ones((1, 6, 6, 2)), jnp.ones((3, 3, 2, 2)))
    (names,) = measured
    assert "winograd2" in names
    assert "winograd4" not in names


def test_vmap_over_kernels_chooses_for_one_of_them(measured: list[list[str]]) -> None:
    lower(X, K)
    jax.jit(jax.vmap(lambda x, k: tuned(x, k))).lower(
        jnp.stack([X] * 3), jnp.stack([K] * 3)
    )
    assert len(measured) == 1


def test_the_groups_choose_for_themselves(measured: list[list[str]]) -> None:
    x, k = jnp.ones((1, 5, 4)), jnp.ones((3, 2, 4))
    text = lower(x, k, feature_group_count=2)
    assert [GROUPED in names for names in measured] == [True, False]
    assert "stablehlo.while" in text  # over the groups


def test_a_record_is_chosen_again_without_a_measurement(
    measured: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording_choices() as made:
        lower(X, K)
    (choice,) = made
    known = Choice(choice.problem, "shifted", "measured", {})
    monkeypatch.setattr(choices, "_made", {})
    with recording_choices([known]) as again:
        assert "convolution" not in lower(X, K)
    assert [(each.algorithm, each.source) for each in again] == [
        ("shifted", "recorded")
    ]
    assert len(measured) == 1
    monkeypatch.setattr(choices, "_made", {})
    with recording_choices([Choice(choice.problem, "forgotten", "measured", {})]):
        lower(X, K)  # of a version that had more algorithms: no reason to fail


def test_a_choice_is_told_once_as_soon_as_it_is_made(
    measured: list[list[str]],
) -> None:
    told: list[Choice] = []
    with recording_choices((), told.append) as made:
        lower(X, K)
        assert told == made
        lower(X, K)
        assert len(told) == 1


def test_another_is_asked_once_and_what_it_chose_is_not_measured(
    measured: list[list[str]],
) -> None:
    asked: list[str] = []

    def ask(problem: str) -> Choice:
        asked.append(problem)
        return Choice(problem, "shifted", "measured", {})

    lower(X, K)  # what this process has measured itself does not count
    with recording_choices(ask=ask) as made:
        assert "convolution" not in lower(X, K)
        lower(X, K)
    assert (len(asked), len(measured)) == (1, 1)
    assert (made[-1].algorithm, made[-1].source) == ("shifted", "recorded")


def test_a_record_begins_with_what_is_compiled_already(
    measured: list[list[str]],
) -> None:
    lower(X, K)
    with recording_choices() as outer, recording_choices() as inner:
        lower(X, K, padding="VALID")
    assert len(outer) == len(inner) == len(measured) == 2


GOOD = {"version": 1, "environments": {}}
BROKEN = [
    ("{", "is damaged|cannot be read"),
    ("[]", "is damaged"),
    ("\ud800", "cannot be read"),
    (json.dumps({**GOOD, "environments": 3}), "is damaged"),
    (json.dumps({**GOOD, "environments": {"cpu": {"problem": "direct"}}}), "damaged"),
]


@pytest.mark.parametrize(("content", "reason"), BROKEN)
def test_a_damaged_cache_is_one_warning_and_heals(
    content: str,
    reason: str,
    measured: list[list[str]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "algorithms.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    lower(X, K)
    lower(X, K, padding="VALID")
    (warning,) = caplog.messages
    assert str(path) in warning
    assert any(word in warning for word in reason.split("|"))
    ((_, problems),) = json.loads(path.read_text())["environments"].items()
    assert len(problems) == len(measured) == 2


def test_the_cache_of_another_version_is_ignored_and_left_alone(
    measured: list[list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "algorithms.json"
    path.write_text(content := json.dumps({**GOOD, "version": 99}))
    lower(X, K)
    lower(X, K, padding="VALID")
    assert ["has version 99, expected 1" in line for line in caplog.messages] == [True]
    assert path.read_text() == content
    assert len(measured) == 2


def test_a_cache_that_cannot_be_written_is_one_warning(
    measured: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv("CNN_JAX_CACHE", str(occupied / "below"))
    lower(X, K)
    lower(X, K)
    lower(X, K, padding="VALID")
    assert len(caplog.messages) == 1
    assert len(measured) == 2  # in memory nevertheless


def test_an_unknown_name_in_the_cache_is_measured_again(
    measured: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(X, K)
    path = tmp_path / "algorithms.json"
    path.write_text(path.read_text().replace('"algorithm": "', '"algorithm": "other-'))
    monkeypatch.setattr(choices, "_made", {})
    lower(X, K)
    assert len(measured) == 2


def test_without_a_device_or_a_candidate_xla_convolves(
    monkeypatch: pytest.MonkeyPatch, measured: list[list[str]]
) -> None:
    monkeypatch.setattr(autotune, "_measure", lambda *_: {})
    assert "stablehlo.convolution" in lower(X, K)
    exported = jax.jit(tuned).trace(X, K).lower(lowering_platforms=("cuda",))
    assert "stablehlo.convolution" in exported.as_text()


def _write_many(path: Path, name: str) -> None:
    for i in range(20):
        choices._write(path, "cpu", f"{name} {i}", "direct", {"direct": 1.0})


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "algorithms.json"
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=_write_many, args=(path, name)) for name in "ab"]
    for each in others:
        each.start()
    while any(each.is_alive() for each in others):
        assert choices._read(path) is not None
        assert not choices._warned
    assert [each.exitcode for each in others] == [0, 0]
    problems = (choices._read(path) or {})["cpu"]
    # Of two that write at once one may lose an entry, which costs a measurement.
    assert {"a 19", "b 19"} & problems.keys()
    assert problems.keys() <= {f"{name} {i}" for name in "ab" for i in range(20)}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_integers_are_tuned_too() -> None:
    inputs = jnp.arange(64, dtype=jnp.int32).reshape(1, 4, 16)
    kernel = jnp.ones((3, 16, 4), jnp.int32)
    tuned = jax.jit(partial(conv, algorithm="autotune"))(inputs, kernel)
    wide = jnp.float32(inputs), jnp.float32(kernel)  # cuDNN convolves no int32
    wanted = jax.jit(partial(conv, algorithm="direct"))(*wide)
    assert tuned.dtype == jnp.int32
    np.testing.assert_array_equal(tuned, wanted)


def test_the_cache_lies_where_the_data_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choices._cache_directory() == cache.directory()
    monkeypatch.delenv("CNN_JAX_CACHE")
    assert choices._cache_directory() == cache.directory()
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert choices._cache_directory() == cache.directory()
