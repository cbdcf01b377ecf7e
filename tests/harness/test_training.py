"""The training of nets over seeds: initial draws, and what runs see."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from cnn_jax.layers import ConvLocal
from cnn_jax.models import LeNet
from experiments.harness import training
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


class Linear(nn.Module):
    """A net that compiles at once."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(4)(images.reshape(len(images), -1)), {}


def test_kernels_have_the_scale_of_their_own_inputs_and_biases_are_zero():
    shape = (16, 16, 1)
    for conv, inputs in ((None, (25, 150)), (ConvLocal, (25, 150))):
        net = LeNet() if conv is None else LeNet(conv=conv)
        params = training.initial_params(jax.random.key(0), net, shape)
        for number, fan_in in enumerate((*inputs, 256), start=1):
            name = f"conv{number}" if number < 3 else "dense1"
            kernel = np.asarray(params[name]["kernel"])
            scale = kernel.std() * (fan_in / 2) ** 0.5
            np.testing.assert_allclose(scale, 1, atol=4 / (2 * kernel.size) ** 0.5)
            assert not np.any(params[name]["bias"])


def examples():
    draw = np.random.default_rng(0)
    labels = (np.arange(64) % 4).astype(np.int32)
    images = 0.1 * draw.normal(size=(64, 2, 2, 1)).astype(np.float32)
    images.reshape(64, 4)[np.arange(64), labels] += 1
    return Split(images, labels), Split(images[:8], labels[:8])


def flipped(seen, view):
    """A view of 1 turns the watched images to and fro."""
    images = jnp.where(view == 1, seen.images[:, ::-1, ::-1], seen.images)
    return seen._replace(images=images)


def test_a_run_is_trained_and_watched_on_what_it_sees():
    learned, watched = examples()
    runs = training.Runs(jnp.tile(keys(0, 1), 2), (0.05, 0.05), jnp.asarray([0, 1]))
    options = {"steps": 60, "every": 30}
    found = training.train(
        LAB, "tiny", Linear(), learned, watched, runs, see=flipped, **options
    )
    assert found.history.shape == (2, 2, 3)
    assert found.wrong.mean(1).tolist() == [0, 1]
    np.testing.assert_array_equal(found.history[0, :, :2], found.history[1, :, :2])
    np.testing.assert_allclose(found.last_look[:, 2], [0, 100])
    assert found.num_params == 20
    plain = training.Runs(keys(0, 1), (0.05,))
    alone = training.train(LAB, "tiny", Linear(), learned, watched, plain, **options)
    np.testing.assert_array_equal(alone.history[0], found.history[0])


def test_the_last_look_is_the_last_that_was_taken():
    history = np.full((2, 3, 3), np.nan)
    history[0, 0] = [0.5, 1, 2]
    history[1] = [[0.9, 1, 2], [0.8, 3, 4], [0.7, 5, 6]]
    stopped = training.Trained({}, np.ones(2, bool), np.zeros((2, 4), bool), history)
    assert stopped.last_look.tolist() == [[0.5, 1, 2], [0.7, 5, 6]]
