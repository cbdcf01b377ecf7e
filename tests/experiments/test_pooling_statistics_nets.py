"""Pools as statistics: the nets, how they are trained and compared, and settings."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from experiments.harness.lab import Lab
from experiments.pooling_statistics import Config, nets, tuning
from experiments.pooling_statistics.fields import ROOM, Task, field, task_of
from experiments.pooling_statistics.nets import Trained

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def test_every_canvas_holds_its_whole_digit_at_a_place_of_its_own():
    images = np.random.default_rng(0).random((50, 8, 8, 1)).astype(np.float32)
    canvases = field(Split(images, np.arange(50)), seed=3)
    assert canvases.images.shape == (50, 8 + ROOM, 8 + ROOM, 1)
    places = set()
    for canvas, image in zip(canvases.images, images, strict=True):
        rows, columns = np.nonzero(canvas[..., 0])
        top, left = rows.min(), columns.min()
        np.testing.assert_array_equal(canvas[top : top + 8, left : left + 8], image)
        np.testing.assert_allclose(canvas.sum(), image.sum(), rtol=1e-5)
        places.add((top, left))
    assert len(places) > 40


def test_the_four_stacks_have_one_size_and_the_twins_have_not():
    images = jnp.zeros((2, 24, 24, 1))
    sizes = {}
    for name, net in nets.NETS.items():
        tree = jax.eval_shape(net.init, jax.random.key(0), images)
        sizes[name] = sum(leaf.size for leaf in jax.tree.leaves(tree))
        logits, _ = jax.eval_shape(net.apply, tree, images)
        assert logits.shape == (2, 10)
    assert len({sizes[name] for name in nets.STACKS}) == 1
    convolutions = 6 * 26 + 16 * (150 + 1)
    behind = 120 * 84 + 84 + 84 * 10 + 10 + 120
    assert sizes["pooled"] == convolutions + 6 * 6 * 16 * 120 + behind
    assert sizes["unpooled"] == convolutions + 24 * 24 * 16 * 120 + behind


class Tiny(nn.Module):
    """A net that compiles at once."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(10)(images.reshape(len(images), -1)), {}


@pytest.fixture(scope="module")
def tiny_task():
    draw = np.random.default_rng(0)
    labels = np.arange(20, dtype=np.int32) % 10
    images = draw.normal(size=(20, 3, 3, 1)).astype(np.float32)
    return Task(Split(images, labels), Split(images[:5], labels[:5]))


def test_a_seed_stops_at_the_first_look_at_which_its_loss_is_low(
    monkeypatch, tiny_task
):
    monkeypatch.setitem(nets.NETS, "tiny", Tiny())
    both = jax.random.split(jax.random.key(0))[jnp.asarray([0, 0])]

    def train(target, steps):
        return nets.train(both, LAB, tiny_task, "tiny", steps, target, (0.1, 1e-6))

    free = train(1e-9, 30)
    losses = free.history[..., 0]
    assert losses[0, 2] < losses[0, :2].min()
    found = train(float(losses[0, 2]) + 1e-5, 60)
    assert found.reached.tolist() == [True, False]
    assert np.isfinite(found.history[..., 0]).sum(1).tolist() == [3, 6]
    np.testing.assert_allclose(found.history[0, :3], free.history[0], rtol=1e-5)
    np.testing.assert_allclose(100 * found.wrong[0].mean(), found.history[0, 2, 2])
    for stopped, wanted in zip(
        jax.tree.leaves(found.params), jax.tree.leaves(free.params), strict=True
    ):
        np.testing.assert_allclose(stopped[0], wanted[0], rtol=1e-5)
    assert found.num_params == 100


def trained(wrong, reached=True, history=(0.5, 1.0, 20.0)):
    """A net of two seeds on four images."""
    looks = np.full((2, 3, 3), np.nan)
    looks[:, 0] = 9.0
    looks[:, 1] = history
    params = {"kernel": np.zeros((2, 7))}
    return Trained(params, np.asarray([True, reached]), np.asarray([wrong] * 2), looks)


def test_metrics_of_known_nets():
    right = [False] * 4
    known = {
        "max-avg": trained(right),
        "max-max": trained([True, False, False, False]),
        "avg-avg": trained([True, True, False, False]),
        "avg-max": trained([True] * 4),
        "pooled": trained([True, False, False, False]),
        "unpooled": trained([True, True, True, False], reached=False),
    }
    metrics: Any = nets.net_metrics(known, 0.05)
    late, early = (
        metrics[name].values for name in ("late-avg-less-max", "early-max-less-avg")
    )
    np.testing.assert_allclose(late.mean(1), 25)
    np.testing.assert_allclose(early.mean(1), 50)
    fewer = metrics["pooled-less-unpooled"].values
    np.testing.assert_allclose(fewer, [[0, -100, -100, 0], [np.nan] * 4])
    np.testing.assert_allclose(metrics["gap/unpooled"], 19)
    np.testing.assert_allclose(metrics["accuracy/pooled"], 75)
    assert metrics["parameters"].values.tolist() == [7] * 6
    assert metrics["last-look"].values.shape == (6, 2, 3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("num_test", 20_000, "expected num_test in 1 to 10000, got 20000"),
        ("windows", 1, "expected 2 or more windows, got 1"),
        ("target", 2.4, r"expected a target in \(0, 2\], got 2.4"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})


def test_the_tuning_prints_the_worst_error_per_net_and_rate(monkeypatch, capsys):
    for name in ("max-avg", "pooled"):
        monkeypatch.setitem(nets.NETS, name, Tiny())
    tried = {"max-avg": (1e-3,), "pooled": (1e-2, 1e-9)}
    monkeypatch.setattr(tuning, "TRIED", tried)
    monkeypatch.setattr(tuning, "NUM_SEEDS", 2)
    found = []

    def train(*arguments):
        found.append(nets.train(*arguments))
        return found[-1]

    monkeypatch.setattr(tuning, "train", train)
    tuning.main(Config(steps=10, limit=100, target=2.0, num_train=100))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["net", "1e-09", "0.001", "0.01"]
    assert [line[0] for line in lines[1:]] == ["max-avg", "pooled"]
    stack, twin = (100 * each.wrong.mean(1) for each in found)
    assert lines[1][1:] == [f"{stack.max():.2f}"]
    assert lines[2][1:] == ["nan", f"{twin[:2].max():.2f}"]
    assert found[1].reached.tolist() == [True, True, False, False]


def test_what_is_held_out_is_no_part_of_what_is_learned():
    digits = task_of(LAB.data(), 100, 10)
    task = tuning.halves(digits.train)
    assert len(task.test.labels) == 20
    learned = {image.tobytes() for image in task.train.images}
    assert len(learned) == 80
    assert not learned & {image.tobytes() for image in task.test.images}
