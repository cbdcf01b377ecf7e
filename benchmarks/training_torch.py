"""The nets of the training benchmark by torch, channels last, step by step."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.peers import torch_array, torch_device, waited_for
from benchmarks.training_peers import Net, Start, Train, Trained


def torch_training(net: Net, start: Start) -> Train:
    """torch.optim.Adam, fused, in a loop of steps over tensors of the whole data set.

    Raises:
      ModuleNotFoundError: torch is not installed.
    """
    torch = importlib.import_module("torch")
    images, labels, order = (
        torch.from_numpy(each).to(torch_device())
        for each in (start.images, start.labels.astype(np.int64), start.order.copy())
    )
    images = images.permute(0, 3, 1, 2)  # channels last in memory, as they are
    forward = _FORWARD[net.name]
    initial = _to_torch(start.state.params)

    def train(steps: int | None = None) -> Trained:
        params = {name: _leaf(value) for name, value in initial.items()}
        optimizer = torch.optim.Adam(
            list(params.values()), lr=net.config.learning_rate, fused=True
        )
        losses = []
        for number in range(steps or net.steps):
            index = order[number * net.batch : (number + 1) * net.batch]
            logits = forward(params, images[index])
            loss = torch.nn.functional.cross_entropy(logits, labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        moments = {
            name: optimizer.state[value]["exp_avg"] for name, value in params.items()
        }
        return Trained(params, moments, losses)

    def finished(steps: int | None = None) -> Trained:
        return waited_for(partial(train, steps))()

    return finished


def from_torch(trained: Trained, like: Any) -> Trained:
    """A training by torch with arrays in the order and form of our parameters."""

    def ours(values: Mapping[str, Any]) -> Any:
        return jax.tree_util.tree_map_with_path(partial(_from_torch, values), like)

    losses = [float(loss) for loss in trained.losses]
    return Trained(ours(trained.params), ours(trained.moments), losses)


# Axes of a kernel or a vector by its rank: [*window, C, O] and [O, C, *window].
_TO_TORCH = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
_FROM_TORCH = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _from_torch(values: Mapping[str, Any], path: Any, ours: Any) -> np.ndarray:
    array = values[_name(path)].detach().cpu().numpy()
    return array.transpose(_FROM_TORCH[ours.ndim])


def _to_torch(params: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {
        _name(path): torch_array(leaf).permute(_TO_TORCH[leaf.ndim])
        for path, leaf in leaves
    }


def _leaf(value: Any) -> Any:
    """A copy that is trained, a convolution's kernel channels last."""
    torch = importlib.import_module("torch")
    layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
    return value.clone(memory_format=layout).requires_grad_()


def _lenet(params: Mapping[str, Any], images: Any) -> Any:
    """`cnn_jax.models.LeNet`: images [N, C, H, W] -> logits."""
    functional = importlib.import_module("torch.nn.functional")
    hidden = images
    for name in ("conv1", "conv2"):
        kernel, bias = params[f"{name}.kernel"], params[f"{name}.bias"]
        hidden = functional.conv2d(hidden, kernel, bias, padding=2)
        hidden = functional.max_pool2d(functional.relu(hidden), 2)
    hidden = hidden.permute(0, 2, 3, 1).flatten(1)  # as ours are flattened; a view
    for name in ("dense1", "dense2"):
        hidden = functional.relu(_dense(params, name, hidden))
    return _dense(params, "logits", hidden)


def _resnet(params: Mapping[str, Any], images: Any) -> Any:
    """`cnn_jax.models.ResNet` of 20 layers, option A: images [N, C, H, W] -> logits."""
    functional = importlib.import_module("torch.nn.functional")

    def convolve(hidden: Any, number: int, strides: int = 1) -> Any:
        kernel = params[f"layer{number}_conv.kernel"]
        scale, bias = (params[f"layer{number}_norm.{n}"] for n in ("scale", "bias"))
        outputs = functional.conv2d(hidden, kernel, stride=strides, padding=1)
        # Without running averages, as ours.
        return functional.batch_norm(
            outputs, None, None, scale, bias, training=True, eps=1e-5
        )

    hidden = functional.relu(convolve(images, 1))
    for number in range(2, 20, 2):
        strides = 2 if number in (8, 14) else 1
        inner = functional.relu(convolve(hidden, number, strides))
        outputs = convolve(inner, number + 1)
        if strides == 2:
            new = outputs.shape[1] - hidden.shape[1]
            pairs = (0, 0, 0, 0, 0, new)
            hidden = functional.pad(hidden[:, :, ::2, ::2], pairs)
        hidden = functional.relu(outputs + hidden)
    return _dense(params, "logits", hidden.mean((2, 3)))


def _dense(params: Mapping[str, Any], name: str, inputs: Any) -> Any:
    functional = importlib.import_module("torch.nn.functional")
    return functional.linear(inputs, params[f"{name}.kernel"], params[f"{name}.bias"])


_FORWARD: dict[str, Callable[[Mapping[str, Any], Any], Any]] = {
    "LeNet-5": _lenet,
    "ResNet-20": _resnet,
}
