"""The long-range memory experiment, small: training, windows, rows and settings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.claims import Shown
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.long_range_memory import (
    ALL_NETS,
    ALL_TASKS,
    CLAIMS,
    DATA,
    SHORTEST,
    Config,
    plot,
    run,
    training,
)
from experiments.long_range_memory.nets import NETS, build, initial
from experiments.long_range_memory.results import Result, net_metrics, published, shown
from experiments.long_range_memory.tasks import adding, copy_memory, digits, made_sets
from experiments.long_range_memory.training import (
    BATCH,
    LEARNING_RATES,
    LOOKS,
    Data,
    Trained,
    init,
    is_falling,
    learning_rate,
    numbers,
    step,
    train,
)
from experiments.long_range_memory.training import Config as TrainingConfig
from experiments.long_range_memory.windows import (
    MARGIN,
    outside,
    support,
    window_metrics,
)
from tests.experiments.memory_cases import ADDING, COPY, drawn

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
LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def test_every_row_and_arm_of_the_ledger_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} == LEDGER
    assert len(CLAIMS) == len(LEDGER)


def test_every_row_is_guarded():
    assert all(claim.controls for claim in CLAIMS)


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
SMALL_SETS = made_sets(SMALL, 250)


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


def test_images_in_two_orders_are_two_trainings():
    """Checkpoints are kept by label, and a second training of one is refused."""
    begun: list[str] = []

    def progress(done: int, _total: int, label: str) -> None:
        if done == 0:
            begun.append(label)

    lab = Lab("digits", None, lambda *_, **__: None, progress)
    tasks = "sequential,permuted"
    config = Config(num_held_out=50, digit_steps=LOOKS, nets="shallow", tasks=tasks)
    run(keys(0, 1), config, lab)
    assert begun == ["shallow, sequential", "shallow, permuted"]


def test_a_net_learns_the_blind_guess_and_its_looks_are_of_two_sets():
    net = build("shallow", SMALL)
    trained = train(keys(0, 2), LAB, net, SMALL, SMALL_SETS, 200, 1e-2, "shallow")
    assert trained.losses.shape == trained.right.shape == (2, LOOKS, 2)
    assert trained.params.shape == (2, net.num_params)
    ratio = trained.ratios[:, -1, 1]
    assert (ratio > 0.7).all()
    assert (ratio < 1.3).all()
    assert (trained.losses[:, -1, 0] != trained.losses[:, -1, 1]).all()
    assert np.isfinite(trained.losses[..., 0]).all()
    assert np.isnan(trained.losses[:, :-1, 1]).all()
    np.testing.assert_array_equal(trained.final_loss, trained.losses[:, -1, 1])


def test_a_diverged_training_has_no_looks_and_ends_no_run():
    net = build("shallow", SMALL)
    diverged = train(keys(0, 1), LAB, net, SMALL, SMALL_SETS, LOOKS, 1e30, "diverged")
    assert np.isnan(diverged.losses).all()
    assert np.isnan(diverged.right).all()
    assert not diverged.falling


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


def test_a_diverged_seed_has_no_window_and_hides_no_other():
    nets = {}
    for name in ("shallow", "dilated", "rnn"):
        net = build(name, SMALL)
        params = np.stack([np.full(net.num_params, np.nan)] * 2)
        if name != "dilated":
            params[1] = initial(jax.random.key(0), net)
        nets |= {f"{name}-copy": (net, params), f"{name}-adding": (net, params)}
    metrics: Any = window_metrics(nets)
    counts = metrics["gradients-outside"].values  # [seeds, net, task]
    assert np.isnan(counts[0]).all()
    assert counts[1, 0].tolist() == [0, 0]
    assert np.isnan(counts[1, 1]).all()
    lacking = metrics["window-less-support"].values
    assert lacking[0, 0].tolist() == [0, 0]
    assert np.isnan(lacking[0, 1]).all()
    alone = metrics["gradients-outside-rnn"]
    assert np.isnan(alone[0])
    assert alone[1] > 0


def trained(validation, test, blind=0.5):
    losses = np.broadcast_to(np.asarray([validation, test]), (5, LOOKS, 2))
    return Trained(np.zeros((5, 1)), losses, 100 * losses, np.full(2, blind))


def test_metrics_of_known_nets():
    results = {
        f"{name}-{task.name}": Result(
            build(name, task), task.name, task, trained(0.5, 0.3, blind=0.15)
        )
        for name in NETS
        for task in (COPY, ADDING)
    }
    metrics: Any = net_metrics(results)
    np.testing.assert_allclose(metrics["loss-over-blind/gru-copy"], [2] * 5)
    assert metrics["falling/gru-copy"].tolist() == [0]
    curve = np.broadcast_to(np.geomspace(1, 0.1, LOOKS)[:, None], (5, LOOKS, 2))
    fallen = Trained(np.zeros((5, 1)), curve, curve, np.ones(2))
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
    assert table.shape == (9, 7)
    assert table[-2].tolist() == ["chance", "", "", "", "0.167", "19.0", ""]
    assert table[-1].tolist() == ["blind guess", "", "", "", "0.15", "", ""]
    assert all(isinstance(each, Shown) for each in beside.values())


@pytest.mark.parametrize("number", [1, 5])
def test_diverged_seeds_are_counted_in_the_tables_and_figures(number):
    whole = trained(0.5, 0.3, blind=0.15)
    losses, right = whole.losses.copy(), whole.right.copy()
    losses[:number], right[:number] = np.nan, np.nan
    part = whole._replace(losses=losses, right=right)
    tasks = {"adding": ADDING, "sequential": digits(64)}
    results = {
        f"{net}-{name}": Result(
            build(net, task), name, task, part if net == "gru" else whole
        )
        for net in ("lstm", "gru")
        for name, task in tasks.items()
    }
    ratios: Any = net_metrics(results)["loss-over-blind/gru-adding"]
    assert np.isnan(ratios).tolist() == [True] * number + [False] * (5 - number)
    metrics: Any = shown(results, ("lstm", "gru"), tuple(tasks))
    for name in tasks:
        lstm, gru = metrics[f"table/{name}"].values[1:3, 4:6]
        assert gru.tolist() == [f"{number} diverged"] * 2
        assert "diverged" not in "".join(lstm)
    for panel in plot(metrics)["answer"].axes:
        texts = [each.get_text() for each in panel.texts]
        assert texts.count(f"{number} diverged") == 1


@pytest.mark.parametrize(
    "claim", [each for each in CLAIMS if "/" in each.id], ids=lambda each: each.id
)
def test_what_a_row_asks_for_is_enough_to_measure_it(claim):
    flags = dict(word.split("=") for word in claim.requires.split())
    config = Config(nets=flags["--nets"], tasks=flags["--tasks"])
    every = {"copy": COPY, "adding": ADDING, "sequential": digits(64)}
    results = {
        f"{name}-{task}": Result(
            build(name, every[task]), task, every[task], trained(0.5, 0.5)
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


def test_every_net_has_a_rate_on_every_task_and_both_orders_of_pixels_the_same():
    assert set(LEARNING_RATES) == {*MADE, *DATA, "adding-500"}
    assert all(set(LEARNING_RATES[each]) == set(NETS) for each in (*MADE, *DATA))
    assert ALL_NETS == NETS
    for data in DATA:
        assert learning_rate("gru", COPY, data) == LEARNING_RATES["copy"]["gru"]
        assert learning_rate("gru", digits(64), data) == LEARNING_RATES[data]["gru"]


@pytest.mark.parametrize(
    ("net", "length", "rates"),
    [("gru", 499, "adding"), ("gru", 500, "adding-500"), ("lstm", 500, "adding")],
)
def test_long_sequences_take_the_rate_that_was_tuned_for_them(net, length, rates):
    assert learning_rate(net, adding(length), "digits") == LEARNING_RATES[rates][net]


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
