"""Pooling in tasks: the images, the nets, their training and the tuning."""

import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from cnn_jax.data.sources import find
from cnn_jax.instruments import bounding_box, coverage, gradient_support
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.pooling_robustness import tasks_images as images
from experiments.pooling_robustness import tasks_nets as nets
from experiments.pooling_robustness import tasks_tuning as tuning
from experiments.strong_prior.tasks import Task

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
DIGITS = find("digits")


@pytest.fixture(scope="module")
def digits():
    return images.first(LAB.data(), 30, 10)


def test_a_halving_is_the_weighted_sum_of_its_definition():
    draw = np.random.default_rng(0)
    picture = draw.integers(0, 256, (1, 6, 4, 1))
    weights = (1, 3, 3, 1)
    small = images.halved(picture)
    assert small.shape == (1, 3, 2, 1)
    for row in range(3):
        for column in range(2):
            total = sum(
                weights[a] * weights[b] * picture[0, y, x, 0]
                for a in range(4)
                for b in range(4)
                if 0 <= (y := 2 * row + a - 1) < 6
                and 0 <= (x := 2 * column + b - 1) < 4
            )
            assert abs(small[0, row, column, 0] - total / 64) <= 0.5


def test_a_shrunk_picture_is_the_recorded_one_halved_not_the_enlarged_one(digits):
    canvas = images.first(LAB.data(view="canvas"), 30, 10)
    whole = images.shrunk(digits.test, DIGITS, 1)
    inside = slice(8, 24)  # of the frame, where its edge does not matter
    np.testing.assert_array_equal(
        whole.images[:, inside, inside], canvas.test.images[:, inside, inside]
    )
    np.testing.assert_array_equal(whole.labels, canvas.test.labels)
    for scale, edge in ((1, 12), (2, 6), (4, 3)):
        small = images.shrunk(digits.test, DIGITS, scale).images
        assert small.shape == whole.images.shape
        # So few rows span all of a picture, each by a fixed interpolation.
        assert np.linalg.matrix_rank(small[0, ..., 0], 1e-4) <= edge
        np.testing.assert_allclose(small.sum(), whole.images.sum(), rtol=0.05)


def test_a_shrunk_picture_fades_beyond_its_frame():
    corner = np.zeros((1, 8, 8, 1), np.float32)
    corner[0, 0, 0] = 1
    split = Split(corner, np.zeros(1, np.int32))
    small = images.shrunk(split, DIGITS, 2).images[0, ..., 0]
    assert small[:6].sum() > 0.2 * small.sum()  # above the frame
    # Cut off at the frame it would fall by all it has from one row to the next.
    assert np.abs(np.diff(small, axis=0)).max() < 0.4 * small.max()


@pytest.mark.parametrize("cutoff", [0.5, 2.0])
def test_a_wave_passes_by_its_frequency(cutoff):
    """2 cycles in 32 pixels are 1.25 in the 20 of a picture."""
    wave = np.cos(2 * np.pi * 2 * np.arange(32) / 32).astype(np.float32)
    canvas = np.broadcast_to(wave[None, None, :, None], (1, 32, 32, 1))
    gain = np.exp(-((1.25 / cutoff) ** 2) / 2)
    for kept, factor in (("low", gain), ("high", 1 - gain)):
        found = images.filtered(canvas, kept, cutoff, 20)
        np.testing.assert_allclose(found, factor * canvas, atol=1e-6)
        assert found.dtype == np.float32


def test_the_views_lie_one_behind_the_other_under_the_same_labels(digits):
    seen = images.outlines(digits, DIGITS, 30, 10)
    assert list(seen.train) == list(images.SCALES)
    assert seen.test.images.shape == (len(images.VIEWS) * 10, 32, 32, 1)
    views = seen.test.images.reshape(len(images.VIEWS), 10, 32, 32, 1)
    for number, (view, value) in enumerate(images.VIEWS):
        own = images.seen(digits.test, DIGITS, view, value)
        np.testing.assert_array_equal(views[number], own)
    np.testing.assert_array_equal(seen.test.labels[10:20], digits.test.labels)
    np.testing.assert_array_equal(
        seen.train[2].images, images.shrunk(digits.train, DIGITS, 2).images
    )


def test_the_tasks_of_a_field_have_the_same_canvases(digits):
    known = images.field_tasks(digits, 20, 5)
    assert known["field"].train.images.shape == (20, 24, 24, 1)
    for part in ("train", "test"):
        field, location = (getattr(known[name], part) for name in known)
        np.testing.assert_array_equal(field.images, location.images)
        assert location.labels.max() < 9


@pytest.mark.parametrize("name", ["5", "9", "17"])
def test_a_capped_net_sees_its_pixels_and_no_more(name):
    """The support of the gradient, of kernels of ones and open ReLUs."""
    net = nets.LOCAL[name]
    canvas = jnp.ones((1, 40, 40, 1))
    support = gradient_support(*positive(net, canvas), canvas)
    _, size = bounding_box(support)
    assert size.tolist() == [int(name)] * 2
    assert coverage(support) == 1
    assert net.field == int(name)


@pytest.mark.parametrize(("width", "missed"), [(32, 0), (40, 7)])
def test_every_place_of_the_last_map_of_the_full_net_sees_the_picture(width, missed):
    """In 40x40 the lower places miss 7 rows, of which 6 are margin."""
    net = nets.LOCAL["full"]
    canvas = jnp.ones((1, width, width, 1))
    apply, params = positive(net, canvas)
    last = apply(params, canvas)
    assert gradient_support(apply, params, canvas, (0, 0)).all()
    lowest = gradient_support(apply, params, canvas, (last.shape[1] - 1, 0))
    np.testing.assert_array_equal(lowest[:, 0], np.arange(width) >= missed)
    assert net.field == 65


def positive(net, canvas):
    """Its last map as a function, one channel wide, with kernels of ones."""
    narrow = net.clone(features=1)
    drawn = narrow.init(jax.random.key(0), canvas)["params"]
    params = jax.tree.map(jnp.ones_like, drawn)
    return lambda params, seen: narrow.apply({"params": params}, seen)[1][
        "last"
    ], params


def test_neighboring_windows_overlap_by_about_half():
    for net in list(nets.LOCAL.values()):
        stride = np.prod([step for _, step in net.stack])
        assert stride == (net.field - 1) // 2 if net.field < 65 else 32
        assert len(net.stack) == 5


def test_nets_that_are_compared_have_as_many_parameters():
    counts = {name: size(net, 32) for name, net in nets.LOCAL.items()}
    assert all(abs(each / counts["full"] - 1) < 0.05 for each in counts.values())
    assert counts["full"] == 26 * 16 + 4 * (9 * 256 + 16) + 170
    twins = {size(net, 24) for net in nets.TWINS.values()}
    assert len(twins) == 1


def size(net: nn.Module, width: int) -> int:
    variables = jax.eval_shape(
        net.init, jax.random.key(0), jnp.zeros((1, width, width, 1))
    )
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


class Tiny(nn.Module):
    """A net that compiles at once."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(10)(images.reshape(len(images), -1)), {}


@pytest.fixture
def tiny_nets(monkeypatch):
    tiny: Any = Tiny()
    for table in (nets.TWINS, nets.LOCAL):
        for name in table:
            monkeypatch.setitem(table, name, tiny)


def tiny_task(number=48, width=3):
    draw = np.random.default_rng(0)
    labels = np.arange(number, dtype=np.int32) % 10
    pictures = draw.normal(size=(number, width, width, 1)).astype(np.float32)
    split = Split(pictures, labels)
    return Task(split, Split(pictures[:10], labels[:10]), 10)


def test_sizes_halve_from_n0_down():
    assert nets.sizes_of("digits", tiny_task(2000)) == (75, 150, 300, 600, 1200)
    assert nets.sizes_of("mnist", tiny_task(5000)) == (250, 500, 1000, 2000, 4000)
    assert nets.sizes_of("digits", tiny_task(48)) == (3, 6, 12, 24, 48)


def test_smaller_training_sets_lie_within_the_larger_ones(monkeypatch, tiny_nets):
    subsets = []

    def train(lab, label, model, learned, watched, runs, **_):
        subsets.append(np.asarray(runs.views.subset))
        two = np.zeros(len(runs.keys))
        return nets.Trained({"kernel": two}, two, two[:, None], two[:, None, None])

    monkeypatch.setattr(nets.training, "train", train)
    task = tiny_task(48)
    found = nets.train_field(keys(0, 2), LAB, task, "field", "pooled", 4, (10, 20, 40))
    assert found.wrong.shape == (6, 1)
    for few, many in itertools.pairwise(subsets):
        assert few.shape == many.shape == (2, 40)
        for seed in range(2):
            assert set(few[seed]) < set(many[seed])
    for rows, number in zip(subsets, (10, 20, 40), strict=True):
        for row in rows:  # every image as often as the others
            assert (
                np.unique(row, return_counts=True)[1].tolist()
                == [40 // number] * number
            )
    assert set(subsets[-1][0]) != set(subsets[-1][1])


def test_every_net_is_trained_at_its_own_rate(monkeypatch, tiny_nets, digits):
    for name in nets.RATES:
        monkeypatch.setitem(nets.RATES, name, 1e-9)
    for name in ("location-strided", "outlines-2", "patterns-9"):
        monkeypatch.setitem(nets.RATES, name, 0.05)
    task, seen = tiny_task(), images.outlines(digits, DIGITS, 30, 10)
    whole = images.first(LAB.data(view="canvas"), 30, 10)
    losses = {}
    for name in ("field", "location"):
        for net in nets.TWINS:
            given = keys(0, 1), LAB, task, name, net, 60, (48,)
            losses[f"{name}-{net}"] = nets.train_field(*given)
    for scale in images.SCALES:
        losses[f"outlines-{scale}"] = nets.train_outlines(
            keys(0, 1), LAB, seen, scale, 60
        )
    for field in nets.LOCAL:
        losses[f"patterns-{field}"] = nets.train_local(
            keys(0, 1), LAB, whole, field, 60
        )
    assert set(losses) == set(nets.RATES)
    learned = {name for name, each in losses.items() if each.last_look[0, 0] < 1.5}
    assert learned == {"location-strided", "outlines-2", "patterns-9"}
    assert losses["outlines-2"].wrong.shape == (1, 10 * len(images.VIEWS))


def test_tuning_looks_at_training_images_alone():
    whole = LAB.data()
    found = tuning.validation(whole)
    assert len(found.train.labels) + len(found.test.labels) == 1437
    known = {image.tobytes() for image in whole.train.images}
    parts = [
        {image.tobytes() for image in each.images} for each in (found.train, found.test)
    ]
    assert all(part <= known for part in parts)
    assert not parts[0] & parts[1]
    assert len(found.test.labels) == 287


def test_the_tuning_prints_the_worst_error_per_net_and_rate(
    monkeypatch, capsys, tiny_nets
):
    monkeypatch.setattr(tuning, "NUM_SEEDS", 2)
    monkeypatch.setattr(tuning, "RATES", (1e-9, 1e-2))
    monkeypatch.setattr(tuning, "LARGEST", 100)
    tuning.main(LAB, "field,patterns-9", dict.fromkeys(tuning.STEPS, 20))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["net", "1e-09", "0.01"]
    assert [line[0] for line in lines[1:]] == [
        "field-pooled",
        "field-strided",
        "location-pooled",
        "location-strided",
        "patterns-9",
        "patterns-full",
    ]
    for name, unlearned, learned in lines[1:]:
        assert float(unlearned) > float(learned), name


def test_a_net_of_outlines_is_validated_on_its_own_scale():
    every = tuning.tuned(LAB, "all", dict.fromkeys(tuning.STEPS, 1))
    parts = {net.name: net.part for net in every}
    assert list(parts) == list(nets.RATES)
    outlines = {name: part for name, part in parts.items() if part != slice(None)}
    assert outlines == {
        "outlines-1": slice(0, 287),
        "outlines-2": slice(287, 574),
        "outlines-4": slice(574, 861),
    }
