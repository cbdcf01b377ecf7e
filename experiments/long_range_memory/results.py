"""From trained nets to the metrics of the claims, and the tables beside them."""

from typing import NamedTuple

import numpy as np

from experiments.harness.claims import Metrics, Shown
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import (
    CONVOLUTIONAL,
    NETS,
    RECURRENT,
    SHARE,
    Net,
    build,
)
from experiments.long_range_memory.tasks import RECALLED, Task
from experiments.long_range_memory.training import Trained

# Bai et al. 2018, Table 1: accuracy in %, accuracy in %, squared error, cross-entropy.
PUBLISHED_NETS = ("LSTM", "GRU", "RNN", "TCN")
PUBLISHED = {
    "sequential MNIST, % right": (87.2, 96.2, 21.5, 99.0),
    "permuted MNIST, % right": (85.7, 87.3, 25.3, 97.2),
    "adding, T = 600, loss": (0.164, 5.3e-5, 0.177, 5.8e-5),
    "copy memory, T = 1,000, loss": (0.0204, 0.0197, 0.0202, 3.5e-5),
}
PUBLISHED_CHANCE = (10.0, 10.0, 1 / 6, 10 * np.log(8) / 1020)


HEARD = "heard"  # the 8x8 digits row by row, where the task is another data set's


class Result(NamedTuple):
    """One net on one task; `name` is the task's as it is asked for, or `HEARD`."""

    net: Net
    name: str
    task: Task
    trained: Trained


Results = dict[str, Result]  # by NET-TASK


def net_metrics(results: Results) -> Metrics:
    """The rows that need training, and what their controls look at.

    Returns:
        loss-over-blind/NET-TASK [seeds]; falling/NET-TASK, field-less-bound/NET-TASK
        [1]; digits-right/NET [seeds] of recurrent nets, row by row; and
        params-over-dilated/NET-TASK [1] of every net, trained or not.
    """
    metrics = {}
    tasks = {each.name: each.task for each in results.values()}
    hears = HEARD if HEARD in tasks else "sequential"
    for name, task in tasks.items():
        if name in MADE:
            metrics |= _shares(name, task)
    for arm, (net, task_name, task, trained) in results.items():
        if task_name == hears and net.name in RECURRENT:
            metrics[f"digits-right/{net.name}"] = trained.right[:, -1, 1]
        if task_name not in MADE:
            continue
        metrics[f"loss-over-blind/{arm}"] = trained.ratios[:, -1, 1]
        # Below the rule of a recurrent net lies more training, above a CNN's less.
        side = -1 if net.name in CONVOLUTIONAL else 1
        metrics[f"falling/{arm}"] = np.asarray([side * trained.falling])
        if net.name in CONVOLUTIONAL:
            less = net.field - bound(net.name, task_name, task)
            metrics[f"field-less-bound/{arm}"] = np.asarray([less])
    return metrics


def _shares(task_name: str, task: Task) -> Metrics:
    """How large the nets are in relation to the dilated one."""
    target = build("dilated", task).num_params
    return {
        f"params-over-dilated/{name}-{task_name}": np.asarray(
            [build(name, task).num_params / target]
        )
        for name in NETS
    }


def bound(name: str, task_name: str, task: Task) -> float:
    """Steps that the shallow net must not see, or that the dilated net must."""
    length = task.length - 2 * RECALLED if task_name == "copy" else task.length
    if name == "shallow":
        return length if task_name == "copy" else length / SHARE
    return length + RECALLED if task_name == "copy" else length


def shown(results: Results, names: tuple[str, ...], tasks: tuple[str, ...]) -> Metrics:
    """Tables and curves, nets and tasks in the given order."""
    metrics = {
        "nets": Shown(np.asarray(names), "the nets, in this order everywhere"),
        "tasks": Shown(np.asarray(tasks), "the tasks, in this order everywhere"),
        "published": Shown(
            published_table(),
            "published beside ours: Bai et al. 2018, Table 1, and the best blind guess",
        ),
    }
    for task_name in tasks:
        rows = [results[f"{name}-{task_name}"] for name in names]
        metrics |= _shown_of_task(task_name, rows)
    if heard := [each for each in results.values() if each.name == HEARD]:
        text = "8x8 digits row by row, the control of recurrent nets: means over seeds"
        metrics[f"table/{HEARD}"] = Shown(table(heard), text)
    return metrics


def _shown_of_task(name: str, rows: list[Result]) -> dict[str, Shown]:
    """The table of a task, curves, losses, shares and chance; a row for each net."""
    task = rows[0].task
    ratios = np.stack([row.trained.ratios for row in rows])
    right = np.stack([row.trained.right for row in rows])
    return {
        f"table/{name}": Shown(
            table(rows),
            f"{name}, {task.length} steps: means over seeds, test sequences; "
            "chance is the expected loss of the best blind guess, the last row its "
            "loss on these sequences",
        ),
        f"curves/{name}": Shown(
            ratios[..., 0],
            f"{name}: validation loss over the blind guess's [net; seed; 20 looks]",
        ),
        f"loss/{name}": Shown(
            ratios[:, :, -1, 1],
            f"{name}: test loss over the blind guess's [net; seed]",
        ),
        f"right/{name}": Shown(
            right[:, :, -1, 1],
            f"{name}: right on test sequences [net; seed]",
            "%",
        ),
        f"chance/{name}": Shown(
            np.asarray([task.chance, task.chance_right]),
            f"{name}: expected loss and percent right of the best blind guess",
        ),
    }


def published() -> np.ndarray:
    """[task; net]: percent right of the digits, loss over chance of the others."""
    rows = np.asarray(list(PUBLISHED.values()))
    rows[2:] /= np.asarray(PUBLISHED_CHANCE)[2:, None]
    return rows


def published_table() -> np.ndarray:
    """The published numbers as they are printed, chance in the last column."""
    lines = [["task", *PUBLISHED_NETS, "chance"]]
    for (task, values), chance in zip(PUBLISHED.items(), PUBLISHED_CHANCE, strict=True):
        lines.append([task, *(f"{value:.3g}" for value in (*values, chance))])
    return np.asarray(lines)


def table(rows: list[Result]) -> np.ndarray:
    """One line of words per net, a header above, chance and the blind guess below."""
    lines = [["net", "features", "parameters", "field", "loss", "right, %", "falling"]]
    for net, _, _, trained in rows:
        field = str(net.field) if net.field else "all"
        lines.append(
            [
                net.name,
                str(net.model.features),
                f"{net.num_params:,}",
                field,
                _mean(trained.final_loss, ".3g"),
                _mean(trained.right[:, -1, 1], ".1f"),
                "yes" if trained.falling else "no",
            ]
        )
    task = rows[0].task
    chance = [f"{task.chance:.3g}", f"{task.chance_right:.1f}"]
    lines.append(["chance", "", "", "", *chance, ""])
    blind = f"{rows[0].trained.blind[1]:.3g}"
    return np.asarray([*lines, ["blind guess", "", "", "", blind, "", ""]])


def _mean(values: np.ndarray, form: str) -> str:
    """The mean over seeds, or how many of them have none."""
    diverged = int(np.isnan(values).sum())
    return f"{diverged} diverged" if diverged else format(values.mean(), form)
