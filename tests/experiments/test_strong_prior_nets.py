"""Convolution as a prior: the nets, their training, the law, tuning and settings."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from cnn_jax.models import LeNet
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.training import initial_params
from experiments.strong_prior import Config, nets, trainings, trajectories, tuning
from experiments.strong_prior.tasks import Task, pixel_orders, rearranged

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


@pytest.mark.parametrize("width", [24, 28, 32])
def test_the_dense_net_has_the_parameters_of_lenet(width):
    shape = (width, width, 1)
    found = nets.prior_nets(shape, 10)
    counts = [nets.num_params(found[arm], shape) for arm in nets.ARMS]
    cells = (width // 4) ** 2
    behind = cells * 16 * 120 + 120 + 120 * 84 + 84 + 84 * 10 + 10
    assert counts[0] == 6 * 26 + 16 * 151 + behind
    assert abs(counts[1] / counts[0] - 1) < 0.01
    assert isinstance(found["dense"], LeNet)
    assert found["dense"].features == ()


def test_the_nets_of_sharing_have_equal_maps_and_differ_in_their_kernels():
    images = jnp.zeros((2, 24, 24, 1))
    shapes, kernels = {}, {}
    for name, net in nets.sharing_nets().items():
        tree = jax.eval_shape(net.init, jax.random.key(0), images)
        _, maps = jax.eval_shape(net.apply, tree, images)
        shapes[name] = {place: each.shape for place, each in maps.items()}
        kernels[name] = tree["params"]["conv2"]["kernel"].size
        assert tree["params"]["dense1"]["kernel"].shape == (576, 120)
    assert shapes["conv"] == shapes["unshared"] == shapes["dense"]
    assert shapes["conv"]["conv2"] == (2, 6, 6, 16)
    window = 25 * 6 * 16
    places = 12 * 12 * 6 * 6 * 6 * 16
    assert kernels == {"conv": window, "unshared": 36 * window, "dense": places}


def test_dense_maps_are_a_matrix_over_all_places():
    layer = nets.DenseMaps(features=3, kernel_size=(5, 5), strides=2)
    images = jax.random.normal(jax.random.key(0), (2, 5, 4, 2))
    variables = layer.init(jax.random.key(1), images)
    found: Any = layer.apply(variables, images)
    assert found.shape == (2, 3, 2, 3)
    kernel = variables["params"]["kernel"]
    expected = np.asarray(images).reshape(2, 40) @ np.asarray(kernel)
    np.testing.assert_allclose(found.reshape(2, 18), expected, rtol=1e-5, atol=1e-6)


class Tiny(nn.Module):
    """A net that compiles at once."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(10)(images.reshape(len(images), -1)), {}


def tiny_task(number=40, width=3):
    draw = np.random.default_rng(0)
    labels = np.arange(number, dtype=np.int32) % 10
    images = draw.normal(size=(number, width, width, 1)).astype(np.float32)
    return Task(Split(images, labels), Split(images[:10], labels[:10]), 10)


@pytest.fixture
def tiny_nets(monkeypatch):
    tiny: Any = dict.fromkeys(("conv", "unshared", "dense"), Tiny())
    monkeypatch.setattr(trainings, "prior_nets", lambda *_: tiny)
    monkeypatch.setattr(trainings, "sharing_nets", lambda: tiny)


def test_subsets_are_nested_drawn_per_seed_and_of_one_length():
    small, large = (trainings.subsets(keys(0, 3), 40, size) for size in (4, 20))
    assert small.shape == large.shape == (3, 40)
    for few, many in zip(small, large, strict=True):
        assert len(set(few)) == 4
        assert len(set(many)) == 20
        assert set(few) < set(many)
        assert all((few == each).sum() == 10 for each in set(few))
    assert len({tuple(sorted(set(row))) for row in large}) == 3
    assert trainings.subsets(keys(0, 2), 5, 0).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_every_seed_sees_all_pixels_in_the_order_that_is_asked_for():
    for pixels, order in pixel_orders(9).items():
        view = trainings.views_of(keys(0, 2), tiny_task(), pixels, 2)
        np.testing.assert_array_equal(view.order, np.stack([order] * 2))
        assert [len(set(row)) for row in np.asarray(view.subset).tolist()] == [2, 2]
    whole = trainings.views_of(keys(0, 1), tiny_task(), "natural")
    np.testing.assert_array_equal(whole.subset, np.arange(40)[None])


def test_runs_are_in_the_order_of_sizes_pixels_and_seeds(monkeypatch, tiny_nets):
    calls = []

    def train(lab, label, *arguments):
        calls.append(label)
        number = float(len(calls))
        two = np.full(2, number)
        return trainings.Trained({"kernel": two}, two, two[:, None], two[:, None, None])

    monkeypatch.setattr(trainings, "_train", train)
    task = tiny_task()
    found = trainings.train_prior(
        keys(0, 2), LAB, task, "mnist", "dense", 4, sizes=(4, 20)
    )
    assert calls == [
        f"mnist, dense, {pixels}, {size}"
        for size in (4, 20)
        for pixels in ("natural", "permuted")
    ]
    assert found.params["kernel"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert found.wrong.shape == (8, 1)


def test_a_run_sees_its_images_in_its_order():
    """Permuted pixels are learned and watched alike; natural ones stay as they are."""
    task = tiny_task()
    order = jnp.asarray(pixel_orders(9)["permuted"])
    subset = jnp.asarray([3, 1, 3])
    examples = trainings.training.Examples(
        trainings.training.Data(*map(jnp.asarray, (*task.train, 0, 1))),
        *map(jnp.asarray, (*task.test, 0.0)),
    )
    seen = trainings.see(examples, trainings.View(order, subset))
    wanted = rearranged(task.train.images[[3, 1, 3]], order)
    np.testing.assert_array_equal(seen.data.images, wanted)
    np.testing.assert_array_equal(seen.data.labels, [3, 1, 3])
    np.testing.assert_array_equal(seen.images, rearranged(task.test.images, order))
    np.testing.assert_array_equal(seen.labels, task.test.labels)


def test_every_run_is_trained_at_the_rate_of_its_pixels(monkeypatch, tiny_nets):
    for pixels, rate in (("natural", 0.05), ("permuted", 1e-9)):
        monkeypatch.setitem(trainings.RATES, f"field-dense-{pixels}", rate)
    task = tiny_task()
    found = trainings.train_prior(keys(0, 2), LAB, task, "field", "dense", 60)
    assert found.wrong.shape == (4, 10)
    losses = found.last_look[:, 0]
    assert losses[:2].max() < losses[2:].min() - 0.3
    assert not found.reached.any()
    natural = found.params["Dense_0"]["kernel"][:2]
    assert np.abs(natural[0] - natural[1]).max() > 0.1  # seeds differ


def test_a_net_of_sharing_stops_at_the_target(monkeypatch, tiny_nets):
    monkeypatch.setitem(trainings.RATES, "sharing-conv", 5e-3)
    task = tiny_task()
    found = trainings.train_sharing(keys(0, 2), LAB, task, "conv", 1000, 1.5)
    assert found.reached.all()
    looks = np.isfinite(found.history[..., 0]).sum(1)
    assert (looks < 50).all()
    for seed, last in enumerate(looks - 1):
        assert found.history[seed, last, 0] <= 1.5 < found.history[seed, last - 1, 0]


@pytest.fixture(scope="module")
def measured():
    """One seed of both trajectories, short and of small nets."""
    draw = np.random.default_rng(0)
    images = draw.random((40, 8, 8, 1)).astype(np.float32)
    labels = (np.arange(40) % 10).astype(np.int32)
    split = Split(images, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "STEPS", 5)
        small = {
            "dense": LeNet(features=(), dense=(12, 12)),
            "conv": LeNet(features=(2,), dense=(12,)),
        }
        patch.setattr(trajectories, "NETS", small)
        yield trajectories.trajectory_metrics(keys(0, 1), Task(split, split, 10))


def test_a_dense_net_permuted_with_the_pixels_trains_the_same(measured):
    dense = measured["trajectories/dense"]
    assert dense.values.shape == (1, 2, 5)
    assert dense.values.dtype == np.float64
    assert 0 < dense.values.max() < 1e-12


def test_a_convolutional_net_does_not(measured):
    conv = measured["trajectories/conv"].values
    assert (conv[:, 1] > 0.05).all()  # the logits, at every step
    assert (np.diff(conv[0, 0]) > 0).all()  # the params drift apart
    np.testing.assert_array_equal(measured["trajectories-end/conv"], conv[..., -1])


def test_only_a_dense_first_layer_is_permuted_and_its_outputs_stay():
    order = np.random.default_rng(0).permutation(64)
    images = np.random.default_rng(1).normal(size=(3, 8, 8, 1))
    for features, changed in (((), True), ((2,), False)):
        net = LeNet(features=features, dense=(5, 4))
        params = initial_params(jax.random.key(0), net, (8, 8, 1))
        other = trajectories.permuted(params, jnp.asarray(order))
        same = jax.tree.map(lambda a, b: bool((a == b).all()), params, other)
        assert all(jax.tree.leaves(same)) is not changed
        before, after = (
            np.asarray(net.apply({"params": each}, jnp.asarray(seen, jnp.float32))[0])
            for each, seen in ((params, images), (other, rearranged(images, order)))
        )
        assert np.allclose(before, after, atol=1e-5) is changed


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("num_test", 20_000, "expected num_test in 1 to 10000, got 20000"),
        ("target", 2.4, r"expected a target in \(0, 2\], got 2.4"),
        ("tasks", "field,faces", "expected tasks as all or from .*, got 'field,faces'"),
        ("tasks", "field,field", "each once"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})


def test_every_arm_has_the_lowest_rate_of_the_documented_ones():
    arms = {
        f"{name}-{arm}-{pixels}"
        for name, design in trainings.DESIGNS.items()
        for arm in nets.ARMS
        for pixels in design.pixels
    }
    arms |= {f"sharing-{arm}" for arm in nets.SHARING}
    assert set(trainings.RATES) == arms
    for name, rate in trainings.RATES.items():
        errors = np.asarray(documented(name))
        assert tuning.RATES[int(np.nanargmin(errors))] == rate, name
        assert tuning.line(name, errors) in tuning.__doc__


def documented(name: str) -> list[float]:
    """Errors by rate, as the docstring of the tuning has them."""
    rows = {
        words[0]: words[1:]
        for words in map(str.split, tuning.__doc__.splitlines())
        if words
    }
    assert [float(word) for word in rows["net"]] == list(tuning.RATES)
    return [float(word) for word in rows[name]]


def test_the_tuning_prints_the_worst_error_per_net_and_rate(
    monkeypatch, capsys, tiny_nets
):
    monkeypatch.setattr(tuning, "NUM_SEEDS", 2)
    monkeypatch.setattr(tuning, "RATES", (1e-9, 1e-2))
    found = []

    def recorded(train):
        def inner(*arguments):
            found.append(train(*arguments))
            return found[-1]

        return inner

    for name in ("train_prior", "train_sharing"):
        monkeypatch.setattr(tuning, name, recorded(getattr(tuning, name)))
    small = tiny_task(60)
    monkeypatch.setattr(
        tuning, "validation_tasks", lambda _: {"field": small, "location": small}
    )
    tuning.main(LAB, Config(steps=20, limit=100, target=2.0))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["net", "1e-09", "0.01"]
    assert [line[0] for line in lines[1:]] == [
        "field-conv-natural",
        "field-conv-permuted",
        "field-dense-natural",
        "field-dense-permuted",
        "location-conv-natural",
        "location-dense-natural",
        "sharing-conv",
        "sharing-unshared",
        "sharing-dense",
    ]
    field = 100 * found[0].wrong.mean(1).reshape(2, 2, 2).max(2)  # pixels, rate
    assert lines[1][1:] == [f"{field[0, 0]:.2f}", f"{field[0, 1]:.2f}"]
    assert lines[2][1:] == [f"{field[1, 0]:.2f}", f"{field[1, 1]:.2f}"]
    sharing = 100 * found[4].wrong.mean(1)
    assert found[4].reached.tolist() == [False, False, True, True]
    assert lines[7][1:] == ["nan", f"{sharing[2:].max():.2f}"]


def test_tuning_looks_at_training_images_alone():
    digits = LAB.data("digits")
    found = tuning.validation_tasks(LAB)
    assert set(found) == {"field", "location", "textures"}
    train, test = found["field"].train, found["field"].test
    assert len(train.labels) + len(test.labels) == len(digits.train.labels)
    known = {round(float(image.sum()), 3) for image in digits.train.images}
    for canvases in (train.images, test.images):  # a canvas holds its digit's ink
        assert {round(float(image.sum()), 3) for image in canvases} <= known
    whole = LAB.whole_photographs()
    first = found["textures"].test.images[0, ..., 0]
    patch = whole["brick"][256:288, :32, 0].T  # of the lower half of the left half
    np.testing.assert_allclose(first - first[0, 0], patch - patch[0, 0], atol=1e-6)
