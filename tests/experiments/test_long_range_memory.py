"""The pieces of the long-range memory experiment, small; its rows and its settings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Dataset, Split
from experiments.harness.claims import Shown
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.long_range_memory import (
    ALL_NETS,
    ALL_TASKS,
    CLAIMS,
    SHORTEST,
    Config,
    nets,
    tasks,
    training,
    tuning,
)
from experiments.long_range_memory.nets import NETS, build, initial, num_params
from experiments.long_range_memory.results import (
    Result,
    bound,
    net_metrics,
    published,
    shown,
)
from experiments.long_range_memory.tasks import (
    BLANK,
    DELIMITER,
    KINDS,
    Examples,
    adding,
    copy_memory,
    digit_sets,
    made_sets,
)
from experiments.long_range_memory.training import (
    BATCH,
    LEARNING_RATES,
    LOOKS,
    Data,
    Trained,
    init,
    is_falling,
    numbers,
    step,
    train,
)
from experiments.long_range_memory.training import Config as TrainingConfig
from experiments.long_range_memory.windows import MARGIN, outside, support

MADE = ("copy", "adding")
LEDGER = {
    *(f"cnn-no-long-range/{net}-{t}" for net in ("shallow", "dilated") for t in MADE),
    *(
        f"rnn-sees-all/{net}-{t}"
        for net in ("rnn", "orthogonal", "lstm", "gru")
        for t in MADE
    ),
    "sees-only-its-window",
    "cnn-trains-faster",
}
COPY, ADDING = copy_memory(100), adding(100)
LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} == LEDGER
    assert len(CLAIMS) == len(LEDGER)


def test_every_row_is_guarded():
    assert all(claim.controls for claim in CLAIMS)


def drawn(task, number):
    draws = np.random.RandomState(0).random_sample((number, task.num_draws))
    return jax.jit(task.make)(jnp.asarray(draws, jnp.float32), ())


def test_copy_memory_asks_for_every_symbol_t_and_ten_steps_later():
    inputs, targets = drawn(copy_memory(7), 500)
    assert inputs.shape == (500, 27, KINDS)
    np.testing.assert_array_equal(inputs.sum(-1), 1)
    kinds = np.asarray(jnp.argmax(inputs, -1))
    np.testing.assert_array_equal(kinds[:, :10], targets[:, 17:])
    assert set(kinds[:, :10].ravel()) == set(range(1, 9))
    np.testing.assert_array_equal(kinds[:, 10:16], BLANK)
    np.testing.assert_array_equal(kinds[:, 16:], DELIMITER)
    np.testing.assert_array_equal(targets[:, :17], BLANK)


def test_adding_asks_for_the_sum_of_one_number_of_each_half():
    inputs, sums = drawn(adding(9), 500)
    values, markers = np.moveaxis(np.asarray(inputs), -1, 0)
    np.testing.assert_array_equal(markers[:, :4].sum(1), 1)
    np.testing.assert_array_equal(markers[:, 4:].sum(1), 1)
    assert (markers.sum(0) > 0).all()
    np.testing.assert_allclose(np.sum(values * markers, 1), sums, rtol=1e-6)
    assert values.min() >= 0
    assert values.max() < 1


def test_chance_is_what_the_blind_guess_loses():
    targets = drawn(COPY, 4000).targets
    blind = np.full((4000, 120, 9), -50.0)
    blind[:, :110, BLANK] = 50
    blind[:, 110:, 1:] = 0
    losses, _ = COPY.judge(jnp.asarray(blind), targets)
    np.testing.assert_allclose(losses.mean(), COPY.chance, rtol=1e-4)
    sums = drawn(ADDING, 40_000).targets
    losses, right = ADDING.judge(jnp.ones((40_000, 1)), sums)
    np.testing.assert_allclose(losses.mean(), ADDING.chance, rtol=0.02)
    np.testing.assert_allclose(100 * right.mean(), ADDING.chance_right, atol=0.6)


def test_recalled_symbols_alone_are_right_or_wrong():
    targets = drawn(COPY, 50).targets
    answer = jax.nn.one_hot(targets, 9)
    assert COPY.judge(answer, targets)[1].tolist() == [1.0] * 50
    half = answer.at[:, -5:].set(jax.nn.one_hot(BLANK, 9))
    assert COPY.judge(half, targets)[1].tolist() == [0.5] * 50


def test_held_out_sequences_are_fixed_and_two_sets():
    first, second = (made_sets(ADDING, 30) for _ in range(2))
    assert first.train == ()
    assert first.held_out.inputs.shape == (2, 30, 100, 2)
    np.testing.assert_array_equal(first.held_out.inputs, second.held_out.inputs)
    validation, test = first.held_out.targets
    assert not np.intersect1d(validation, test).size


@pytest.fixture(scope="module")
def images():
    """Every pixel of every image has a value of its own."""
    values = np.arange(24 * 16, dtype=np.float32).reshape(24, 4, 4, 1)
    train = Split(values[:16], np.arange(16, dtype=np.int32))
    return Dataset(
        "digits", train, Split(values[16:], np.arange(8, dtype=np.int32)), 10, ""
    )


def test_digits_are_read_in_rows_or_in_one_order_and_split_once(images):
    rows, mixed = (digit_sets(images, permuted) for permuted in (False, True))
    assert rows.train.inputs.shape == (8, 16, 1)
    assert rows.held_out.inputs.shape == (2, 8, 16, 1)
    np.testing.assert_array_equal(
        rows.held_out.inputs[1].ravel(), images.test.images.ravel()
    )
    both = np.concatenate([rows.train.targets, rows.held_out.targets[0]])
    assert sorted(both.tolist()) == list(range(16))
    order = np.asarray(mixed.train.inputs[0] - 16 * mixed.train.targets[0]).ravel()
    assert sorted(order) == list(range(16))
    assert list(order) != list(range(16))
    for each in (mixed.train, Examples(*(e[0] for e in mixed.held_out))):
        moved = np.asarray(each.inputs)[..., 0] - 16 * np.asarray(each.targets)[:, None]
        np.testing.assert_array_equal(moved, np.broadcast_to(order, moved.shape))


def test_of_many_images_some_are_held_out_in_pairs_with_their_labels(
    images, monkeypatch
):
    monkeypatch.setattr(tasks, "MOST_IMAGES", 3)
    sets = digit_sets(images, permuted=False)
    assert sets.train.inputs.shape == (8, 16, 1)
    assert sets.held_out.inputs.shape == (2, 3, 16, 1)
    first = np.asarray(sets.held_out.inputs)[..., 0, 0] / 16  # 16 pixels an image
    labels = np.asarray(sets.held_out.targets)
    np.testing.assert_array_equal(first - [[0], [16]], labels)
    assert not np.isin(labels[0], sets.train.targets).any()


def test_stored_digits_are_drawn_with_their_labels(images):
    sets = digit_sets(images, permuted=False)
    task = tasks.digits(16)
    draws = jnp.asarray([[0.0], [0.51], [0.999]])
    inputs, labels = task.make(draws, sets.train)
    assert labels.tolist() == sets.train.targets[jnp.array([0, 4, 7])].tolist()
    np.testing.assert_array_equal(inputs[1], sets.train.inputs[4])


EVERY = {"copy": COPY, "adding": ADDING, "digits": tasks.digits(64)}


@pytest.mark.parametrize("task", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("name", NETS)
def test_nets_have_the_parameters_of_the_closed_form_and_match(name, task):
    net = build(name, task)
    assert net.num_params == num_params(name, task, net.model.features)
    assert abs(net.num_params / build("dilated", task).num_params - 1) < 0.05


@pytest.mark.parametrize("length", [61, 100, 200, 500, 1000])
@pytest.mark.parametrize("make", [copy_memory, adding])
def test_fields_keep_the_bounds_of_the_claims_at_every_length(make, length):
    task = make(length)
    shallow, dilated = (build(name, task) for name in ("shallow", "dilated"))
    least = bound("dilated", task.name, task)
    assert least == (length + 10 if task.name == "copy" else length)
    assert dilated.field >= task.needed
    assert dilated.field > least or (dilated.field == least and task.name == "adding")
    most = bound("shallow", task.name, task)
    assert most == (length if task.name == "copy" else length / 20)
    assert shallow.field < most


def test_the_fewest_dilations_are_taken():
    assert nets.dilations(211) == (1, 2, 4, 8)
    assert nets.dilations(212) == (1, 2, 4, 8, 16)
    assert nets.dilations(1) == (1,)


def test_a_shallow_net_sees_less_than_a_twentieth():
    assert [nets.shallow_kernel_size(n) for n in (60, 61, 100, 101, 200)] == [
        1,
        2,
        2,
        3,
        5,
    ]


def test_only_the_plain_rnn_begins_without_an_orthogonal_recurrent_kernel():
    for name in ("rnn", "orthogonal", "gru"):
        net = build(name, COPY)
        tree = nets.as_tree(net, jnp.asarray(initial(jax.random.key(0), net)))
        entry = "hr" if name == "gru" else "h"
        kernel = np.asarray(tree["layer1"]["cell"][entry]["kernel"])
        eye = np.eye(len(kernel))
        assert np.allclose(kernel @ kernel.T, eye, atol=1e-5) == (name != "rnn")
        largest = np.linalg.norm(kernel, 2)
        assert 0.99 < largest < 1.01 if name != "rnn" else 1.5 < largest < 2.5


def test_the_lstm_begins_by_keeping():
    net = build("lstm", COPY)
    cell = nets.as_tree(net, jnp.asarray(initial(jax.random.key(0), net)))["layer1"]
    biases = {name: float(cell["cell"][f"h{name}"]["bias"].mean()) for name in "ifgo"}
    assert biases == {"i": 0, "f": 1, "g": 0, "o": 0}


def test_convolutions_begin_at_the_scale_of_a_relu():
    net = build("dilated", COPY)
    tree = nets.as_tree(net, jnp.asarray(initial(jax.random.key(0), net)))
    kernel = np.asarray(tree["layer2_conv"]["kernel"])  # [8, 10, 10]
    np.testing.assert_allclose(kernel.var(), 2 / 80, rtol=0.15)
    dense = np.asarray(tree["logits"]["kernel"])
    np.testing.assert_allclose(dense.var(), 1 / 10, rtol=0.4)


@pytest.mark.parametrize(
    ("place", "values", "falling"),
    [
        (-1, (1.0, 1.0), False),
        (-1, (0.94, 0.94), True),  # fell by 6 %
        (-1, (0.96, 0.96), False),
        (slice(None, -3), (5.0, 5.0), False),  # fell earlier
        (-1, (0.92, 1.0), False),  # by 4 % in the geometric mean: one seed's noise
        (-1, (0.5, 1.5), True),  # by 13 % in it, and not at all in the mean
    ],
)
def test_a_fall_of_the_geometric_mean_over_the_last_tenth_censors(
    place, values, falling
):
    curve = np.ones((2, LOOKS))
    curve.T[place] = values
    assert is_falling(curve) is falling


SMALL = adding(SHORTEST)
SMALL_SETS = made_sets(SMALL, 40)


def test_a_clipped_step_of_adam_moves_every_parameter_by_at_most_the_rate():
    net = build("shallow", SMALL)
    config = TrainingConfig(net, SMALL)
    before = jax.tree.map(lambda leaf: leaf[0], init(keys(0, 1), config))
    draws = numbers(keys(0, 1), 0, (1, BATCH, SMALL.num_draws))[0, 0]
    data = Data(SMALL_SETS, jnp.asarray(0.25))
    after, loss = jax.jit(step, static_argnums=3)(before, draws, data, config)
    moved = np.abs(np.asarray(after.params - before.params))
    np.testing.assert_allclose(moved.max(), 0.25, rtol=1e-3)
    assert float(loss) > 0
    assert after.step == 1


def test_batches_differ_by_seed_and_step_but_not_by_net():
    shape = (2, 3, 5)
    first = numbers(keys(0, 2), jnp.asarray(0), shape)
    assert first.shape == (2, *shape)
    assert len(np.unique(np.asarray(first))) == first.size
    again = numbers(keys(0, 2), jnp.asarray(0), shape)
    np.testing.assert_array_equal(first, again)
    later = numbers(keys(0, 2), jnp.asarray(2), shape)
    assert not np.intersect1d(np.asarray(first), np.asarray(later)).size


def test_a_net_learns_the_blind_guess_and_its_looks_are_of_two_sets():
    net = build("shallow", SMALL)
    trained = train(keys(0, 2), LAB, net, SMALL, SMALL_SETS, 200, 1e-2)
    assert trained.losses.shape == trained.right.shape == (2, LOOKS, 2)
    assert trained.params.shape == (2, net.num_params)
    ratio = trained.test_loss / SMALL.chance
    assert (ratio > 0.7).all()
    assert (ratio < 1.3).all()
    assert (trained.losses[..., 0] != trained.losses[..., 1]).all()
    np.testing.assert_array_equal(trained.test_loss, trained.losses[:, -1, 1])


def test_cnns_read_long_sequences_in_parts_which_changes_nothing(monkeypatch):
    long = TrainingConfig(build("dilated", copy_memory(1000)), copy_memory(1000))
    assert training.part(BATCH, long) == 4
    assert training.part(BATCH, TrainingConfig(build("dilated", COPY), COPY)) == BATCH
    recurrent = TrainingConfig(build("gru", long.task), long.task)
    assert training.part(BATCH, recurrent) == BATCH
    config = TrainingConfig(build("shallow", SMALL), SMALL)
    params = jnp.asarray(initial(jax.random.key(0), config.net))
    examples = drawn(SMALL, 6)

    def gradient():
        def judge(params):
            losses, right = training.judged(params, examples, config)
            return jnp.mean(losses), (losses, right)

        return jax.tree.leaves(jax.jit(jax.grad(judge, has_aux=True))(params))

    whole = gradient()
    monkeypatch.setattr(training, "MOST_STEPS", 2 * SHORTEST)
    assert training.part(6, config) == 2
    for one, other in zip(whole, gradient(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_gradients_are_counted_outside_the_window_and_nowhere_else():
    for name, window, expected in (("shallow", 3, False), ("rnn", 3, True)):
        net = build(name, SMALL)
        params = initial(jax.random.key(0), net)[None]
        seen = support(net, params, window, positive=True)
        assert seen.shape == (1, window + 2 * MARGIN)
        assert seen[:, MARGIN:-MARGIN].all()
        assert bool(outside(seen)[0] > 0) == expected
        assert not seen[:, -MARGIN:].any()  # no net sees what comes later
    seen = np.zeros((1, 2 * MARGIN + 3), bool)
    seen[0, [0, MARGIN, -1]] = True
    assert outside(seen).tolist() == [2]


def trained(validation, test):
    losses = np.broadcast_to(np.asarray([validation, test]), (5, LOOKS, 2))
    return Trained(np.zeros((5, 1)), losses, 100 * losses)


def test_metrics_of_known_nets():
    results = {
        f"{name}-{task.name}": Result(
            build(name, task), task.name, task, trained(0.5, 2 * task.chance)
        )
        for name in NETS
        for task in (COPY, ADDING)
    }
    metrics: Any = net_metrics(results)
    np.testing.assert_allclose(metrics["loss-over-chance/gru-copy"], [2] * 5)
    assert metrics["falling/gru-copy"].tolist() == [0]
    curve = np.broadcast_to(np.geomspace(1, 0.1, LOOKS)[:, None], (5, LOOKS, 2))
    fallen = Trained(np.zeros((5, 1)), curve, curve)
    unfinished: Any = net_metrics(
        {each: results[each]._replace(trained=fallen) for each in results}
    )
    assert unfinished["falling/gru-copy"].tolist() == [1]
    assert unfinished["falling/dilated-copy"].tolist() == [-1]
    assert metrics["params-over-dilated/dilated-copy"].tolist() == [1]
    assert metrics["field-less-bound/shallow-copy"].tolist() == [5 - 100]
    assert metrics["field-less-bound/shallow-adding"].tolist() == [3 - 5]
    assert metrics["field-less-bound/dilated-copy"].tolist() == [211 - 110]
    assert metrics["field-less-bound/dilated-adding"].tolist() == [211 - 100]
    alone: Any = net_metrics({"dilated-copy": results["dilated-copy"]})
    assert abs(alone["params-over-dilated/rnn-copy"] - 1) < 0.05
    assert not any(name.endswith("adding") for name in alone)
    beside: Any = shown(results, NETS, MADE)
    np.testing.assert_allclose(beside["loss/copy"].values, np.full((6, 5), 2))
    table = beside["table/adding"].values
    assert table.shape == (8, 7)
    assert table[-1].tolist() == ["chance", "", "", "", "0.167", "19.0", ""]
    assert all(isinstance(each, Shown) for each in beside.values())


@pytest.mark.parametrize(
    "claim", [each for each in CLAIMS if "/" in each.id], ids=lambda each: each.id
)
def test_what_a_row_asks_for_is_enough_to_measure_it(claim):
    flags = dict(word.split("=") for word in claim.requires.split())
    config = Config(nets=flags["--nets"], tasks=flags["--tasks"])
    made = {"copy": COPY, "adding": ADDING}
    results = {
        f"{name}-{task}": Result(
            build(name, made[task]), task, made[task], trained(0.5, 0.5)
        )
        for name in config.chosen("nets")
        for task in config.chosen("tasks")
    }
    needed = {claim.metric, claim.censored, *(each.metric for each in claim.controls)}
    assert needed - {""} <= set(net_metrics(results))
    assert f"params-over-dilated/{claim.id.split('/')[1]}" in needed | {
        "params-over-dilated/dilated-copy",
        "params-over-dilated/dilated-adding",
    }


def test_published_nets_are_at_chance_on_copy_memory_but_for_the_convolutional():
    copied = published()[3]
    np.testing.assert_allclose(copied[:3], 1, atol=0.05)
    assert copied[3] < 0.01


def test_every_net_has_a_rate_on_every_task():
    assert set(LEARNING_RATES) == set(ALL_TASKS)
    assert all(set(rates) == set(NETS) for rates in LEARNING_RATES.values())
    assert ALL_NETS == NETS


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("length", 60, "expected length in 61 to 10000, got 60"),
        ("steps", 0, "expected steps in 1 to 1000000, got 0"),
        ("steps", 30, "expected steps as a multiple of 20, got 30"),
        ("digit_steps", 50, "expected digit_steps as a multiple of 20, got 50"),
        ("num_held_out", 0, "expected num_held_out in 1 to 10000, got 0"),
        ("nets", "tcn", "expected nets as all or from rnn, .*, got 'tcn'"),
        ("tasks", "copy,copy", "each once, got 'copy,copy'"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})


def test_nets_and_tasks_keep_their_order():
    config = Config(nets="dilated, rnn", tasks="adding,copy")
    assert config.chosen("nets") == ("rnn", "dilated")
    assert config.chosen("tasks") == ("copy", "adding")
    assert Config().chosen("tasks") == ALL_TASKS


def test_the_tuning_prints_a_ratio_per_net_and_rate(capsys):
    config = Config(
        length=SHORTEST, num_held_out=10, steps=20, nets="shallow", tasks="adding"
    )
    tuning.tune(config, (1e-3, 1e-2), LAB)
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["adding", "0.001", "0.01"]
    name, *ratios = line.split()
    assert name == "shallow"
    assert all(0.5 < float(ratio) < 20 for ratio in ratios)
