"""The nets of moving, trained, and what they answer to still and to moved images.

Shape letters: R seeds, S motions, N images.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.models import LeNet
from experiments.harness.claims import Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.harness.seeds import over_seeds
from experiments.harness.training import Trained
from experiments.pooling_robustness.moving_images import (
    MOTIONS,
    Task,
    circled,
    ink_outside,
    moved,
    task_of,
)
from experiments.pooling_robustness.moving_nets import (
    ARMS,
    NETS,
    SUBSAMPLED,
    apply,
    train,
)

COMPARED = 64  # test images at which the strided twin meets plain subsampling
DRAWN = 3  # images that are drawn


class Moved(NamedTuple):
    """One trained net and its logits for still and moved test images.

    logits: [R, S, N, 10], in the order of MOTIONS (of CIRCLES for the circular net),
    the still images first;
    sizes: root mean squares behind every pool of the still images [R, pools, N].
    """

    trained: Trained
    logits: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Which still images are right, [R, N]."""
        return self.logits[:, 0].argmax(-1) == self.labels


def measurements(
    keys: Array, lab: Lab, config: Any
) -> dict[str, Callable[[], dict[str, Any]]]:
    """What `lab.measure` takes: one training and its logits for each arm.

    Args:
      keys: [seeds].
      lab: gives the data, logs and watches.
      config: with `arms` ("all" or a comma list of ARMS), `steps`, `num_train` and
        `num_test`.

    Returns:
      label -> function without arguments that returns "moving/{arm}": Moved and, of
      the strided twin, "twin-is-subsampling" [R]; and "moving": what is told of the
      images themselves.
    """
    task = task_of(lab, config.num_train, config.num_test)
    # Once, and not by every net anew.
    motions = moved(jnp.asarray(task.test.images))
    found: dict[str, Callable[[], dict[str, Any]]] = {
        f"moving, {arm}": partial(
            _measured, keys, lab, task, motions, arm, config.steps
        )
        for arm in listed("arms", config.arms, ARMS)
    }
    return found | {"moving": partial(_of_images, task, motions)}


def _measured(
    keys: Array, lab: Lab, task: Task, motions: Array, arm: str, steps: int
) -> dict[str, Any]:
    trained = train(keys, lab, task, arm, steps)
    if arm == "circular":
        motions = circled(jnp.asarray(task.test.images))
    logits, sizes = answers(NETS[arm], trained.params, motions)
    net = Moved(trained, logits, sizes, task.test.labels)
    result: dict[str, Any] = {f"moving/{arm}": net}
    if arm == "strided":
        few = motions[:1, :COMPARED]
        dense, _ = answers(SUBSAMPLED, trained.params, few)
        result["twin-is-subsampling"] = _distance(logits[:, :1, :COMPARED], dense)
    return result


def answers(net: LeNet, params: Any, motions: Array) -> tuple[np.ndarray, np.ndarray]:
    """Logits and sizes behind pools, as `apply` gives them.

    Args:
      net: that answers.
      params: leaves [R, ...].
      motions: [S, N, ...], the still images first.

    Returns:
      logits [R, S, N, 10], and of the still images the sizes [R, pools, N].
    """

    def each(own: Any, batches: Array) -> tuple[Array, Array]:
        logits, sizes = jax.lax.map(partial(apply, net, own), batches)
        return logits, sizes[0]

    logits, sizes = over_seeds(each, brief)(params, motions)
    return np.asarray(logits), np.asarray(sizes)


def _distance(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """‖found - expected‖ / ‖expected‖ of every seed, [R]."""
    axes = tuple(range(1, found.ndim))
    squares = [np.square(each).sum(axes) for each in (found - expected, expected)]
    return np.sqrt(squares[0] / squares[1])


def _of_images(task: Task, motions: Array) -> dict[str, Any]:
    """How much ink leaves the frame, and some images as they are moved."""
    drawn = [int(np.argmax(task.test.labels == label)) for label in range(DRAWN)]
    first = [kind.start for kind in MOTIONS.values()]
    return {
        "ink-outside": np.asarray([ink_outside(task.test.images).mean()]),
        "moved-images": Shown(
            np.asarray(motions)[np.ix_(first, drawn)][..., 0],
            f"test images, {', '.join(MOTIONS)} [motion; image; y; x]",
        ),
    }
