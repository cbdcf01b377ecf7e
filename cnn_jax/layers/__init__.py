"""flax.linen modules over `cnn_jax.ops`.

Where flax.linen has a layer of the same name, fields, defaults, parameter tree and
initial draws are its own, so either can take the other's place.
"""

from cnn_jax.layers.activations import Maxout, PReLU, RReLU
from cnn_jax.layers.convolution import (
    Conv,
    ConvLocal,
    ConvMaxPool,
    DepthwiseConv,
    SeparableConv,
    TiledConv,
)
from cnn_jax.layers.pooling import (
    AvgPool,
    BlurPool,
    GaussianPool,
    LpPool,
    MaxPool,
    MaxPoolWithSwitches,
    MaxUnpool,
    MinPool,
    MixedPool,
    PolyphasePool,
    StochasticPool,
)
from cnn_jax.layers.pooling_regions import (
    AdaptivePool,
    DynamicKMaxPool,
    FractionalMaxPool,
    GlobalPool,
    KMaxPool,
    SpatialPyramidPool,
)
from cnn_jax.layers.recurrent import RNN, Bidirectional
from cnn_jax.layers.recurrent_cells import (
    GRUCell,
    LSTMCell,
    OptimizedLSTMCell,
    SimpleCell,
)
from cnn_jax.layers.transposed import ConvTranspose

__all__ = [
    "RNN",
    "AdaptivePool",
    "AvgPool",
    "Bidirectional",
    "BlurPool",
    "Conv",
    "ConvLocal",
    "ConvMaxPool",
    "ConvTranspose",
    "DepthwiseConv",
    "DynamicKMaxPool",
    "FractionalMaxPool",
    "GRUCell",
    "GaussianPool",
    "GlobalPool",
    "KMaxPool",
    "LSTMCell",
    "LpPool",
    "MaxPool",
    "MaxPoolWithSwitches",
    "MaxUnpool",
    "Maxout",
    "MinPool",
    "MixedPool",
    "OptimizedLSTMCell",
    "PReLU",
    "PolyphasePool",
    "RReLU",
    "SeparableConv",
    "SimpleCell",
    "SpatialPyramidPool",
    "StochasticPool",
    "TiledConv",
]
