"""What the laws are measured on, and that the worst of it is what counts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import slide
from experiments.equivariance import laws, maxima, paddings
from experiments.equivariance.geometry import (
    GEOMETRIES,
    advance,
    errors,
    pictures,
    random_stack,
)
from experiments.harness.seeds import keys


@pytest.fixture(scope="module")
def photographs():
    """Stand-ins that fill the frame, of the size the laws expect."""
    return np.asarray(jax.random.uniform(jax.random.key(7), (2, 36, 36, 1)))


def test_one_dead_layer_of_a_stack_is_a_dead_net():
    geometry = GEOMETRIES["circular"]
    images = jax.random.normal(jax.random.key(0), (2, 12, 12, 1))

    first, second = random_stack(jax.random.key(1), depth=2)
    net = [first, jax.tree.map(jnp.zeros_like, second)]
    assert errors(advance, net, images, geometry.grid(1), geometry, (1,))[1] == 0


def test_the_smallest_error_is_that_of_the_shift_that_commutes():
    images = np.asarray(jax.random.normal(jax.random.key(0), (2, 12, 12, 1)))
    kernels = np.zeros((12, 12, 9, 8), np.float32)
    kernels[:, :, 4] = np.arange(1, 13)[:, None, None]  # rows scale by their number
    shifts, geometry = np.asarray([(1, 0), (0, 1)]), GEOMETRIES["circular"]
    assert paddings._smallest_error(kernels, images, shifts, geometry) == 0


def test_a_geometry_compares_the_depths_and_shifts_that_it_says():
    assert GEOMETRIES["circular"].depths(3) == (1, 2, 3)
    assert GEOMETRIES["valid"].depths(4) == (1, 2, 4)
    assert GEOMETRIES["full"].depths(15) == (1, 2, 4, 8, 15)
    assert len(GEOMETRIES["circular"].grid(2)) == 24
    assert len(GEOMETRIES["stride-2-odd"].grid(2)) == 16
    assert len(GEOMETRIES["stride-aligned"].grid(2)) == 8
    assert len(GEOMETRIES["half-pixel-relu"].grid(2)) == 3


def test_the_margin_is_as_wide_as_shift_and_layers_reach(photographs):
    for name, depth, margin in (
        ("zero-fill-margin", 1, 3 + 4),  # the trained nets see 4 pixels far
        ("zero-fill-bias", 15, 3 + 15),
        ("full", 15, 3),
    ):
        images = pictures(photographs, GEOMETRIES[name], 3, depth)
        inside = slice(margin, -margin)
        assert images.shape == (2, *[12 + 2 * margin] * 2, 1)
        np.testing.assert_array_equal(
            images[:, inside, inside], photographs[:, :12, :12]
        )
        assert images.sum() == images[:, inside, inside].sum()


def test_every_error_stands_under_its_own_net(photographs):
    draw = jax.random.normal(jax.random.key(3), (2, 5, 5, 2, 2))
    still = jnp.zeros((5, 5, 2, 2)).at[2, 2].set(jnp.eye(2))  # each layer copies
    kernels = np.stack([draw[0], still])[None]
    biases = np.zeros((1, 2, 2))
    trained = [(kernels[:, :, :, :, :1], biases), (kernels, biases)]
    subjects = paddings.subjects(
        keys(0, 1), photographs, trained, ("draw", "still"), 1, 1
    )
    metrics: Any = paddings.geometry_errors("zero-roll", subjects)
    grid = metrics["error/zero-roll"]
    worst = dict(zip(grid.axes["net"], grid.values.max((0, 1, 3)), strict=True))
    assert list(worst) == ["random x1", "draw x1", "draw x2", "still x1", "still x2"]
    assert worst["still x1"] == worst["still x2"] == 0
    assert worst["draw x2"] > worst["draw x1"] > 0.01
    assert worst["random x1"] > 0.01


def test_the_random_net_comes_before_the_trained_ones():
    trained = [(jnp.ones((2, 3, 3, 1, 4)), jnp.ones((2, 4)))]
    ((kernels, biases),) = laws._with_random((jax.random.key(0), trained))
    assert kernels.shape == (3, 3, 3, 1, 4)
    assert jnp.all(kernels[1:] == 1)
    assert jnp.all(biases[1:] == 1)
    assert jnp.all(kernels[0] != 1)


def test_the_readings_pool_and_average_the_maps():
    images = jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    layers = random_stack(jax.random.key(1), depth=1)
    read = laws._readings(layers, jax.random.key(2))
    maps = np.asarray(read["invariance/conv"](None, images))
    blocks = maps.reshape(2, 2, 2, 2, 2, 8)
    pooled = read["invariance/max-pool"](None, images)
    np.testing.assert_array_equal(pooled, blocks.max((2, 4)))
    averaged = read["invariance/average"](None, images)
    np.testing.assert_allclose(averaged, maps.mean((1, 2)), rtol=1e-5)
    assert read["logits/dense"](None, images).shape == (2, 10)
    assert read["logits/average"](None, images).shape == (2, 10)


def test_the_peak_is_the_lowest_of_all_shifts(photographs, monkeypatch):
    monkeypatch.setattr(laws, "roll", slide)  # loses what leaves the frame
    layer = random_stack(jax.random.key(1), depth=1)[0]
    _, peak = jax.jit(laws._slopes, static_argnums=2)(layer, photographs, 1)
    assert peak.max() < 0.99


def test_a_maximum_that_depends_on_nothing_violates_the_law(monkeypatch):
    monkeypatch.setattr(maxima, "maximum", lambda window: 0.0 * jnp.sum(window))
    metrics: Any = maxima.max_dependence(keys(0, 1))
    np.testing.assert_array_equal(metrics["violations/derivative"].values, 1000)
