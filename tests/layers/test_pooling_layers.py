"""Pools as layers: the functions of the same names, keys, and a learned share."""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import layers, ops

KEY = jax.random.key(1)
IMAGES = jnp.asarray(np.random.default_rng(0).random((2, 6, 6, 3)), jnp.float32)
HOW = ((2, 2), 2, "SAME")

SAME = [
    (layers.MaxPool(*HOW), lambda x: ops.max_pool(x, *HOW)),
    (layers.MinPool(*HOW), lambda x: ops.min_pool(x, *HOW)),
    (layers.AvgPool(*HOW, False), lambda x: ops.avg_pool(x, *HOW, False)),
    (layers.LpPool(*HOW, p=3), lambda x: ops.lp_pool(x, 3, *HOW)),
    (layers.GaussianPool(*HOW, 0.7), lambda x: ops.gaussian_pool(x, *HOW, sigma=0.7)),
    (layers.StochasticPool(*HOW, True), lambda x: ops.stochastic_pool(x, *HOW)),
    (
        layers.BlurPool(2, 5, "REFLECT"),
        lambda x: ops.blur_pool(x, 2, taps=5, padding="REFLECT"),
    ),
    (layers.PolyphasePool(3), lambda x: ops.polyphase_pool(x, 3)),
    (layers.GlobalPool("max"), ops.global_max_pool),
    (layers.GlobalPool(), ops.global_avg_pool),
    (layers.GlobalPool("lp", 3), lambda x: ops.global_lp_pool(x, 3)),
    (layers.AdaptivePool((4, 3)), lambda x: ops.adaptive_max_pool(x, (4, 3))),
    (layers.SpatialPyramidPool((1, 3)), lambda x: ops.spatial_pyramid_pool(x, (1, 3))),
    (
        layers.FractionalMaxPool((4, 5), False, deterministic=True),
        lambda x: ops.fractional_max_pool(x, (4, 5), overlapping=False),
    ),
    (layers.KMaxPool(2), lambda x: ops.k_max_pool(x, 2)),
    (layers.DynamicKMaxPool(1, 3, 2), lambda x: ops.dynamic_k_max_pool(x, 1, 3, 2)),
]


def apply(layer, *arguments, **keywords) -> Any:
    return layer.apply(*arguments, **keywords)


def test_layers_without_parameters_are_the_functions_of_their_names():
    @jax.jit
    def both(x):
        return [(layer.apply({}, x), function(x)) for layer, function in SAME]

    for (layer, _), (ours, expected) in zip(SAME, both(IMAGES), strict=True):
        np.testing.assert_array_equal(ours, expected, err_msg=type(layer).__name__)


def test_switches_lead_back_through_layers():
    pooled, switches = layers.MaxPoolWithSwitches(*HOW).apply({}, IMAGES)
    back = layers.MaxUnpool(*HOW).apply({}, pooled, switches, (6, 6))
    kept = np.isin(IMAGES, pooled)
    np.testing.assert_array_equal(back, np.where(kept, IMAGES, 0))


def test_layers_that_draw_take_their_own_keys_and_none_in_testing():
    images = jnp.tile(IMAGES, (20, 1, 1, 1))  # 120 draws never fall alike
    for layer in (
        layers.StochasticPool((3, 3), 3),
        layers.FractionalMaxPool((4, 4)),
        layers.MixedPool((3, 3), 3, stochastic=True),
    ):
        first, second, again = (
            apply(
                layer, {}, images, False, rngs={"pooling": jax.random.fold_in(KEY, i)}
            )
            for i in (0, 1, 0)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, second)
        layer.apply({}, IMAGES, deterministic=True)


def test_the_share_of_a_mixture_starts_as_told_and_is_learned():
    layer = layers.MixedPool(*HOW, initial_share=0.25, per_channel=True)
    variables = layer.init(KEY, IMAGES)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"logit": (3,)}}
    expected = ops.mixed_pool(IMAGES, 0.25, *HOW)
    np.testing.assert_allclose(apply(layer, variables, IMAGES), expected, rtol=1e-6)
    gradient = jax.grad(lambda v: apply(layer, v, IMAGES).sum())(variables)
    difference = ops.max_pool(IMAGES, *HOW) - ops.avg_pool(IMAGES, *HOW)
    np.testing.assert_allclose(
        gradient["params"]["logit"], 3 / 16 * difference.sum((0, 1, 2)), rtol=1e-5
    )
    scalar = layers.MixedPool(*HOW).init(KEY, IMAGES)
    assert jax.tree.map(jnp.shape, scalar) == {"params": {"logit": ()}}


def test_a_drawn_mixture_has_no_parameters_and_is_the_function_of_its_share():
    layer = layers.MixedPool(*HOW, initial_share=0.25, stochastic=True)
    assert not layer.init({"pooling": KEY}, IMAGES, False)
    largest, mean = ops.max_pool(IMAGES, *HOW), ops.avg_pool(IMAGES, *HOW)
    many = jnp.tile(IMAGES, (50, 1, 1, 8))
    drawn = apply(layer, {}, many, False, rngs={"pooling": KEY})
    is_largest = np.all(drawn == jnp.tile(largest, (50, 1, 1, 8)), axis=(1, 2))
    is_mean = np.all(drawn == jnp.tile(mean, (50, 1, 1, 8)), axis=(1, 2))
    assert np.all(is_largest != is_mean)
    assert 0.2 < is_largest.mean() < 0.3  # of 2,400, five standard deviations
    tested = apply(layer, {}, IMAGES, True)
    # The mean of draws, not what is drawn more often.
    np.testing.assert_allclose(tested, largest / 4 + mean * 3 / 4, rtol=1e-6)
    with pytest.raises(ValueError, match="deterministic"):
        layer.apply({}, IMAGES)
    both = layers.MixedPool(*HOW, per_channel=True, stochastic=True)
    with pytest.raises(ValueError, match="stochastic or per_channel, got both"):
        both.init(KEY, IMAGES, True)


def test_pools_stand_in_a_sequence():
    net = nn.Sequential([layers.Conv(4, (3, 3)), nn.relu, layers.MaxPool((2, 2), 2)])
    outputs, variables = net.init_with_output(KEY, IMAGES)
    assert outputs.shape == (2, 3, 3, 4)
    assert set(variables["params"]) == {"layers_0"}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.GlobalPool("mean"), "expected 'max', 'avg' or 'lp', got 'mean'"),
        (layers.MixedPool(*HOW, initial_share=1.0), "between 0 and 1, got 1.0"),
    ],
)
def test_a_wrong_field_is_answered_with_what_was_expected(layer, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.init(KEY, IMAGES)
