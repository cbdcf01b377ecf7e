"""What the nets of the tasks got right, as metrics.

Shape letters: R seeds, N test images, V views of a test image.
"""

from collections.abc import Mapping

import numpy as np

from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.training import Trained
from experiments.pooling_robustness.tasks_images import (
    CUTOFFS,
    KEPT,
    SCALES,
    VIEWS,
    Outlines,
)
from experiments.pooling_robustness.tasks_nets import LOCAL, TWINS

Array = np.ndarray
GAIN = 2.0  # points between the last two looks, from where on a net has not arrived


def field_metrics(
    sizes: tuple[int, ...],
    field: Mapping[str, Trained],
    location: Mapping[str, Trained],
) -> Metrics:
    """The rows presence-not-location and pooling-statistical-efficiency.

    Args:
      sizes: of the training set on the learning curve, n0 the last.
      field: of TWINS, runs in the order (size, seed).
      location: of TWINS, a run for each seed.

    Returns:
      presence, location: pooled - strided in points per test image, at n0;
      learned/{task}-{net} [R], % of the training images; underfits [R], pooled -
      strided in points of train accuracy on the location; samples-ratio [R], n0/n*,
      and samples-censored [R], see `reaching`; accuracy/field-strided [R], %.
    """
    right = {
        net: (100.0 * ~each.wrong).reshape(len(sizes), -1, each.wrong.shape[-1])
        for net, each in field.items()
    }
    where = {net: 100.0 * ~each.wrong for net, each in location.items()}
    curves = {net: each.mean(-1) for net, each in right.items()}  # [size, seed]
    learned = {
        **{f"field-{net}": _learned(each, len(sizes)) for net, each in field.items()},
        **{f"location-{net}": _learned(each) for net, each in location.items()},
    }
    reached, censored = reaching(sizes, curves["pooled"], curves["strided"][-1])
    nets = ", ".join(TWINS)
    return {
        "presence": Images(right["pooled"][-1] - right["strided"][-1]),
        "location": Images(where["pooled"] - where["strided"]),
        "samples-ratio": sizes[-1] / reached,
        "samples-censored": censored,
        "underfits": learned["location-pooled"] - learned["location-strided"],
        "accuracy/field-strided": curves["strided"][-1],
        **{f"learned/{name}": values for name, values in learned.items()},
        **{f"gained/location-{net}": _gained(each) for net, each in location.items()},
        "twins-ratio": np.asarray(
            [field["pooled"].num_params / field["strided"].num_params]
        ),
        "field-curve": Shown(
            np.stack([curves[net] for net in TWINS]),
            f"test accuracy on the field [{nets}; training images "
            f"{', '.join(map(str, sizes))}; seed]",
            "%",
        ),
        "field-sizes": Shown(np.asarray(sizes), "training images of a field"),
        "location-accuracy": Shown(
            np.stack([where[net].mean(-1) for net in TWINS]),
            f"test accuracy on the location [{nets}; seed]",
            "%",
        ),
    }


def _gained(trained: Trained) -> Array:
    """Points of train accuracy gained between the last two looks [R]."""
    errors = trained.history[:, -2:, 1].astype(np.float64)
    return errors[:, 0] - errors[:, -1]


def _learned(trained: Trained, sizes: int = 1) -> Array:
    """Train accuracy of the runs of the largest size [R], %."""
    right = 100.0 - trained.last_look[:, 1].astype(np.float64)
    return right.reshape(sizes, -1)[-1]


def reaching(
    sizes: tuple[int, ...], curve: Array, wanted: Array
) -> tuple[Array, Array]:
    """Where a learning curve first reaches an accuracy, interpolated in log n.

    Args:
      sizes: ascending.
      curve: accuracies [sizes, R].
      wanted: [R].

    Returns:
      n* [R], within the sizes; and whether the true one lies outside: 1 where the
      smallest size already reaches it, -1 where the largest does not, else 0.
    """
    logs = np.log(sizes)
    found, outside = [], []
    for values, goal in zip(curve.T, wanted, strict=True):
        above = values >= goal
        place = int(np.argmax(above))
        outside.append(-1 if not above.any() else int(place == 0))
        if not above.any():
            found.append(logs[-1])
        elif place == 0:
            found.append(logs[0])
        else:
            low, high = values[place - 1], values[place]
            share = (goal - low) / (high - low)
            found.append(logs[place - 1] + share * (logs[place] - logs[place - 1]))
    return np.exp(found), np.asarray(outside)


def outline_metrics(nets: Mapping[int, Trained]) -> Metrics:
    """The row downsampling-keeps-object.

    Args:
      nets: by the scale of what they learned; test images in the order of VIEWS.

    Returns:
      half/kept and half/retrained: points per test image; accuracy/outlines [R], % of
      the whole pictures, and accuracy/quarter [R], % of those shrunk by 4, both by the
      net of whole pictures; and curves.
    """
    right = {
        scale: (100.0 * ~net.wrong).reshape(len(net.wrong), len(VIEWS), -1)
        for scale, net in nets.items()
    }
    place = {view: number for number, view in enumerate(VIEWS)}
    whole, half = place["shrunk", 1], place["shrunk", 2]
    kept = right[1].mean(-1)  # [seed, view]
    scales = [place["shrunk", scale] for scale in SCALES]
    own = [
        right[scale][:, at].mean(-1) for scale, at in zip(SCALES, scales, strict=True)
    ]
    passes = [[kept[:, place[each, cutoff]] for cutoff in CUTOFFS] for each in KEPT]
    return {
        "half/kept": Images(right[1][:, half] - right[1][:, whole]),
        "half/retrained": Images(right[2][:, half] - right[1][:, whole]),
        "accuracy/outlines": kept[:, whole],
        "accuracy/quarter": kept[:, place["shrunk", max(SCALES)]],
        "outline-curve": Shown(
            np.stack([kept[:, scales].T, np.stack(own)]),
            "test accuracy on shrunk pictures [the net of whole ones, their own net; "
            f"shrunk by {', '.join(map(str, SCALES))}; seed]",
            "%",
        ),
        "filter-curve": Shown(
            np.asarray(passes),
            f"test accuracy of the net of whole pictures on filtered ones "
            f"[{', '.join(f'{each}-pass' for each in KEPT)}; cutoff "
            f"{', '.join(f'{cutoff:g}' for cutoff in CUTOFFS)} cycles per picture; "
            "seed]",
            "%",
        ),
    }


def pictures(outlines: Outlines) -> Metrics:
    """How much halving changes the test pictures, and one of them under every view.

    Returns:
      half-differs [1]: ‖half - whole‖ / ‖whole‖ of all test pictures.
    """
    views = outlines.test.images.reshape(
        len(VIEWS), -1, *outlines.test.images.shape[1:]
    )
    whole, half = (
        views[VIEWS.index(("shrunk", scale))].astype(np.float64) for scale in (1, 2)
    )
    difference = np.linalg.norm(half - whole) / np.linalg.norm(whole)
    words = [f"{view} {value:g}" for view, value in VIEWS]
    return {
        "half-differs": np.asarray([difference]),
        "outline-pictures": Shown(
            views[:, 0, ..., 0], f"the first test picture [{', '.join(words)}; y; x]"
        ),
    }


def local_metrics(nets: Mapping[str, Trained]) -> Metrics:
    """The row local-patterns-suffice.

    Args:
      nets: of LOCAL, "full" among them.

    Returns:
      capped/{field}: capped - full in points per test image; seen/{field} [1], pixels;
      local-ratio/{field} [1], parameters over those of the full one; local-accuracy/
      full [R], %; gained/patterns-full [R], see `_gained`; not-arrived/{field} [R], 1
      where that gain of the capped net is GAIN or more, so that it would end higher;
      and the accuracies of all.
    """
    right = {field: 100.0 * ~net.wrong for field, net in nets.items()}
    full = right["full"]
    metrics: dict = {"local-accuracy/full": full.mean(-1)}
    for field, net in nets.items():
        gained = _gained(net)
        if field == "full":
            metrics["gained/patterns-full"] = gained
        else:
            metrics[f"not-arrived/{field}"] = (gained >= GAIN).astype(int)
        metrics[f"seen/{field}"] = np.asarray([LOCAL[field].field])
        if field != "full":
            metrics[f"capped/{field}"] = Images(right[field] - full)
            ratio = net.num_params / nets["full"].num_params
            metrics[f"local-ratio/{field}"] = np.asarray([ratio])
    train = [_learned(net) for net in nets.values()]
    both = np.stack([np.stack([each.mean(-1) for each in right.values()]), train])
    return metrics | {
        "local-accuracies": Shown(
            both, f"accuracy [test, train; pixels seen: {', '.join(nets)}; seed]", "%"
        ),
        "local-fields": Shown(
            np.asarray([LOCAL[field].field for field in nets]), "pixels seen"
        ),
        "local-parameters": Shown(
            np.asarray([net.num_params for net in nets.values()]),
            f"parameters [pixels seen: {', '.join(nets)}]",
        ),
    }
