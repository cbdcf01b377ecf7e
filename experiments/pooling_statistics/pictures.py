"""Average, maximum and subsampling of whole photographs, the photograph the replicate.

Background is the mean gray level, texture the share of power at high frequencies. One
photograph, the moon, had been enlarged by repeating pixels: of it all pools are equal.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.ops import avg_pool, max_pool
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief

EDGE = 256  # of what is cut from the middle of each photograph
SIZE = 2  # of the windows
FINE = 0.25  # cycles per pixel of the pooled picture, whose Nyquist limit is 0.5
POOLS = ("average", "max", "subsampling")
NUM_BINS = 32  # of the spectra that are drawn
SHOWN, CROP = "gravel", 64  # the photograph that is drawn, and how much of it


def middle(photograph: np.ndarray) -> np.ndarray:
    """The middle EDGE x EDGE pixels of a photograph [H, W, 1]."""
    top, left = ((size - EDGE) // 2 for size in photograph.shape[:2])
    return photograph[top : top + EDGE, left : left + EDGE]


def pooled(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, 1] under each of POOLS: float64 [pool, N, H/2, W/2]."""
    window = (SIZE, SIZE)

    @brief
    def pools(images: Array) -> Array:
        mean = avg_pool(images, window, window)
        largest = max_pool(images, window, window)
        return jnp.stack([mean, largest, images[:, ::SIZE, ::SIZE]])

    return np.asarray(pools(jnp.asarray(images)), np.float64)[..., 0]


def biases(images: np.ndarray, pools: np.ndarray) -> np.ndarray:
    """Mean of the pooled picture less the picture's, in its sd: [pool, N]."""
    whole = images[..., 0].astype(np.float64)
    mean, sd = whole.mean((1, 2)), whole.std((1, 2))
    return (pools.mean((2, 3)) - mean) / sd


def spectrum(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power [..., H, W] of pictures less their mean, and |f| [H, W] in cycles/px.

    A Hann window weighs the mean and the picture, so that opposite borders meet.
    """
    height, width = pictures.shape[-2:]
    weights = np.outer(_hann(height), _hann(width))
    mean = (pictures * weights).sum((-2, -1), keepdims=True) / weights.sum()
    power = np.abs(np.fft.fft2((pictures - mean) * weights)) ** 2
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    return power, np.hypot(down, across)


def _hann(size: int) -> np.ndarray:
    return np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2


def fine_share(pictures: np.ndarray) -> np.ndarray:
    """Share of the power of pictures [..., H, W] above FINE: [...]."""
    power, frequency = spectrum(pictures)
    return power[..., frequency > FINE].sum(-1) / power.sum((-2, -1))


def picture_metrics(key: Array, photographs: Mapping[str, np.ndarray]) -> Metrics:
    """avg-keeps-background and max-keeps-texture.

    Args:
      key: of the noise that the controls measure.
      photographs: name -> [H, W, 1], no smaller than EDGE.

    Returns:
      bias-avg-less-max [photographs], of absolute biases, in sd of the photograph;
      fine-max-less-avg, fine-max-less-subsampling [photographs], shares; of as many
      pictures of uniform noise noise/bias-max and noise/fine-share; and what is drawn.
    """
    images = np.stack([middle(each) for each in photographs.values()])
    pools = pooled(images)
    bias, fine = biases(images, pools), fine_share(pools)
    noise = np.asarray(jax.random.uniform(key, (images.size,))).reshape(images.shape)
    noisy = pooled(noise)
    return {
        "bias-avg-less-max": np.abs(bias[0]) - np.abs(bias[1]),
        "fine-max-less-avg": fine[1] - fine[0],
        "fine-max-less-subsampling": fine[1] - fine[2],
        "noise/bias-max": biases(noise, noisy)[1],
        "noise/fine-share": fine_share(noisy[2]),
        **_shown(list(photographs), images, pools, bias, fine),
    }


def _shown(
    names: list[str],
    images: np.ndarray,
    pools: np.ndarray,
    bias: np.ndarray,
    fine: np.ndarray,
) -> dict[str, Shown]:
    axes = f"[{', '.join(POOLS)}; photograph]"
    place = names.index(SHOWN) if SHOWN in names else 0
    top = (EDGE - CROP) // 2
    crop = slice(top, top + CROP)
    part = slice(top // SIZE, (top + CROP) // SIZE)
    return {
        "photographs": Shown(np.asarray(names), "the photographs, in this order"),
        "bias": Shown(bias, f"bias of the mean, in sd of the photograph {axes}"),
        "fine-share": Shown(fine, f"share of power above {FINE} cycles/px {axes}"),
        "spectra": Shown(
            _radial(pools),
            f"share of power per ring of frequencies, mean of the photographs "
            f"[{', '.join(POOLS)}; ring of 1/{2 * NUM_BINS} cycles/px]",
        ),
        "crop": Shown(images[place, crop, crop, 0], f"part of {names[place]} [y; x]"),
        "crop-pooled": Shown(
            pools[:, place, part, part].astype(np.float32),
            f"the same, pooled [{', '.join(POOLS)}; y; x]",
        ),
    }


def _radial(pools: np.ndarray) -> np.ndarray:
    """Share of power in rings up to 0.5 cycles/px: [pool, ring]."""
    power, frequency = spectrum(pools)
    power = power / power.sum((-2, -1), keepdims=True)
    rings = np.floor(frequency * 2 * NUM_BINS).astype(int)
    each = [power[..., rings == ring].sum(-1).mean(1) for ring in range(NUM_BINS)]
    return np.stack(each, 1)
