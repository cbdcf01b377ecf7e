"""Moving inputs: the motions, the nets, the metrics, claims, figures and rates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.harness.figures import draw
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.training import Trained, initial_params
from experiments.harness.verdicts import judge
from experiments.pooling_robustness import (
    figures_of_moving,
    moving,
    moving_images,
    moving_nets,
    moving_results,
    moving_tuning,
)
from experiments.pooling_robustness.claims_of_moving import CLAIMS_OF_MOVING
from experiments.pooling_robustness.moving_images import CIRCLES, MOTIONS, SHIFTS
from experiments.pooling_robustness.moving_nets import NETS
from tests.experiments import moving_cases as cases

LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


@pytest.fixture(scope="module")
def images():
    return cases.split(6).images


@pytest.fixture(scope="module")
def moved(images):
    return np.asarray(moving_images.moved(images))


@pytest.fixture(scope="module")
def circled(images):
    return np.asarray(moving_images.circled(images))


def params_of(arm: str, seeds: int = 1) -> Any:
    def draw(key: jax.Array) -> Any:
        return initial_params(key, NETS[arm], (32, 32, 1))

    return jax.vmap(draw)(keys(0, seeds))


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    metrics = moving_results.moving_metrics(found)
    return {each.id: each.verdict for each in judge(CLAIMS_OF_MOVING, metrics)}


def test_every_shift_of_each_distance_is_there_once(images, moved):
    far = [
        max(abs(row), abs(column)) for row in range(-2, 3) for column in range(-2, 3)
    ]
    for name, distance in (("still", 0), ("1px", 1), ("2px", 2)):
        kind = MOTIONS[name]
        shifts = SHIFTS[kind]
        assert len({tuple(shift) for shift in shifts}) == far.count(distance)
        for shift, found in zip(shifts, moved[kind], strict=True):
            assert np.abs(shift).max() == distance
            # The margin is wider than any shift, so zeros alone come in.
            np.testing.assert_array_equal(found, np.roll(images, shift, (1, 2)))
    assert len(moved) == MOTIONS["rotation"].stop == 1 + 8 + 16 + 1 + 2


def test_scaling_enlarges_by_half_about_the_middle(images, moved):
    (found,) = moved[MOTIONS["scale"]]
    positions = (np.arange(32) - 15.5) / 1.5 + 15.5
    low = np.floor(positions).astype(int)
    share = positions - low
    rows = np.zeros((32, 32))
    rows[np.arange(32), low] = 1 - share
    rows[np.arange(32), low + 1] = share
    expected = np.einsum("ab,nbc,dc->nad", rows, images[..., 0], rows)
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-5)


def test_turning_goes_thirty_degrees_to_either_side():
    line = np.zeros((1, 32, 32, 1), np.float32)
    line[:, 8:16, 15:17] = 1  # from the middle upwards
    both = np.asarray(moving_images.moved(line))[MOTIONS["rotation"]]
    rows, columns = np.mgrid[:32, :32] - 15.5
    angles = []
    for (found,) in both:
        ink = found[..., 0]
        up, right = -(ink * rows).sum(), (ink * columns).sum()
        angles.append(np.rad2deg(np.arctan2(right, up)))
    np.testing.assert_allclose(angles, [-30, 30], atol=0.5)


def test_ink_outside_is_what_enlarging_pushes_out_of_the_frame(images):
    assert moving_images.ink_outside(images).max() == 0
    one = np.zeros((2, 32, 32, 1), np.float32)
    one[:, 16, 16] = 3
    one[0, 5, 16] = 1  # 10.5 pixels above the middle: 15.75 when enlarged
    one[1, 6, 16] = 1  # 9.5, and 14.25
    assert moving_images.ink_outside(one).tolist() == [0.25, 0]


def test_circles_are_all_phases_and_halves_of_a_pixel(images, circled):
    whole = SHIFTS[CIRCLES["whole"]]
    assert {tuple(shift % 4) for shift in [*whole, np.zeros(2, int)]} == {
        (row, column) for row in range(4) for column in range(4)
    }
    for shift, found in zip(whole, circled[CIRCLES["whole"]], strict=True):
        np.testing.assert_array_equal(found, np.roll(images, shift, (1, 2)))
    (limited,) = circled[CIRCLES["limited"]]
    spectrum = np.abs(np.fft.fft2(limited[..., 0]))
    assert spectrum[:, 16].max() < 1e-3 < spectrum[:, 15].max()
    assert spectrum[:, :, 16].max() < 1e-3
    for half, found in zip(moving_images.HALVES, circled[CIRCLES["half"]], strict=True):
        twice = moving_images.fourier_shift(jnp.asarray(found), half)
        expected = np.roll(limited, [int(2 * each) for each in half], (1, 2))
        np.testing.assert_allclose(twice, expected, atol=1e-5)


def test_the_strided_twin_is_plain_subsampling(images):
    params = params_of("strided")
    both = [
        moving.answers(net, params, jnp.asarray(images)[None])[0]
        for net in (NETS["strided"], moving_nets.SUBSAMPLED)
    ]
    assert moving._distance(*both).max() < 1e-5
    other = moving_nets.SUBSAMPLED.clone(pool=lambda maps: maps[:, ::2, ::2])
    wrong, _ = moving.answers(other, params, jnp.asarray(images)[None])
    assert moving._distance(both[0], wrong).min() > 0.01


def test_no_shift_by_whole_pixels_changes_the_circular_net(images, circled):
    logits, _ = moving.answers(NETS["circular"], params_of("circular"), circled)
    still, whole, limited, half = (logits[0, kind] for kind in CIRCLES.values())
    spread = still.std()
    np.testing.assert_allclose(whole, np.broadcast_to(still, whole.shape), atol=1e-5)
    assert np.abs(half - limited).max() > 1e-3 * spread


def test_nets_that_are_compared_have_equal_parameters():
    def size(arm: str) -> int:
        tree = jax.eval_shape(
            NETS[arm].init, jax.random.key(0), jnp.zeros((1, 32, 32, 1))
        )
        return sum(leaf.size for leaf in jax.tree.leaves(tree))

    pairs = [
        *((first, second) for first, second, _ in moving_results.LOSSES.values()),
        *moving_results.ACCURACIES.values(),
        ("max", "average"),
        ("max", "polyphase"),
    ]
    for first, second in pairs:
        assert size(first) == size(second), (first, second)
    assert set(moving_nets.RATES) == set(NETS)


def test_normalized_pools_hand_on_images_of_one_size(images):
    bright = jnp.asarray(images) * jnp.asarray([1, 2, 3, 4, 5, 6]).reshape(6, 1, 1, 1)
    found = np.asarray(moving_nets.normalized(bright))
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), 1, atol=1e-3)
    for arm, net in NETS.items():
        logits, sizes = jax.eval_shape(
            lambda images, net=net, arm=arm: moving_nets.apply(
                net, jax.tree.map(lambda leaf: leaf[0], params_of(arm)), images
            ),
            bright,
        )
        assert logits.shape == (6, 10)
        assert sizes.shape == (0 if arm in ("none", "strided") else 2, 6)


def test_everything_is_measured_of_the_arms_that_are_asked_for(monkeypatch):
    trained = []

    def train(keys, lab, task, arm, steps):
        trained.append((arm, steps, len(task.train.labels), len(task.test.labels)))
        params = params_of(arm, len(keys))
        return Trained(params, np.zeros(2, bool), np.zeros((2, 20)), np.ones((2, 2, 3)))

    monkeypatch.setattr(moving, "train", train)
    config: Any = cases.SimpleNamespace(**vars(cases.CONFIG))
    config.arms = "max,strided"
    lab: Any = cases.Data(cases.split())
    found: dict[str, Any] = {}
    for each in moving.measurements(keys(0, 2), lab, config).values():
        found |= each()
    assert trained == [("max", 4, 60, 20), ("strided", 4, 60, 20)]
    assert found["moving/max"].logits.shape == (2, 28, 20, 10)
    assert found["moving/max"].sizes.shape == (2, 2, 20)
    assert found["twin-is-subsampling"].shape == (2,)
    assert found["twin-is-subsampling"].max() < 1e-5
    assert found["ink-outside"].tolist() == [0]
    assert found["moved-images"].values.shape == (5, 3, 32, 32)
    metrics = moving_results.moving_metrics(found)
    assert "saved/translation" in metrics
    assert "saved-by-blur" not in metrics


def test_lost_and_saved_are_points_per_image():
    kinds = {"still": slice(0, 1), "2px": slice(1, 3)}
    classes = np.asarray([[[0, 1, 2, 9], [0, 1, 9, 3], [0, 9, 9, 9]]])
    labels = np.arange(4)
    trained: Any = None
    net = moving.Moved(trained, cases.logits_of(classes), np.zeros((1, 0, 4)), labels)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as context:
        context.setattr(moving_results, "MOTIONS", kinds)
        # Right and then lost at none, one of two, both; wrong from the start.
        assert moving_results.lost_points(net, "2px").tolist() == [[0, 50, 100, 0]]


def test_differences_are_of_the_arms_that_the_statements_name():
    metrics: Any = moving_results.moving_metrics(cases.found())
    means = {
        name: metrics[name].values.mean()
        for name in (*moving_results.LOSSES, *moving_results.ACCURACIES)
    }
    expected = {
        "saved/translation": 10,
        "saved/scale": 12,
        "saved/rotation": 14,
        "max-less-subsampling": -10,
        "dense-max-less-none": -15,
        "saved-by-blur": 5,
        "blur-less-max": 0,
        "normalized-less-plain/max": 3,
        "normalized-less-plain/average": 3,
    }
    # Some of the images that a motion would make wrong were wrong before.
    assert means == pytest.approx(expected, abs=1.5)
    np.testing.assert_allclose(metrics["logit-change-ratio"], 2, rtol=1e-4)
    assert metrics["integer-disagreements"].tolist() == [0] * cases.SEEDS
    assert metrics["half-pixel-agreement"].values.mean() == pytest.approx(92, abs=1)
    np.testing.assert_allclose(metrics["fluctuation/max"], 0.3)
    table = metrics["lost-by-moving"].values
    assert table.shape == (cases.SEEDS, len(NETS) - 1, 4)
    np.testing.assert_allclose(
        table[:, 2].mean(0), [0, 30, 22, 26], atol=2
    )  # the strided twin


def test_the_rules_are_those_of_the_ledger():
    found = verdicts(cases.found())
    assert found == {
        "avg-less-invariant-than-max/logits": "supported",
        "pooling-translation": "supported",
        "pooling-scale": "supported",
        "pooling-rotation": "supported",
        "pooling-is-downsampling/strided": "refuted",
        "pooling-is-downsampling/dense": "refuted",
        "anti-aliasing-helps/consistency": "supported",
        "anti-aliasing-helps/accuracy": "supported",
        "integer-vs-subpixel": "refuted",
        "pool-output-fluctuates": "supported",
    }
    same = cases.net(lost=cases.LOST["strided"])
    fewer = verdicts(cases.found(max=same, blur=same))
    for row in ("translation", "scale", "rotation"):
        assert fewer[f"pooling-{row}"] == "refuted"
    assert fewer["pooling-is-downsampling/strided"] == "supported"
    assert fewer["anti-aliasing-helps/consistency"] == "refuted"
    assert fewer["avg-less-invariant-than-max/logits"] != "supported"


def test_a_net_that_has_not_learned_makes_its_rows_invalid():
    constant = cases.net(error=90.0)
    found = verdicts(cases.found(strided=constant))
    rows = ("translation", "scale", "rotation", "is-downsampling/strided")
    assert {found[f"pooling-{row}"] for row in rows} == {"invalid"}
    assert found["pooling-is-downsampling/dense"] == "refuted"
    found = verdicts(cases.found(blur=constant))
    assert found["anti-aliasing-helps/accuracy"] == "invalid"
    assert found["pooling-translation"] == "supported"
    found = verdicts(cases.found(none=constant, average=constant))
    assert found["pooling-is-downsampling/dense"] == "invalid"
    assert found["avg-less-invariant-than-max/logits"] == "invalid"


def test_a_broken_instrument_makes_its_row_invalid():
    broken = {
        "pooling-is-downsampling/strided": {"twin-is-subsampling": np.full(5, 0.1)},
        "pooling-scale": {"ink-outside": np.full(1, 0.01)},
        "integer-vs-subpixel": {
            "moving/circular": cases.net(lost={"whole": 1.0}, kinds=CIRCLES)
        },
        "pool-output-fluctuates": {"moving/average": cases.net(fluctuation=0.01)},
    }
    usual = verdicts(cases.found())
    for row, changed in broken.items():
        assert usual[row] != "invalid"
        assert verdicts({**cases.found(), **changed})[row] == "invalid", row


def test_what_was_left_out_is_not_measured_and_its_flag_is_named():
    some = {
        name: each
        for name, each in cases.found().items()
        if name
        in ("moving/max", "moving/strided", "twin-is-subsampling", "ink-outside")
    }
    metrics = moving_results.moving_metrics(some)
    judged = {each.id: each for each in judge(CLAIMS_OF_MOVING, metrics)}
    assert judged["pooling-rotation"].verdict == "supported"
    for row, arms in {
        "avg-less-invariant-than-max/logits": "max,average",
        "pooling-is-downsampling/dense": "none,dense-max",
        "anti-aliasing-helps/accuracy": "max,blur",
        "integer-vs-subpixel": "circular",
        "pool-output-fluctuates": "max,average,max-normalized,average-normalized",
    }.items():
        assert judged[row].verdict == "not measured"
        assert judged[row].note.endswith(f"needs --arms={arms}")


def test_every_figure_is_drawn_of_what_was_measured():
    found = cases.found()
    metrics = moving_results.moving_metrics(found)
    assert list(draw(figures_of_moving.plot, metrics)) == ["moving", "half-pixel"]
    one = {"moving/max": found["moving/max"]}
    only = moving_results.moving_metrics(one)
    assert list(draw(figures_of_moving.plot, only)) == ["moving"]
    assert not draw(figures_of_moving.plot, {})


def test_what_is_blue_is_supported():
    colors = {
        figures_of_moving.HOLDS: "supported",
        figures_of_moving.FAILS: "refuted",
        figures_of_moving.OPEN: "inconclusive",
    }
    metrics = moving_results.moving_metrics(cases.found())
    axes = Figure().subplots()
    figures_of_moving._differences(axes, metrics)
    marks = [line for line in axes.lines if line.get_markersize() == 7]
    rows = [row.metric for row in figures_of_moving.ROWS]
    judged = verdicts(cases.found())
    by_metric = {each.metric: judged[each.id] for each in CLAIMS_OF_MOVING}
    assert len(marks) == len(rows)
    for metric, mark in zip(rows, marks, strict=True):
        if metric in by_metric:
            assert colors[str(mark.get_color())] == by_metric[metric], metric


def test_an_interval_is_blue_inside_its_range_and_orange_outside():
    above, within = figures_of_moving.Row("", "", 2.0), figures_of_moving.ROWS[3]
    assert (within.low, within.high) == (-1, 1)
    for row, ends, color in (
        (above, (2.5, 9.0), figures_of_moving.HOLDS),
        (above, (1.0, 3.0), figures_of_moving.OPEN),
        (above, (0.0, 1.0), figures_of_moving.FAILS),
        (within, (-0.5, 0.5), figures_of_moving.HOLDS),
        (within, (0.5, 1.5), figures_of_moving.OPEN),
        (within, (-3.0, 3.0), figures_of_moving.OPEN),
        (within, (1.5, 3.0), figures_of_moving.FAILS),
        (within, (-3.0, -1.5), figures_of_moving.FAILS),
    ):
        assert figures_of_moving.verdict_color(row, *ends) == color, (row, ends)


def test_losses_stand_beside_the_nets_they_belong_to():
    metrics = moving_results.moving_metrics(cases.found())
    axes = Figure().subplots()
    figures_of_moving._losses(axes, metrics)
    marks = {
        str(line.get_label()).split(":")[0]: np.asarray(line.get_ydata())
        for line in axes.lines
        if line.get_markersize() == 7
    }
    for arm, lost in cases.LOST.items():
        expected = [0, lost["2px"], lost["scale"], lost["rotation"]]
        np.testing.assert_allclose(marks[arm], expected, atol=2)


def test_rates_are_chosen_on_held_out_training_images(monkeypatch, capsys):
    asked = []

    def train(seeds, lab, task, arm, steps, rates):
        asked.append((arm, steps, len(task.train.labels), len(task.test.labels)))
        known = jax.random.key_data(keys(moving_tuning.SEED, moving_tuning.NUM_SEEDS))
        times = len(moving_tuning.TRIED)
        expected = np.tile(known, (times, 1))
        np.testing.assert_array_equal(jax.random.key_data(seeds), expected)
        runs = len(rates)
        # 100, 200, ... thousandths by rate; one seed of three has one error more.
        wrong = np.zeros((runs, 100))
        for run, rate in enumerate(rates):
            wrong[run, : round(1000 * rate) + (run % 3 == 1)] = 1
        return Trained({}, np.zeros(runs, bool), wrong, np.ones((runs, 2, 3)))

    monkeypatch.setattr(moving_tuning, "train", train)
    lab: Any = cases.Data(cases.split(50))
    moving_tuning.main(lab, "max,none", 7, 40)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["net", "max", "none"]
    wanted = [round(1000 * rate) + 1 for rate in moving_tuning.TRIED]
    assert [float(each) for each in lines[1].split()[1:]] == wanted
    assert asked == [("max", 7, 32, 8), ("none", 7, 32, 8)]
