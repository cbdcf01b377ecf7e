"""The transposed convolution: the adjoint of a convolution in its inputs.

Letters are those of the convolution that is transposed: it takes [N, *spatial, C] to
[N, *out, O] by a kernel [*window, C // groups, O]; its transpose takes [N, *out, O]
back to [N, *spatial, C].
"""

import operator
from collections.abc import Sequence

import jax
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import ArrayLike, DTypeLike

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.primitive import transposed_convolution
from cnn_jax.ops.arguments import (
    add_bias,
    check_algorithm,
    check_inputs,
    check_kernel,
    check_preferred,
    promote,
    unpadded,
)
from cnn_jax.ops.convolution import resolve
from cnn_jax.ops.windows import Padding, resolve_padding, span

# At stride 1 these keep the size, so that with a stride they divide it.
_DIVIDING = ("SAME", "CAUSAL", "CIRCULAR", "REFLECT", "REPLICATE")


def conv_transpose(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    input_dilation: int | Sequence[int] = 1,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
    output_shape: Sequence[int] | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> Array:
    """The adjoint of `conv` in its inputs: same kernel, same options, back to the maps.

        y[n, i, c] = Σ_w Σ_o x[n, (i + low − d·w) / s, o] · k[w, c, o] + b[c]

    where s divides, p and w run over all spatial axes and o over the features of c's
    group. What falls on a border of other values than zeros is added to the position
    that the value was taken from, and what falls between dilated inputs is dropped:
    ⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ for every option. For a kernel [*window, C,
    O] it takes O channels to C. Also called deconvolution; with stride 1 / s it is a
    fractionally strided convolution, `conv` with input_dilation s, of the flipped
    kernel.

    Args:
      inputs: [N, *out, O], one to three spatial axes.
      kernel: [*window, C // groups, O], as `conv` takes it on the way there.
      bias: [C], or none.
      strides: s, of the convolution that is transposed, as all options.
      padding: as in `conv`.
      input_dilation: as in `conv`.
      kernel_dilation: as in `conv`.
      feature_group_count: as in `conv`.
      output_shape: the spatial sizes of the outputs. `conv` takes up to s input sizes
        to one output size; by default it is the largest, size · s, for the paddings
        that keep the size at stride 1 (SAME, CAUSAL, CIRCULAR, REFLECT, REPLICATE; so
        do flax and Keras), else the smallest that is not empty, (size − 1) · s +
        (k − 1) · d + 1 − low − high (so does PyTorch).
      precision: as in `conv`.
      preferred_element_type: as in `conv`.
      algorithm: as in `conv`, for this form of it.

    Returns:
      [N, *spatial, C].

    Raises:
      ValueError: an output_shape that `conv` does not take to the inputs' shape; and
        as `conv`.

    Reference:
      Zeiler, Krishnan, Taylor and Fergus, Deconvolutional networks, 2010.
    """
    inputs, kernel, bias = promote(inputs, kernel, bias)
    check_inputs(inputs)
    check_kernel(inputs, kernel)
    _check_features(inputs.shape[-1], kernel, feature_group_count)
    *window, group_channels, _ = kernel.shape
    settings = unpadded(
        len(window),
        strides,
        input_dilation,
        kernel_dilation,
        feature_group_count,
        precision,
        preferred_element_type,
    )
    check_algorithm(algorithm, inputs.dtype, window, settings)
    check_preferred(inputs.dtype, settings)
    spatial = _spatial(inputs.shape[1:-1], window, padding, settings, output_shape)
    prepare, settings, _ = resolve(spatial, window, padding, settings)
    # conv is convolution ∘ prepare, so its transpose takes their transposes in turn.
    channels = feature_group_count * group_channels
    dtype = settings.output_dtype(inputs)
    images = jax.ShapeDtypeStruct((len(inputs), *spatial, channels), dtype)
    prepared = jax.eval_shape(prepare, images).shape[1:-1]
    outputs = transposed_convolution(
        inputs, kernel, settings, prepared, (algorithm,) * 3
    )
    # Under shard_map the images vary over the axes of the mesh that the outputs do.
    images = jax.typeof(outputs).update(shape=images.shape)
    (outputs,) = jax.linear_transpose(prepare, images)(outputs)
    return add_bias(outputs, bias, [(channels,)])


def _spatial(
    out: Sequence[int],
    window: Sequence[int],
    padding: Padding,
    settings: Settings,
    output_shape: Sequence[int] | None,
) -> list[int]:
    """The given sizes, or the default, where `conv` takes them to `out`."""
    strides, dilation = settings.strides, settings.kernel_dilation
    _, pairs = resolve_padding(padding, out, window, strides, dilation)
    spans = [span(k, d) for k, d in zip(window, dilation, strict=True)]
    borders = [
        # SAME adds what the size needs, and has the outputs of the border at stride 1.
        reach - 1 if padding == "SAME" else sum(pair)
        for reach, pair in zip(spans, pairs, strict=True)
    ]
    axes = zip(out, spans, borders, strides, settings.input_dilation, strict=True)
    possible = [_sizes(m, e - border, s, r) for m, e, border, s, r in axes]
    if output_shape is not None:
        wanted = [operator.index(size) for size in output_shape]
    elif isinstance(padding, str) and padding in _DIVIDING:
        wanted = [max(sizes, default=0) for sizes in possible]
    else:
        wanted = [next(filter(None, sizes), 0) for sizes in possible]
    axes = zip(wanted, possible, strict=False)
    if len(wanted) != len(out) or any(size not in sizes for size, sizes in axes):
        expected = ", ".join(map(_range_text, possible))
        raise ValueError(
            f"output_shape: expected ({expected}), what a convolution with these "
            f"options takes to sizes {tuple(out)}, got {output_shape}"
        )
    return wanted


def _sizes(out: int, reach: int, stride: int, dilation: int) -> range:
    """All n with ⌊(n' − reach) / s⌋ + 1 = out, where n' = (n − 1)·r + 1 but 0 for 0."""
    if out == 0:
        return range(int(reach > 0))
    first = (out - 1) * stride + reach
    last = first + stride - 1
    smallest = 0 if first <= 0 <= last else max(-(-(first - 1) // dilation), 0) + 1
    return range(smallest, (last - 1) // dilation + 2)


def _range_text(sizes: range) -> str:
    if not sizes:
        return "no size"
    return f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0])


def _check_features(features: int, kernel: Array, groups: int) -> None:
    if kernel.shape[-1] != features:
        raise ValueError(
            f"kernel: expected {features} features, the channels of the inputs, got "
            f"{kernel.shape[-1]} in shape {kernel.shape}"
        )
    if groups < 1 or features % groups:
        raise ValueError(
            f"feature_group_count: expected a divisor of {features} features, "
            f"got {groups}"
        )
