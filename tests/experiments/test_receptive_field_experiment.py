"""The pieces of the receptive field experiment, small; its rows and its settings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from cnn_jax.ops import num_macs, num_params, output_shapes, receptive_field
from experiments.harness.claims import Shown
from experiments.harness.seeds import keys
from experiments.receptive_field import CLAIMS, PLAIN, Config, nets, tuning
from experiments.receptive_field.counts import (
    GROWTH,
    block_fields,
    costs,
    dilated_fields,
    widening,
)
from experiments.receptive_field.labeling import (
    ARMS,
    LAYERS,
    NO_INK,
    SIDE,
    Design,
    Labeler,
    centered,
    compose,
    ink_objective,
)
from experiments.receptive_field.nets import Trained, net_metrics
from experiments.receptive_field.spreads import (
    Stack,
    apply,
    closed_spread,
    exponent,
)
from experiments.receptive_field.stacks import KNOWN, chain, dilated, flat, see, seen

NETS = ("alexnet", "vgg16", "resnet50-v1", "resnet152-v1")
LEDGER = {
    *(f"dilated-3-7-15/{arm}" for arm in ("layer", "stack")),
    *(f"exponential-growth/{arm}" for arm in ("doubling", "constant", "idcnn")),
    "exponential-growth/gridding",
    "three-ways-to-widen",
    "same-cost",
    *(f"effective-is-smaller/{arm}" for arm in ("random", "trained")),
    "idcnn-field",
    "upsample-before-dilation",
    "dilation-without-pooling",
    *(f"known-nets/{name}" for name in (*NETS, "resnet50-v1.5", "resnet152-v1.5")),
}


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} == LEDGER
    assert len(CLAIMS) == len(LEDGER)


def test_every_row_is_guarded():
    assert all(claim.controls for claim in CLAIMS)


def test_a_dilated_layer_and_a_stack_see_what_the_ledger_expects():
    metrics: Any = dilated_fields()
    fields = {
        name: metrics[name].values.tolist() for name in metrics if "field" in name
    }
    assert fields == {
        "field-2/layer": [[5, 5]],
        "field-4/layer": [[9, 9]],
        "field-2/stack": [[7, 7]],
        "field-4/stack": [[15, 15]],
    }


def test_every_block_adds_eight_positions():
    metrics: Any = block_fields()
    assert metrics["block-fields"].values.tolist() == [9, 17, 25, 33]
    assert metrics["idcnn-field/disagreements"] == 0


@pytest.mark.parametrize("name", ["alexnet", "resnet50-v1.5"])
def test_a_known_net_has_its_published_field_both_ways(name):
    net, size, field = KNOWN[name]
    found = see(net, size)
    assert (found.closed, found.size.tolist(), found.agrees) == (field, [field], True)


def test_residual_nets_have_their_published_number_of_layers():
    """Convolutions on the longest path and the dense layer behind them."""
    for name, layers in (("resnet50-v1", 50), ("resnet152-v1.5", 152)):
        convolutions = [each for each in flat(KNOWN[name][0]) if each.features]
        assert len(convolutions) + 1 == layers


def test_a_support_that_is_moved_or_cut_disagrees():
    layers = dilated((1, 2))
    right = see(chain(*layers), 15)
    assert right.agrees
    assert right.margin == 4

    def judged(start, size):
        support = jnp.asarray([start <= place < start + size for place in range(15)])
        box = (jnp.asarray([start]), jnp.asarray([size]), jnp.asarray(1.0))
        return seen((support, *box), receptive_field(layers), (15,)).agrees

    assert judged(4, 7)
    assert not judged(5, 7)
    assert not judged(4, 6)


def test_dilation_widens_at_equal_parameters_products_and_rank():
    metrics: Any = {**costs(), **widening(keys(0, 2))}
    for name in ("parameters", "products"):
        assert metrics[f"same-cost/{name}"].values.tolist() == [[0, 0, 0]]
    assert metrics["same-cost/field"].values.tolist() == [[2, 4, 6]]
    assert metrics["same-cost/miscounted"] == 0
    assert metrics["rank-less-pixels/dilated"].tolist() == [0, 0]
    assert metrics["rank-less-pixels/pool"] == 36 - 144
    assert metrics["rank/uniform"] == 64


def test_only_the_layers_up_to_the_depth_act():
    draw = np.random.default_rng(0)
    kernels = jnp.asarray(draw.normal(size=(3, 3, 2, 2)), jnp.float32)
    inputs = jnp.asarray(draw.normal(size=(1, 9, 2)), jnp.float32)

    @jax.jit
    def outputs(depth, rectified):
        return apply(Stack(kernels, depth, rectified), inputs)

    same = outputs(jnp.asarray(0), jnp.asarray(True))
    np.testing.assert_array_equal(same, inputs[..., :1])
    one = outputs(jnp.asarray(1), jnp.asarray(False))
    expected = np.convolve(inputs[0, :, 0], kernels[0, ::-1, 0, 0], "same")
    expected += np.convolve(inputs[0, :, 1], kernels[0, ::-1, 1, 0], "same")
    np.testing.assert_allclose(one[0, :, 0], expected, atol=1e-5)
    rectified = outputs(jnp.asarray(1), jnp.asarray(True))
    np.testing.assert_allclose(rectified, np.maximum(one, 0), atol=1e-5)


def test_the_exponent_of_a_power_is_its_exponent():
    depths = np.asarray([4.0, 8.0, 32.0])
    np.testing.assert_allclose(exponent(depths, closed_spread(depths)), 0.5)
    np.testing.assert_allclose(exponent(depths, np.stack([depths, depths**2])), [1, 2])


@pytest.fixture(scope="module")
def digits():
    draw = np.random.default_rng(0)
    images = np.floor(3 * draw.random((9, 8, 8, 1))).astype(np.float32) / 2
    return Split(images, np.arange(9, dtype=np.int32))


def test_every_quadrant_of_a_canvas_holds_one_whole_digit(digits):
    canvases = compose(digits, rounds=2, seed=0)
    assert canvases.images.shape == (4, SIDE, SIDE, 1)
    np.testing.assert_array_equal(
        canvases.labels == NO_INK, canvases.images[..., 0] == 0
    )
    used = []
    for image, labels in zip(canvases.images, canvases.labels, strict=True):
        for down, across in ((0, 0), (0, 20), (20, 0), (20, 20)):
            part = labels[down : down + 20, across : across + 20]
            (digit,) = set(part[part != NO_INK].tolist())
            ink = image[down : down + 20, across : across + 20, 0]
            np.testing.assert_allclose(ink.sum(), digits.images[digit].sum())
            used.append(digit)
    for each in (used[:8], used[8:]):
        assert len(set(each)) == 8  # a round uses no digit twice


def test_a_probe_lies_in_the_middle(digits):
    probes = centered(digits.images)
    np.testing.assert_array_equal(probes[:, 16:24, 16:24], digits.images)
    np.testing.assert_allclose(probes.sum(), digits.images.sum(), rtol=1e-6)


def test_ink_alone_is_scored():
    logits = np.log(np.asarray([[[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]]], np.float32))
    loss, accuracy = jax.jit(ink_objective)(logits, np.asarray([[0, 0, NO_INK]]))
    np.testing.assert_allclose(loss, -(np.log(0.7) + np.log(0.4)) / 2, rtol=1e-6)
    assert accuracy == 0.5


@pytest.mark.parametrize("arm", ARMS)
def test_the_net_of_a_design_has_its_shapes_and_parameters(arm):
    design = ARMS[arm]
    images = jnp.zeros((2, SIDE, SIDE, 1))
    shapes = jax.eval_shape(Labeler(design).init, jax.random.key(0), images)
    sizes = [leaf.size for leaf in jax.tree.leaves(shapes)]
    assert sum(sizes) == design.num_params
    out, _ = jax.eval_shape(Labeler(design).apply, shapes, images)
    assert out.shape == (2, SIDE, SIDE, 10)
    assert output_shapes(design.layers(), (SIDE, SIDE, 1))[-1] == (SIDE, SIDE, 10)


def test_arms_cost_the_same_and_differ_in_their_field():
    plain = ARMS["plain"]
    stack = plain.layers()
    assert plain.num_macs == num_macs(stack, (SIDE, SIDE, 1))
    assert plain.num_params == num_params(stack, 1)
    for arm in ARMS.values():
        assert abs(arm.num_macs / plain.num_macs - 1) < 0.05
    assert [ARMS[name].field for name in ("plain", "dilated")] == [13, 35]
    assert LAYERS == PLAIN


def trained(share, spread):
    """A net that labels a share of four ink pixels right, on two canvases."""
    design = Design(8, (1,) * 6)
    right = np.full((2, 2), 4 * share)
    spreads = np.full((2, 2), spread)
    fields = np.ones((2, 2, SIDE, SIDE))
    return Trained(design, right, np.zeros((2, SIDE, SIDE), int), fields, spreads)


def test_metrics_of_known_nets():
    labels = np.full((2, SIDE, SIDE), NO_INK)
    labels[:, 0, :4] = 3
    nets = {
        "plain": trained(0.5, 2.0),
        "pooled": trained(0.75, 1.0),
        "dilated": trained(1.0, 4.0),
        "upsampled": trained(0.25, 2.0),
        "depth-3": trained(0.25, 1.0),
    }
    test = Split(np.zeros((2, SIDE, SIDE, 1)), labels)
    metrics: Any = net_metrics(nets, test, (3, 6))
    np.testing.assert_allclose(metrics["dilated-less-pooled"].values.mean(1), 25)
    np.testing.assert_allclose(metrics["dilated-less-plain"].values.mean(1), 50)
    np.testing.assert_allclose(metrics["accuracy/shallowest"], 25)
    np.testing.assert_allclose(metrics["accuracy/deepest"], 50)
    np.testing.assert_allclose(metrics["spread-ratio"], 0.5)
    np.testing.assert_allclose(metrics["exponent/trained"], 1)
    assert isinstance(metrics["chance"], Shown)
    assert metrics["chance"].values == 100


def test_the_dilations_of_the_growing_stacks():
    assert GROWTH["doubling"][:4] == (1, 2, 4, 8)
    assert GROWTH["idcnn"][:4] == (1, 1, 2, 1)
    assert GROWTH["gridding"][:3] == (2, 4, 8)
    assert set(GROWTH["constant"]) == {2}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("draws", 20_000, "expected draws in 1 to 10000, got 20000"),
        ("depths", "3,12", "rising depths, 6 among them, got '3,12'"),
        ("depths", "6", "two or more rising depths"),
        ("depths", "12,6", "two or more rising depths"),
        ("depths", "6,17", "expected depths in 1 to 16, got '6,17'"),
        ("depths", "6,x", "expected whole numbers as depths.*got '6,x'"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})


def test_the_tuning_prints_a_loss_per_net_and_rate(monkeypatch, capsys):
    monkeypatch.setattr(tuning, "NETS", {"plain": ARMS["plain"]})
    monkeypatch.setattr(tuning, "RATES", (1e-3,))
    tuning.main(steps=1)
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["net", "0.001"]
    name, loss = line.split()
    assert name == "plain"
    assert 2 < float(loss) < 5  # ten classes, hardly trained


def test_stacks_take_the_rate_of_the_plain_net_or_of_the_deep_one():
    rates = {
        name: nets._learning_rate(name, design)
        for name, design in nets.designs((4, 6, 12)).items()
    }
    wanted = nets.LEARNING_RATES
    assert rates["depth-4"] == rates["plain"] == wanted["plain"]
    assert rates["depth-12"] == wanted["deep"]
    assert {name: rates[name] for name in ARMS} == {n: wanted[n] for n in ARMS}
