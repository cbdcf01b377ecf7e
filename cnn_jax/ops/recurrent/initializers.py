"""Parameters drawn for each cell; by default the very draws of flax.linen's cells."""

import hashlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers
from jax.typing import DTypeLike

from cnn_jax.ops.dtypes import accumulator

Initializer = Callable[..., Array]
_INPUT = initializers.lecun_normal()
_RECURRENT = initializers.orthogonal()


def init_rnn(
    key: Array,
    in_features: int,
    features: int,
    *,
    kernel_init: Initializer = _INPUT,
    recurrent_kernel_init: Initializer = _RECURRENT,
    dtype: DTypeLike = jnp.float32,
) -> dict:
    """Parameters of `rnn_step`, drawn as flax.linen.SimpleCell draws them.

    Args:
      key: typed key.
      in_features: D.
      features: H.
      kernel_init: draws the kernel [D, H] of the inputs.
      recurrent_kernel_init: draws the kernel [H, H] of the state.
      dtype: of the parameters.

    Returns:
      {"i": {"kernel", "bias"}, "h": {"kernel"}}; the bias is zero.
    """
    kernel = _draw(key, "i", kernel_init, (in_features, features), dtype)
    recurrent = _draw(key, "h", recurrent_kernel_init, (features, features), dtype)
    bias = jnp.zeros(features, dtype)
    return {"i": {"kernel": kernel, "bias": bias}, "h": {"kernel": recurrent}}


def init_lstm(
    key: Array,
    in_features: int,
    features: int,
    *,
    forget_bias: float = 0.0,
    chrono_length: int | None = None,
    projection: int | None = None,
    peephole: bool = False,
    coupled: bool = False,
    kernel_init: Initializer = _INPUT,
    recurrent_kernel_init: Initializer = _RECURRENT,
    dtype: DTypeLike = jnp.float32,
) -> dict:
    """Parameters of `lstm_step`, drawn as flax.linen.LSTMCell draws them.

        chrono: b_f = log u, b_i = −b_f,   u uniform in [1, chrono_length − 1)

    Args:
      key: typed key.
      in_features: D.
      features: H.
      forget_bias: of the forget gate; where gates are coupled, its negative is the
        input gate's.
      chrono_length: T_max, the longest dependence expected, at least 3; takes the place
        of forget_bias.
      projection: P, or None for no projection.
      peephole: whether the gates see the cell; the weights begin as zeros.
      coupled: whether f = 1 − i, without a forget gate of its own.
      kernel_init: draws the kernels [D, H] of the inputs and the projection [H, P].
      recurrent_kernel_init: draws the kernels [H or P, H] of the state.
      dtype: of the parameters.

    Returns:
      {"ii": {"kernel"}, "hi": {"kernel", "bias"}, ...}, and "projection" and
      "peephole" if asked for; other biases are zero.

    Raises:
      ValueError: chrono_length below 3, or beside a forget_bias.

    Reference:
      Tallec and Ollivier, Can recurrent neural networks warp time?, 2018.
    """
    gates = "igo" if coupled else "ifgo"
    state_size = features if projection is None else projection
    params: dict = {}
    for name in gates:
        kernel = _draw(key, f"i{name}", kernel_init, (in_features, features), dtype)
        shape = (state_size, features)
        recurrent = _draw(key, f"h{name}", recurrent_kernel_init, shape, dtype)
        params[f"i{name}"] = {"kernel": kernel}
        params[f"h{name}"] = {"kernel": recurrent, "bias": jnp.zeros(features, dtype)}
    chrono_key = _fold_in(key, "chrono", 1)
    biases = gate_biases(chrono_key, features, forget_bias, chrono_length, dtype)
    for name in gates:
        if name in biases and (coupled or chrono_length or name == "f"):
            params[f"h{name}"]["bias"] = biases[name]
    if projection is not None:
        shape = (features, projection)
        kernel = _draw(key, "projection", kernel_init, shape, dtype)
        params["projection"] = {"kernel": kernel}
    if peephole:
        seeing = [name for name in gates if name != "g"]
        params["peephole"] = {name: jnp.zeros(features, dtype) for name in seeing}
    return params


def gate_biases(
    key: Array,
    features: int,
    forget_bias: float,
    chrono_length: int | None,
    dtype: DTypeLike = jnp.float32,
) -> dict[str, Array]:
    """Biases [H] of the forget gate and their negatives, of the input gate.

    Raises:
      ValueError: as `init_lstm`.
    """
    if chrono_length is None:
        bias = jnp.full(features, forget_bias, dtype)
    elif forget_bias or chrono_length < 3:
        raise ValueError(
            "chrono_length: expected None or at least 3 with forget_bias 0, got "
            f"{chrono_length} with forget_bias {forget_bias}"
        )
    else:
        span = chrono_length - 2
        draws = jax.random.uniform(key, (features,), jnp.float32)
        bias = jnp.log(1 + draws * span).astype(dtype)
    return {"f": bias, "i": -bias}


def init_gru(
    key: Array,
    in_features: int,
    features: int,
    *,
    kernel_init: Initializer = _INPUT,
    recurrent_kernel_init: Initializer = _RECURRENT,
    dtype: DTypeLike = jnp.float32,
) -> dict:
    """Parameters of `gru_step`, drawn as flax.linen.GRUCell draws them.

    Args:
      key: typed key.
      in_features: D.
      features: H.
      kernel_init: draws the kernels [D, H] of the inputs.
      recurrent_kernel_init: draws the kernels [H, H] of the state.
      dtype: of the parameters.

    Returns:
      {"ir": {"kernel", "bias"}, "hr": {"kernel"}, ...} with a bias at "hn" too; biases
      are zero.
    """
    params: dict = {}
    for name in "rzn":
        kernel = _draw(key, f"i{name}", kernel_init, (in_features, features), dtype)
        shape = (features, features)
        recurrent = _draw(key, f"h{name}", recurrent_kernel_init, shape, dtype)
        params[f"i{name}"] = {"kernel": kernel, "bias": jnp.zeros(features, dtype)}
        params[f"h{name}"] = {"kernel": recurrent}
    params["hn"]["bias"] = jnp.zeros(features, dtype)
    return params


def _draw(
    key: Array, entry: str, init: Initializer, shape: Sequence[int], dtype: DTypeLike
) -> Array:
    """A kernel from the key that flax.linen makes for the first parameter there."""
    wide = accumulator(jnp.dtype(dtype))  # which a QR decomposition takes
    return init(_fold_in(key, entry, 1), tuple(shape), wide).astype(dtype)


def _fold_in(key: Array, name: str, index: int) -> Array:
    """flax's: the first four bytes of a hash of the parameter's place."""
    place = name.encode() + index.to_bytes((index.bit_length() + 7) // 8, "big")
    digest = hashlib.sha1(place, usedforsecurity=False).digest()
    return jax.random.fold_in(key, jnp.uint32(int.from_bytes(digest[:4], "big")))
