"""What pooling, coarse outlines and local patterns are worth to a task.

    presence   which digit lies at a random place of a field: pooled - strided twin
    location   in which of 3x3 cells it lies: pooled - strided twin
    n*         where the pooled net's test accuracy, interpolated in log n, reaches that
               of the strided twin at n0 images; n0 where it never does
    half       accuracy on pictures that were shrunk to half and enlarged back, less
               that on whole ones: of the same net (kept), or of one that learned shrunk
               pictures (retrained)
    capped     accuracy of a net that sees 5, 9 or 17 pixels and averages over places,
               less that of one of equal size that sees the whole picture

Points are percent of the test images right. n0 is 1,200 of the digits and 4,000 of
mnist; every net of the field learns n0 images or, on the learning curve, a part of
them, drawn by the seed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from jax import Array

from cnn_jax.data.sources import find
from experiments.harness.claims import Metrics, Shown
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.pooling_robustness.tasks_images import (
    SCALES,
    Outlines,
    field_tasks,
    first,
    outlines,
)
from experiments.pooling_robustness.tasks_nets import (
    LOCAL,
    TWINS,
    sizes_of,
    train_field,
    train_local,
    train_outlines,
)
from experiments.pooling_robustness.tasks_results import (
    field_metrics,
    local_metrics,
    outline_metrics,
    pictures,
)
from experiments.strong_prior.tasks import Task

FIELDS = tuple(name for name in LOCAL if name != "full")
ALL_TASKS = ("field", "outlines", *(f"patterns-{field}" for field in FIELDS))

Found = dict[str, Any]
Measurements = dict[str, Callable[[], Found]]


def measurements(keys: Array, lab: Lab, config: Any) -> Measurements:
    """What is to be measured, for `lab.measure`; `task_metrics` reads what it finds.

    Of the config it reads `field_steps`, `canvas_steps`, `local_steps`, `num_train`,
    `num_test` and `tasks`.

    Keys of what is found are names of metrics, or begin with "net, ".
    """
    asked = listed("tasks", config.tasks, ALL_TASKS)
    limits = config.num_train, config.num_test
    patterns = [name.removeprefix("patterns-") for name in asked if "-" in name]
    planned: Measurements = {}
    if patterns:
        data = first(lab.data(view="canvas"), *limits)
        planned |= {
            f"patterns, {field}": partial(_local, keys, lab, data, field, config)
            for field in (*patterns, "full")
        }
    if "field" in asked:
        known = field_tasks(lab.data(), *limits)
        planned |= {
            f"field, {net}": partial(_field, keys, lab, known, net, config)
            for net in TWINS
        }
    if "outlines" in asked:
        seen = outlines(lab.data(), find(lab.data_name), *limits)
        planned["outlines"] = partial(_outlines, keys, lab, seen, config)
    return planned


def task_metrics(found: Mapping[str, Any]) -> Metrics:
    """The metrics of all tasks that were measured.

    Args:
      found: by the `measurements`, perhaps among others.
    """
    metrics: dict = {}
    if "net, field, pooled" in found:
        metrics |= field_metrics(
            found["net, sizes"],
            {net: found[f"net, field, {net}"] for net in TWINS},
            {net: found[f"net, location, {net}"] for net in TWINS},
        )
    if "net, outlines, 1" in found:
        nets = {scale: found[f"net, outlines, {scale}"] for scale in SCALES}
        metrics |= outline_metrics(nets)
    local = {
        field: found[f"net, patterns, {field}"]
        for field in LOCAL
        if f"net, patterns, {field}" in found
    }
    if local:
        metrics |= local_metrics(local)
    return metrics


def _field(
    keys: Array, lab: Lab, known: Mapping[str, Task], net: str, config: Any
) -> Found:
    sizes = sizes_of(lab.data_name, known["field"])
    given = net, config.field_steps
    return {
        "chance": _chance(known),
        "net, sizes": sizes,
        f"net, field, {net}": train_field(
            keys, lab, known["field"], "field", *given, sizes
        ),
        f"net, location, {net}": train_field(
            keys, lab, known["location"], "location", *given, sizes[-1:]
        ),
    }


def _chance(known: Mapping[str, Task]) -> Shown:
    return Shown(
        np.asarray([task.chance for task in known.values()]),
        f"test images of the most frequent answer [{', '.join(known)}]",
        "%",
    )


def _outlines(keys: Array, lab: Lab, seen: Outlines, config: Any) -> Found:
    trained = {
        f"net, outlines, {scale}": train_outlines(
            keys, lab, seen, scale, config.canvas_steps
        )
        for scale in SCALES
    }
    return {**trained, **pictures(seen)}


def _local(keys: Array, lab: Lab, data, field: str, config: Any) -> Found:
    return {
        f"net, patterns, {field}": train_local(
            keys, lab, data, field, config.local_steps
        )
    }
