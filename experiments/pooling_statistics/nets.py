"""The trained nets: which pools stand where, and what the nets get right."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cnn_jax.layers import Conv
from cnn_jax.models import LeNet
from cnn_jax.ops import avg_pool, global_avg_pool, global_max_pool, max_pool
from cnn_jax.training import Config as TrainingConfig
from cnn_jax.training import Data, State, chunk
from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals, over_seeds
from experiments.pooling_statistics.fields import Task

BATCH = 32
CHECK, RARE = 10, 100  # steps between two looks at the train loss
BRIEF_STEPS = 500  # of all seeds, which take less time than compiling them well


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


class _Config(TrainingConfig):
    """Adam whose rate is part of its state: all rates share one compilation."""

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.inject_hyperparams(optax.adam)(learning_rate=self.learning_rate)


class Watched(NamedTuple):
    """A training that stops at the first look at which the train loss is low enough.

    wrong: whether each watched image was misclassified at the last look [N];
    history: of every look train loss, train error and watched error in percent
    [looks, 3], NaN behind the last one.
    """

    state: State
    reached: Array
    look: Array
    wrong: Array
    history: Array


class Examples(NamedTuple):
    """What is learned, the images [N, H, W, 1] watched, and the train loss to reach."""

    data: Data
    images: Array
    labels: Array
    target: Array


class Trained(NamedTuple):
    """One net after training: leaves and arrays [seeds, ...], see `Watched`."""

    params: Any
    reached: np.ndarray
    wrong: np.ndarray
    history: np.ndarray

    @property
    def num_params(self) -> int:
        leaves = jax.tree.leaves(self.params)
        return sum(leaf.size for leaf in leaves) // len(self.reached)


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
    config = _Config(
        NETS[name],
        task.train.images.shape[1:],
        batch_size=min(BATCH, len(task.train.labels)),
        chunk_steps=min(CHECK if target else RARE, steps),
    )
    looks = -(-steps // config.chunk_steps)
    examples = Examples(
        Data(*map(jnp.asarray, (*task.train, 0, steps))),
        *map(jnp.asarray, (*task.test, target)),
    )
    start = over_seeds(partial(_start, config, looks, len(task.test.labels)), brief)
    jit = brief if steps * len(keys) <= BRIEF_STEPS else jax.jit
    own = jnp.asarray(rates or len(keys) * (RATES[name],), jnp.float32)
    done = lab.fit(
        over_seeds(partial(_until, config), jit),
        start((keys, own)),
        examples,
        num_chunks=looks,
        label=name,
    )
    found = map(np.asarray, (done.reached, done.wrong, done.history))
    return Trained(done.state.params, *found)


def _start(
    config: TrainingConfig, looks: int, watched: int, key_and_rate: tuple[Array, Array]
) -> Watched:
    """Before the first step: He's normal kernels, from one draw, and biases 0."""
    key, rate = key_and_rate
    init_key, data_key = jax.random.split(key)
    images = jnp.zeros((1, *config.image_shape))
    shapes = jax.eval_shape(config.model.init, init_key, images)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    drawn = normals(init_key, *(leaf.shape for leaf in leaves))
    params = jax.tree.unflatten(tree, map(_scaled, drawn))
    step = jnp.zeros((), jnp.int32)
    opt_state: Any = config.optimizer.init(params)
    opt_state = opt_state._replace(hyperparams={"learning_rate": rate})
    return Watched(
        State(params, opt_state, step, data_key),
        jnp.asarray(False),
        jnp.asarray(0),
        jnp.zeros((watched,), bool),
        jnp.full((looks, 3), jnp.nan),
    )


def _scaled(drawn: Array) -> Array:
    if drawn.ndim < 2:
        return jnp.zeros_like(drawn)
    return drawn * (2 / math.prod(drawn.shape[:-1])) ** 0.5


def _until(
    config: TrainingConfig, before: Watched, examples: Examples
) -> tuple[Watched, dict[str, Array]]:
    """Steps up to the next look; none once the target is reached."""

    def advance(now: Watched) -> Watched:
        state, _ = chunk(now.state, examples.data, config)
        apply = partial(config.model.apply, {"params": state.params})
        logits, _ = apply(examples.data.images)
        loss, right = config.objective(logits, examples.data.labels)
        watched, _ = apply(examples.images)
        wrong = jnp.argmax(watched, -1) != examples.labels
        seen = jnp.stack([loss, 100 * (1 - right), 100 * jnp.mean(wrong)])
        return Watched(
            state,
            loss <= examples.target,
            now.look + 1,
            wrong,
            now.history.at[now.look].set(seen),
        )

    after = jax.lax.cond(before.reached, lambda same: same, advance, before)
    return after, {"loss": after.history[after.look - 1, :1]}


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


def _last(net: Trained) -> np.ndarray:
    """The last look of every seed [seeds, 3]."""
    looks = np.isfinite(net.history[..., 0]).sum(1)
    return net.history[np.arange(len(looks)), looks - 1]


def _gap(net: Trained) -> np.ndarray:
    _, train, test = _last(net).T
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
            np.stack([_last(net) for net in nets.values()]),
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
