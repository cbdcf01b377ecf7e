"""The nets of the tasks, and how each of them is trained.

Digits in a field are learned by LeNet with 2x2 max pools and by its strided twin, which
has as many parameters: stride 2 in each convolution and no pool. Outlines are learned
by LeNet with its pools. Local patterns are all that a net of capped field sees: five
convolutions, of which the first few see neighbors and the others, 1x1, one place; the
mean over all places of the last map goes to the logits.

Reference: Brendel and Bethge, Approximating CNNs with bag-of-local-features models,
2019 (the nets of capped field).
"""

import flax.linen as nn
import jax
import numpy as np
from jax import Array

from cnn_jax.data import Dataset
from cnn_jax.layers import Conv
from cnn_jax.models import LeNet
from cnn_jax.ops import global_avg_pool
from cnn_jax.ops.arithmetic import Layer, receptive_field
from experiments.harness import training
from experiments.harness.lab import Lab
from experiments.harness.training import Runs, Trained
from experiments.pooling_robustness.tasks_images import Outlines
from experiments.strong_prior.tasks import PIXELS, Task
from experiments.strong_prior.trainings import see, views_of

QUARTERS = 4  # of a training, a look after each
MOST_IN_FIELD = {"digits": 1200, "mnist": 4000}  # training images, n0
SHARES = (16, 8, 4, 2, 1)  # of these one in so many, the sizes of the learning curve
KERNELS = (5, 3, 3, 3, 3)  # of the convolutions that see neighbors, each of stride 2

TWINS: dict[str, nn.Module] = {
    "pooled": LeNet(),
    "strided": LeNet(pool=None, conv_strides=2),
}
# Of Adam; chosen by `python -m experiments.pooling_robustness.tasks_tuning`.
RATES = {
    "field-pooled": 5e-3,
    "field-strided": 5e-3,
    "location-pooled": 2e-3,
    "location-strided": 2e-3,
    "outlines-1": 5e-3,
    "outlines-2": 5e-3,
    "outlines-4": 5e-3,
    "patterns-5": 5e-3,
    "patterns-9": 2e-3,
    "patterns-17": 1e-2,
    "patterns-full": 1e-3,
}


class LocalNet(nn.Module):
    """Convolutions that see a few pixels, and a global average of what they see.

        h = relu(conv_l(h))    l = 1..5, the first `seeing` of them as in KERNELS
        logits = dense(mean over places of h)

    Attributes:
      seeing: how many convolutions see neighbors.
      features: channels of every convolution.
    """

    seeing: int
    features: int

    @property
    def stack(self) -> tuple[tuple[int, int], ...]:
        """Kernel size and stride of every convolution."""
        rest = len(KERNELS) - self.seeing
        return (*((size, 2) for size in KERNELS[: self.seeing]), *rest * ((1, 1),))

    @property
    def field(self) -> int:
        """Pixels along each axis that one place of the last map depends on."""
        layers = [
            Layer(size, self.features, stride, padding="VALID")
            for size, stride in self.stack
        ]
        return receptive_field(layers)[0].size

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """[N, H, W, C] -> logits [N, 10], and the last map [N, H', W', features]."""
        hidden = images
        for number, (size, stride) in enumerate(self.stack, start=1):
            conv = Conv(
                self.features, (size, size), strides=stride, name=f"conv{number}"
            )
            hidden = nn.relu(conv(hidden))
        logits = nn.Dense(10, name="logits")(global_avg_pool(hidden))
        return logits, {"last": hidden}


# By the pixels they see; widths are those of nearly equal numbers of parameters.
LOCAL: dict[str, LocalNet] = {
    "5": LocalNet(seeing=1, features=45),
    "9": LocalNet(seeing=2, features=27),
    "17": LocalNet(seeing=3, features=21),
    "full": LocalNet(seeing=5, features=16),
}


def sizes_of(name: str, task: Task) -> tuple[int, ...]:
    """The numbers of training images of the learning curve, the last one n0."""
    largest = min(MOST_IN_FIELD[name], len(task.train.labels))
    return tuple(max(largest // share, 1) for share in SHARES)


def train_field(
    keys: Array,
    lab: Lab,
    task: Task,
    name: str,
    net: str,
    steps: int,
    sizes: tuple[int, ...],
    rates: tuple[float, ...] = (),
) -> Trained:
    """A net of TWINS on a task of the field, once for each size and seed.

    Args:
      keys: [seeds].
      lab: logs and watches.
      task: what is learned and tested.
      name: of the task, "field" or "location".
      net: of TWINS.
      steps: of Adam, for every size.
      sizes: of the training set; the smaller lie within the larger of their seed. An
        epoch has the largest of them, and smaller sets come again and again.
      rates: of each seed, the net's own of RATES by default.

    Returns:
      Leaves [sizes · seeds, ...].
    """
    found = []
    for size in sizes:
        view = views_of(keys, task, PIXELS[0], size)
        view = view._replace(subset=view.subset[:, : max(sizes)])
        runs = Runs(keys, _rates(keys, f"{name}-{net}", rates), view)
        found.append(
            training.train(
                lab,
                f"{name}, {net}, {size}",
                TWINS[net],
                task.train,
                task.test,
                runs,
                steps=steps,
                every=-(-steps // QUARTERS),
                see=see,
            )
        )
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def train_outlines(
    keys: Array,
    lab: Lab,
    pictures: Outlines,
    scale: int,
    steps: int,
    rates: tuple[float, ...] = (),
) -> Trained:
    """LeNet on pictures of one scale, tested on every view: leaves [seeds, ...]."""
    return training.train(
        lab,
        f"outlines, 1/{scale}",
        TWINS["pooled"],
        pictures.train[scale],
        pictures.test,
        Runs(keys, _rates(keys, f"outlines-{scale}", rates)),
        steps=steps,
        every=steps,  # the many views are looked at once
    )


def train_local(
    keys: Array,
    lab: Lab,
    data: Dataset,
    field: str,
    steps: int,
    rates: tuple[float, ...] = (),
) -> Trained:
    """A net of LOCAL on whole canvases: leaves [seeds, ...]."""
    return training.train(
        lab,
        f"patterns, {field}",
        LOCAL[field],
        data.train,
        data.test,
        Runs(keys, _rates(keys, f"patterns-{field}", rates)),
        steps=steps,
        every=-(-steps // QUARTERS),
    )


def _rates(keys: Array, name: str, rates: tuple[float, ...]) -> tuple[float, ...]:
    return rates or len(keys) * (RATES[name],)
