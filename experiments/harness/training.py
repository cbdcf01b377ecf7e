"""Nets trained with Adam, several runs by one program, looked at on the way.

At a look the loss over all training images is taken, and which watched images are
wrong; a run stops at the first look at which the loss is low enough. What differs from
run to run is its key, its learning rate and, if wanted, how it sees the examples.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cnn_jax.data import Split
from cnn_jax.training import Config as TrainingConfig
from cnn_jax.training import Data, State, chunk
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals, over_seeds

BATCH = 32
BRIEF_STEPS = 500  # of all runs, which take less time than compiling them well


class Config(TrainingConfig):
    """Adam whose rate is part of its state: all rates share one compilation."""

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.inject_hyperparams(optax.adam)(learning_rate=self.learning_rate)


class Runs(NamedTuple):
    """What differs between runs: keys and learning rates [R], views [R, ...]."""

    keys: Array
    rates: Any
    views: Any = ()


class Examples(NamedTuple):
    """What is learned, the images [N, H, W, C] watched, and the train loss to reach."""

    data: Data
    images: Array
    labels: Array
    target: Array


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


class Trained(NamedTuple):
    """One net after training: leaves and arrays [runs, ...], see `Watched`."""

    params: Any
    reached: np.ndarray
    wrong: np.ndarray
    history: np.ndarray

    @property
    def num_params(self) -> int:
        leaves = jax.tree.leaves(self.params)
        return sum(leaf.size for leaf in leaves) // len(self.reached)

    @property
    def last_look(self) -> np.ndarray:
        """Train loss, train error and watched error of every run [runs, 3]."""
        looks = np.isfinite(self.history[..., 0]).sum(1)
        return self.history[np.arange(len(looks)), looks - 1]


def as_they_are(examples: Examples, view: Any) -> Examples:
    """How a run sees the examples where all see the same."""
    del view
    return examples


def train(
    lab: Lab,
    label: str,
    model: nn.Module,
    learned: Split,
    watched: Split,
    runs: Runs,
    *,
    steps: int,
    every: int,
    target: float = 0.0,
    see: Callable[[Examples, Any], Examples] = as_they_are,
) -> Trained:
    """Trains one net once for each run.

    Args:
      lab: logs and watches.
      label: what is trained, for log and progress.
      model: images -> (logits, activations), each image treated alone; its layers have
        a kernel and a bias.
      learned: what is trained on.
      watched: what is watched.
      runs: keys, rates and views.
      steps: at most.
      every: so many steps there is a look.
      target: train loss at which a run stops; 0 never is reached.
      see: (examples, view of a run) -> the examples as it sees them.
    """
    config = Config(
        model,
        learned.images.shape[1:],
        batch_size=min(BATCH, len(learned.labels)),
        chunk_steps=min(every, steps),
    )
    looks = -(-steps // config.chunk_steps)
    examples = Examples(
        Data(*map(jnp.asarray, (*learned, 0, steps))),
        *map(jnp.asarray, (*watched, target)),
    )
    is_brief = steps * len(runs.keys) <= BRIEF_STEPS
    start, until = _programs(config, see, looks, len(watched.labels), is_brief)
    before = start((runs.keys, jnp.asarray(runs.rates, jnp.float32)))
    done, _ = lab.fit(
        until,
        (before, runs.views),
        examples,
        num_chunks=looks,
        label=label,
    )
    found = map(np.asarray, (done.reached, done.wrong, done.history))
    return Trained(done.state.params, *found)


@lru_cache(maxsize=16)
def _programs(
    config: Config,
    see: Callable[[Examples, Any], Examples],
    looks: int,
    watched: int,
    is_brief: bool,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The start, and the steps up to the next look: compiled once for equal shapes."""
    start = over_seeds(partial(_start, config, looks, watched), brief)
    until = over_seeds(
        partial(_until, config, see),
        brief if is_brief else jax.jit,
        batch_size=config.batch_size,
    )
    return start, until


def initial_params(
    key: Array, model: nn.Module, image_shape: tuple[int, ...]
) -> dict[str, dict[str, Array]]:
    """He's normal kernels, from one draw, and biases 0, by layer."""
    images = jnp.zeros((1, *image_shape))
    shapes = jax.eval_shape(model.init, key, images)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    drawn = normals(key, *(leaf.shape for leaf in leaves))
    layers = jax.tree.unflatten(tree, drawn)
    return {name: _scaled(layer) for name, layer in layers.items()}


def _start(
    config: Config, looks: int, watched: int, key_and_rate: tuple[Array, Array]
) -> Watched:
    """Before the first step."""
    key, rate = key_and_rate
    init_key, data_key = jax.random.split(key)
    params = initial_params(init_key, config.model, config.image_shape)
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


def _scaled(layer: dict[str, Array]) -> dict[str, Array]:
    """A layer whose biases differ from place to place has a kernel at each of them."""
    kernel, bias = layer["kernel"], layer["bias"]
    shared = bias.ndim == 1
    fan_in = math.prod(kernel.shape[:-1]) if shared else kernel.shape[-2]
    return {"kernel": kernel * (2 / fan_in) ** 0.5, "bias": jnp.zeros_like(bias)}


def _until(
    config: Config,
    see: Callable[[Examples, Any], Examples],
    run: tuple[Watched, Any],
    examples: Examples,
) -> tuple[tuple[Watched, Any], dict[str, Array]]:
    """Steps up to the next look; none once the target is reached."""
    before, view = run
    examples = see(examples, view)

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
    return (after, view), {"loss": after.history[after.look - 1, :1]}
