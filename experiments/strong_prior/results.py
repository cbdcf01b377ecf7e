"""What the trained nets got right, as metrics.

Shape letters: R seeds, N test images.
"""

from collections.abc import Mapping

import numpy as np

from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.training import Trained
from experiments.strong_prior.nets import ARMS, SHARING
from experiments.strong_prior.tasks import (
    PIXELS,
    Task,
    adjacent_share,
    pixel_orders,
    rearranged,
)
from experiments.strong_prior.trainings import CHECK, DESIGNS, JUDGED

DRAWN = 3  # classes of which an image is drawn


def task_metrics(name: str, task: Task, nets: Mapping[str, Trained]) -> Metrics:
    """The rows of one task.

    Args:
      name: of DESIGNS.
      task: what was tested.
      nets: of ARMS, runs in the order (size, pixels, seed).

    Returns:
      natural/{name} and permuted/{name}, conv - dense in points per test image;
      drop/{name}, how many more points the permutation costs conv than dense;
      right/{name}-{arm}-{pixels}, 100 where an image was right;
      train-accuracy/{name}-{arm}-{pixels} [R], %; params-ratio/{name}, dense over
      conv; of the permutation changed-values/{name} and adjacent-share/{name}.
    """
    right = {arm: _by_design(name, 100.0 * ~net.wrong) for arm, net in nets.items()}
    looks = {arm: _by_design(name, net.last_look) for arm, net in nets.items()}
    design = DESIGNS[name]
    judged = design.sizes.index(JUDGED) if JUDGED in design.sizes else 0
    points, metrics = {}, {}
    for arm in ARMS:
        for place, pixels in enumerate(design.pixels):
            points[arm, pixels] = right[arm][judged, place]
            words = f"{name}-{arm}-{pixels}"
            metrics[f"right/{words}"] = Images(points[arm, pixels])
            learned = 100.0 - looks[arm][judged, place, :, 1]
            metrics[f"train-accuracy/{words}"] = learned
    less = {
        pixels: points["conv", pixels] - points["dense", pixels]
        for pixels in design.pixels
    }
    metrics |= {f"{pixels}/{name}": Images(each) for pixels, each in less.items()}
    if design.pixels == PIXELS:
        drop = less["natural"] - less["permuted"]
        metrics[f"drop/{name}"] = Images(drop)
        metrics |= _permutation(name, task)
    if len(design.sizes) > 1:
        metrics["curve"] = Shown(
            np.stack([right[arm].mean(-1) for arm in ARMS]),
            f"test accuracy on {name} [{', '.join(ARMS)}; training images "
            f"{', '.join(map(str, design.sizes))}; {', '.join(PIXELS)}; seed]",
            "%",
        )
    return {**metrics, **_counted(name, task, nets)}


def _by_design(name: str, values: np.ndarray) -> np.ndarray:
    """[runs, ...] as [size, pixels, seed, ...]."""
    design = DESIGNS[name]
    return values.reshape(len(design.sizes), len(design.pixels), -1, *values.shape[1:])


def _permutation(name: str, task: Task) -> Metrics:
    images = task.test.images
    width = images.shape[1]
    order = pixel_orders(width**2)["permuted"]
    both = (images, rearranged(images, order))
    values = [np.sort(each.reshape(len(images), -1)) for each in both]
    drawn = [int(np.argmax(task.test.labels == label)) for label in range(DRAWN)]
    return {
        f"changed-values/{name}": np.asarray([(values[0] != values[1]).sum()]),
        f"adjacent-share/{name}": np.asarray([adjacent_share(order, width)]),
        f"images/{name}": Shown(
            np.stack([each[drawn, ..., 0] for each in both]),
            f"the first test images of {DRAWN} classes of {name} "
            f"[{', '.join(PIXELS)}; class; y; x]",
        ),
    }


def _counted(name: str, task: Task, nets: Mapping[str, Trained]) -> Metrics:
    counts = np.asarray([nets[arm].num_params for arm in ARMS])
    return {
        f"params-ratio/{name}": counts[1:] / counts[0],
        f"parameters/{name}": Shown(counts, f"parameters [{', '.join(ARMS)}]"),
        f"chance/{name}": Shown(
            np.asarray([task.chance]), f"{name}, the most frequent class alone", "%"
        ),
    }


def sharing_metrics(nets: Mapping[str, Trained], target: float) -> Metrics:
    """The row sharing-cuts-overfitting.

    Args:
      nets: of SHARING, one run for each seed.
      target: the train loss at which they stopped.

    Returns:
      conv-less-unshared, unshared-less-dense: test error in points per test image,
      NaN for a seed at which either did not get to the target; gap/dense [R], its test
      error less its train error; and what is drawn.
    """
    points = {
        name: np.where(nets[name].reached[:, None], 100.0 * nets[name].wrong, np.nan)
        for name in SHARING
    }
    _, train, test = nets["dense"].last_look.T
    longest = max(net.history.shape[1] for net in nets.values())
    return {
        "conv-less-unshared": Images(points["conv"] - points["unshared"]),
        "unshared-less-dense": Images(points["unshared"] - points["dense"]),
        "gap/dense": (test - train).astype(np.float64),
        "parameters/sharing": Shown(
            np.asarray([nets[name].num_params for name in SHARING]),
            f"parameters [{', '.join(SHARING)}]",
        ),
        "histories": Shown(
            np.stack([_padded(nets[name].history, longest) for name in SHARING]),
            f"train loss, train error in %, test error in % at every look, {CHECK} "
            f"steps apart [{', '.join(SHARING)}; seed; look; which]",
        ),
        "target": Shown(np.asarray([target]), "train loss at which they are compared"),
    }


def _padded(history: np.ndarray, looks: int) -> np.ndarray:
    missing = looks - history.shape[1]
    return np.pad(history, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan)
