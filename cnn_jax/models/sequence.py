"""Networks over time: inputs [N, T, D] -> logits at every step, or after the last."""

from collections.abc import Callable

import flax.linen as nn
from flax.typing import Initializer
from jax import Array

from cnn_jax import layers

HEADS = ("every", "last")


class RecurrentNet(nn.Module):
    """Recurrent layers on top of each other, then one dense layer.

        h_0 = inputs
        h_l = rnn(cell)(h_l-1)                      l = 1 ... num_layers
        logits_t = dense(h_L,t)

    All fields are hashable, so a model is a static argument of a jitted function.

    Attributes:
      features: H, of every layer.
      num_outputs: O.
      cell: features -> cell: a class of `layers`, or one with fields bound by
        `functools.partial`.
      num_layers: L.
      head: "every" for logits at each step, "last" for those after the last one.
      rnn: runs a cell over time; flax.linen's RNN gives the same network.
    """

    features: int
    num_outputs: int
    cell: Callable[..., nn.Module] = layers.LSTMCell
    num_layers: int = 1
    head: str = "last"
    rnn: Callable[..., nn.Module] = layers.RNN

    @nn.compact
    def __call__(self, inputs: Array) -> tuple[Array, dict[str, Array]]:
        """Reads sequences.

        Args:
          inputs: [N, T, D].

        Returns:
          logits [N, T, O], or [N, O] after the last step; the activations "layer{l}"
          [N, T, H].

        Raises:
          ValueError: an unknown head, or inputs that are not of rank 3.
        """
        _check(inputs, self.head)
        hidden, activations = inputs, {}
        for number in range(1, self.num_layers + 1):
            name = f"layer{number}"
            cell = self.cell(self.features, parent=None)  # the layer's own child
            hidden = self.rnn(cell, name=name)(hidden)
            activations[name] = hidden
        return _logits(hidden, self.num_outputs, self.head), activations


class TemporalConvNet(nn.Module):
    """Residual blocks of two dilated causal convolutions, then one dense layer.

        h_0 = inputs
        g_l = activation(conv(h_l-1))                                dilation d_l
        h_l = activation(activation(conv(g_l)) + shortcut(h_l-1))    dilation d_l
        logits_t = dense(h_L,t)

    The shortcut is the identity, or a 1x1 convolution where the channels change. Bai
    et al. also normalize the weights and drop activations out; here neither is done.
    An output sees itself and the inputs before it,

        field = 1 + 2·(kernel_size − 1)·Σ_l d_l

    steps in all. All fields are hashable.

    Attributes:
      features: C, of every block.
      num_outputs: O.
      dilations: d_l, one per block.
      kernel_size: k, taps of every convolution.
      head: "every" for logits at each step, "last" for those after the last one.
      conv: the class of the convolutions; flax.linen's Conv gives the same network,
        `layers.ConvLocal` the one that shares nothing over time.
      activation: elementwise.
      kernel_init: draws the kernels of the convolutions.

    Reference:
      Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and
      recurrent networks for sequence modeling, 2018.
    """

    features: int
    num_outputs: int
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    kernel_size: int = 8
    head: str = "last"
    conv: Callable[..., nn.Module] = layers.Conv
    activation: Callable[[Array], Array] = nn.relu
    kernel_init: Initializer = nn.initializers.he_normal()

    @property
    def field(self) -> int:
        """Steps that an output sees, its own among them."""
        return 1 + 2 * (self.kernel_size - 1) * sum(self.dilations)

    @nn.compact
    def __call__(self, inputs: Array) -> tuple[Array, dict[str, Array]]:
        """Reads sequences.

        Args:
          inputs: [N, T, D].

        Returns:
          logits [N, T, O], or [N, O] after the last step; the activations "inner{l}"
          and "layer{l}", which are g_l and h_l [N, T, C].

        Raises:
          ValueError: an unknown head, or inputs that are not of rank 3.
        """
        _check(inputs, self.head)
        hidden, activations = inputs, {}
        for number, dilation in enumerate(self.dilations, start=1):
            inner = self._convolve(hidden, dilation, f"inner{number}")
            outer = self._convolve(inner, dilation, f"layer{number}")
            hidden = self.activation(outer + self._shortcut(hidden, number))
            activations |= {f"inner{number}": inner, f"layer{number}": hidden}
        return _logits(hidden, self.num_outputs, self.head), activations

    def _convolve(self, inputs: Array, dilation: int, name: str) -> Array:
        convolution = self.conv(
            self.features,
            (self.kernel_size,),
            padding="CAUSAL",
            kernel_dilation=dilation,
            kernel_init=self.kernel_init,
            name=f"{name}_conv",
        )
        return self.activation(convolution(inputs))

    def _shortcut(self, inputs: Array, number: int) -> Array:
        if inputs.shape[-1] == self.features:
            return inputs
        name = f"shortcut{number}"
        init = self.kernel_init
        return self.conv(self.features, (1,), kernel_init=init, name=name)(inputs)


def _check(inputs: Array, head: str) -> None:
    if head not in HEADS:
        raise ValueError(f"head: expected 'every' or 'last', got {head!r}")
    if inputs.ndim != 3:
        raise ValueError(f"inputs: expected [N, T, D], got {inputs.shape}")


def _logits(hidden: Array, num_outputs: int, head: str) -> Array:
    """Of all steps [N, T, O], or of the last [N, O]; called inside a module."""
    read = hidden if head == "every" else hidden[:, -1]
    return nn.Dense(num_outputs, name="logits")(read)
