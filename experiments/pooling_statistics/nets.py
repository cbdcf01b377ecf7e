"""The trained nets: which pools stand where, and what the nets get right."""

from collections.abc import Callable

import flax.linen as nn
import numpy as np
from jax import Array

from cnn_jax.layers import Conv
from cnn_jax.models import LeNet
from cnn_jax.ops import avg_pool, global_avg_pool, global_max_pool, max_pool
from experiments.harness import training
from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.lab import Lab
from experiments.harness.training import Trained
from experiments.pooling_statistics.fields import Task

CHECK, RARE = 10, 100  # steps between two looks at the train loss


def max_2x2(inputs: Array) -> Array:
    return max_pool(inputs, (2, 2), (2, 2))


def avg_2x2(inputs: Array) -> Array:
    return avg_pool(inputs, (2, 2), (2, 2))


class Stack(nn.Module):
    """Three 3x3 convolutions, a pool behind two of them, a global pool on the last.

        h = early(relu(conv(h))) twice;  logits = dense(late(relu(conv(h))))

    Attributes:
      early: [N, H, W, C] -> [N, H/2, W/2, C].
      late: [N, H, W, C] -> [N, C].
      features: channels per convolution.
    """

    early: Callable[[Array], Array]
    late: Callable[[Array], Array]
    features: tuple[int, int, int] = (8, 16, 32)

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """Returns (logits, activations), the last maps among them."""
        hidden = images
        for number, features in enumerate(self.features, start=1):
            hidden = nn.relu(Conv(features, (3, 3), name=f"conv{number}")(hidden))
            if number < len(self.features):
                hidden = self.early(hidden)
        logits = nn.Dense(10, name="logits")(self.late(hidden))
        return logits, {"last": hidden}


# The early pool, then the late one.
STACKS: dict[str, nn.Module] = {
    "max-avg": Stack(max_2x2, global_avg_pool),
    "max-max": Stack(max_2x2, global_max_pool),
    "avg-avg": Stack(avg_2x2, global_avg_pool),
    "avg-max": Stack(avg_2x2, global_max_pool),
}
# Of equal widths; without pools the dense layer behind the maps is larger.
TWINS: dict[str, nn.Module] = {"pooled": LeNet(), "unpooled": LeNet(pool=None)}
NETS = STACKS | TWINS
# Of Adam; chosen by `python -m experiments.pooling_statistics.tuning`.
RATES = {
    "max-avg": 1e-2,
    "max-max": 5e-3,
    "avg-avg": 1e-2,
    "avg-max": 1e-2,
    "pooled": 5e-3,
    "unpooled": 5e-3,
}


def train(
    keys: Array,
    lab: Lab,
    task: Task,
    name: str,
    steps: int,
    target: float = 0.0,
    rates: tuple[float, ...] = (),
) -> Trained:
    """Trains one net with Adam.

    Args:
      keys: [seeds].
      lab: logs and watches.
      task: learned from `train`, watched on `test`.
      name: one of NETS.
      steps: at most.
      target: train loss at which a seed stops, looked at every CHECK steps; 0 never
        is reached, and looks are rare.
      rates: learning rate of each seed, the net's own of RATES by default.
    """
    own = rates or len(keys) * (RATES[name],)
    return training.train(
        lab,
        name,
        NETS[name],
        *task,
        training.Runs(keys, own),
        steps=steps,
        every=CHECK if target else RARE,
        target=target,
    )


def net_metrics(nets: dict[str, Trained], target: float) -> Metrics:
    """The rows about what trained nets get right.

    Returns:
      late-avg-less-max, early-max-less-avg: points of accuracy per test image;
      pooled-less-unpooled: points of error per test image, NaN for a seed whose train
      loss did not get to the target; gap/unpooled [seeds], its test error less its
      train error; accuracy/{net} [seeds], %.
    """
    points = {name: 100.0 * ~net.wrong for name, net in nets.items()}
    reached = nets["pooled"].reached & nets["unpooled"].reached
    excess = points["unpooled"] - points["pooled"]
    metrics: dict = {f"accuracy/{name}": p.mean(1) for name, p in points.items()}
    metrics |= {
        "late-avg-less-max": Images(points["max-avg"] - points["max-max"]),
        "early-max-less-avg": Images(points["max-avg"] - points["avg-avg"]),
        "pooled-less-unpooled": Images(np.where(reached[:, None], excess, np.nan)),
        "gap/unpooled": _gap(nets["unpooled"]),
    }
    return metrics | _shown(nets, target)


def _gap(net: Trained) -> np.ndarray:
    _, train, test = net.last_look.T
    return (test - train).astype(np.float64)


def _shown(nets: dict[str, Trained], target: float) -> dict[str, Shown]:
    names = ", ".join(nets)
    twins = [nets[name] for name in TWINS]
    longest = max(net.history.shape[1] for net in twins)
    histories = [_padded(net.history, longest) for net in twins]
    return {
        "parameters": Shown(
            np.asarray([net.num_params for net in nets.values()]),
            f"parameters [net: {names}]",
        ),
        "last-look": Shown(
            np.stack([net.last_look for net in nets.values()]),
            "train loss, train error in %, test error in % at the end of training "
            f"[net: {names}; seed; which]",
        ),
        "histories": Shown(
            np.stack(histories),
            f"the same at every look, {CHECK} steps apart "
            f"[net: {', '.join(TWINS)}; seed; look; which]",
        ),
        "target": Shown(np.asarray([target]), "train loss at which the twins stop"),
    }


def _padded(history: np.ndarray, looks: int) -> np.ndarray:
    missing = looks - history.shape[1]
    return np.pad(history, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan)
