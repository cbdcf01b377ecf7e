"""The arms, their training, and what moving costs them on known predictions."""

import types
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnn_jax.ops import blur_pool
from experiments.equivariance import nets
from experiments.equivariance.nets import MODELS, Trained, conv_layers, moving_metrics
from experiments.harness.seeds import keys

LABELS = np.asarray([0, 1, 2, 3])
RIGHT = jnp.broadcast_to(jnp.asarray(LABELS), (2, 9 * 9, 4))
# Shifts beyond 3 pixels come last in the grid.
LOST = RIGHT.at[:, 1:49, 0].set(9)


def test_moving_costs_what_the_predictions_lose_at_each_distance():
    arms = [Trained("max", {}, RIGHT, 1), Trained("strided", {}, LOST, 2)]
    metrics: Any = moving_metrics(keys(0, 2), arms, LABELS, 4)
    np.testing.assert_allclose(metrics["clean-accuracy/strided"], 100)
    lost = metrics["lost-by-moving"].values
    np.testing.assert_allclose(lost[:, 0], 0)
    np.testing.assert_allclose(lost[:, 1], [[25, 25, 25, 0]] * 2)
    grid = metrics["accuracy-over-shifts"].values
    np.testing.assert_allclose(grid[0], 100)
    np.testing.assert_allclose(grid[1], [100] + [75] * 48 + [100] * 32)
    assert metrics["parameters"].values.tolist() == [1, 2]


@pytest.mark.parametrize(("pooled", "augmented", "points"), [(1, 0, 25), (0, 1, -25)])
def test_pooling_confers_what_it_saves_beyond_augmentation(pooled, augmented, points):
    """Per seed and image, over the shifts of 1 to 3 pixels alone."""
    beyond = RIGHT.at[:, 49:, 1].set(9)
    both = LOST.at[:, 49:, 1].set(9)
    arms = [
        Trained("max", {}, RIGHT if pooled else both, 1),
        Trained("strided", {}, LOST, 2),
        Trained("strided+aug", {}, beyond if augmented else LOST, 2),
    ]
    metrics: Any = moving_metrics(keys(0, 2), arms, LABELS, 4)
    saved = metrics["pooling-less-augmentation"].values
    np.testing.assert_allclose(saved, [[4 * points, 0, 0, 0]] * 2)


def test_without_the_needed_arms_or_shifts_the_conferred_claim_has_no_metric():
    arms = [Trained(name, {}, RIGHT, 1) for name in ("max", "strided", "strided+aug")]
    metrics = moving_metrics(keys(0, 2), arms[:2], LABELS, 4)
    assert "pooling-less-augmentation" not in metrics
    assert not nets._conferred(arms, LABELS, np.abs(nets.shift_grid(2)).max(1))


def test_the_protocols_draw_from_the_shifts_that_their_papers_draw_from():
    """Predictions that differ at the furthest positive shifts alone."""
    furthest = np.any(nets.shift_grid(1) == 1, axis=1)
    arm = Trained("max", {}, jnp.asarray(furthest[None, :, None] * np.ones(640)), 1)
    exhaustive, zhang, aps = nets._protocols(keys(0, 1), arm, nets.shift_grid(1))[0]
    np.testing.assert_allclose(exhaustive, 100 * (5 * 4 + 4 * 3) / 72, rtol=1e-5)
    assert 0 < zhang < 100
    assert aps == 100


def test_every_arm_pools_as_its_name_says():
    image = -jnp.arange(16.0).reshape(1, 4, 4, 1)
    pooled = {}
    for name in ("max", "average", "polyphase", "blur", "global"):
        pool: Any = MODELS[name].pool
        pooled[name] = np.asarray(pool(image))[0, :, :, 0]
    np.testing.assert_array_equal(pooled["max"], [[0, -2], [-8, -10]])
    np.testing.assert_array_equal(pooled["global"], pooled["max"])
    np.testing.assert_array_equal(pooled["average"], [[-2.5, -4.5], [-10.5, -12.5]])
    np.testing.assert_array_equal(pooled["polyphase"], [[-5, -7], [-13, -15]])
    blurred = blur_pool(image, (2, 2))[0, :, :, 0]  # the dense maximum is the image
    np.testing.assert_array_equal(pooled["blur"], blurred)
    assert MODELS["none"].pool is MODELS["strided"].pool is None
    assert (MODELS["none"].conv_strides, MODELS["strided"].conv_strides) == (1, 2)
    assert MODELS["global"].head == "global"


class Linear(nn.Module):
    features: int

    @nn.compact
    def __call__(self, images):
        hidden = nn.Dense(self.features)(images.reshape(len(images), -1))
        return nn.Dense(4)(hidden), {}


class Lab:
    """Trains nothing and remembers what it was asked for."""

    is_streaming = False

    def __init__(self):
        self.asked = []

    def fit(self, step, states, examples, *, num_chunks, label):
        del step
        limits = int(examples.max_shift), int(examples.num_steps)
        self.asked.append((label, num_chunks, *limits))
        return states


def test_every_arm_is_trained_by_its_model_its_augmentation_and_its_steps(monkeypatch):
    monkeypatch.setattr(nets, "MODELS", {"max": Linear(2), "strided": Linear(3)})
    split = types.SimpleNamespace(images=np.ones((6, 3, 3, 1)), labels=np.ones(6, int))
    data: Any = types.SimpleNamespace(train=split, test=split)
    lab: Any = Lab()
    trained = nets.train_arms(
        keys(0, 1),
        lab,
        data,
        ("max", "max+aug", "strided"),
        steps=120,
        batch=2,
        max_shift=1,
    )
    assert lab.asked == [
        ("max", 3, 0, 120),
        ("max+aug", 3, 3, 120),
        ("strided", 3, 0, 120),
    ]
    assert [arm.num_params for arm in trained] == [32, 32, 46]
    assert all(arm.predictions.shape == (1, 9, 6) for arm in trained)


def test_the_layers_of_all_arms_are_stacked_behind_the_seeds():
    def arm(value):
        layer = {"kernel": jnp.full((2, 3), value), "bias": jnp.full((2, 1), value)}
        return Trained("max", {"conv1": layer, "conv2": layer}, RIGHT, 1)

    for layers in conv_layers([arm(1.0), arm(2.0), arm(3.0)]):
        for array, size in zip(layers, (3, 1), strict=True):
            assert array.shape == (2, 3, size)
            np.testing.assert_array_equal(array[0, :, 0], [1, 2, 3])
