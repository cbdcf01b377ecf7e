"""The transposed convolution: its two sides, and its sizes.

Letters are those of the convolution C that is transposed: inputs of size i, outputs of
size o, window k, stride s, p zeros on both sides; one spatial axis.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import conv_transpose, output_size
from cnn_jax.ops.windows import dilate
from experiments.convolution_identities.sides import Sides, direct_conv, impulses


class Transposed(NamedTuple):
    """A convolution of one spatial axis that is transposed.

    Attributes:
      size: i, of the inputs of the convolution C.
      window, stride, padding: k, s and p (zeros on both sides) of C.
    """

    size: int
    window: int
    stride: int
    padding: int

    def __str__(self) -> str:
        i, k, s, p = self
        return f"i {i}, k {k}, s {s}, p {p}"

    @property
    def remainder(self) -> int:
        """Positions at the end of the inputs that no window reaches."""
        return (self.size + 2 * self.padding - self.window) % self.stride

    def forward(self, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        """C: [N, i, C] -> [N, o, O]."""
        return direct_conv(inputs, kernel, strides=self.stride, padding=self.padding)

    def transposed(self, outputs: jax.Array, kernel: jax.Array) -> jax.Array:
        """Cᵀ: [N, o, O] -> [N, i, C]."""
        return conv_transpose(
            outputs,
            kernel,
            strides=self.stride,
            padding=self.padding,
            output_shape=(self.size,),
            algorithm="direct",
        )


def adjoint_sides(kernel: jax.Array, case: Transposed) -> list[Sides]:
    """The matrices of C and Cᵀ; forward of each against backward of the other.

    Args:
      kernel: [k, C, O].
      case: what is transposed.

    Returns:
      (M(C), M(Cᵀ)ᵀ), (backward of C, forward of Cᵀ), (backward of Cᵀ, forward of C),
      each over a whole basis.
    """
    channels, features = kernel.shape[1:]
    forward = functools.partial(case.forward, kernel=kernel)
    transposed = functools.partial(case.transposed, kernel=kernel)
    basis = impulses((case.size, channels))
    images = forward(basis)
    cobasis = impulses((images.shape[1], features))
    mapped = transposed(cobasis)
    _, backward = jax.vjp(forward, jnp.zeros((len(cobasis), *basis.shape[1:])))
    _, back = jax.vjp(transposed, jnp.zeros((len(basis), *cobasis.shape[1:])))
    matrices = (
        images.reshape(len(basis), -1),
        mapped.reshape(len(cobasis), -1).T,
    )
    return [matrices, (backward(cobasis)[0], mapped), (back(basis)[0], images)]


def zero_stuffed_sides(kernel: jax.Array, case: Transposed) -> Sides:
    """Cᵀ; and zeros stuffed in, the kernel rotated, a convolution of stride 1.

    The padding is k - 1 - p on both sides and the remainder behind it.
    """
    i, k, s, p = case
    basis = impulses((output_size(i, k, s, 1, p, p), kernel.shape[2]))
    low = k - 1 - p
    convolved = direct_conv(
        dilate(basis, (s,)),
        jnp.swapaxes(jnp.flip(kernel, 0), 1, 2),
        padding=((low, low + case.remainder),),
    )
    return convolved, case.transposed(basis, kernel)


def grid() -> tuple[Transposed, ...]:
    """Every convolution of i <= 32, k <= 7, s <= 4, p <= min(3, k - 1) that fits."""
    cases = (
        Transposed(i, k, s, p)
        for i in range(1, 33)
        for k in range(1, 8)
        for s in range(1, 5)
        for p in range(min(3, k - 1) + 1)
    )
    return tuple(case for case in cases if case.size + 2 * case.padding >= case.window)


def spread(num_cases: int) -> tuple[Transposed, ...]:
    """So many of `grid`, drawn once and for all, in its order."""
    whole = grid()
    chosen = np.random.RandomState(0).permutation(len(whole))[:num_cases]
    return tuple(whole[index] for index in sorted(chosen))
