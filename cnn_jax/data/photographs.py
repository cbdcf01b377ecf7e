"""Real photographs: patches of two that fill their frame, and thirteen whole ones.

Digits stand on an empty margin, and on an empty margin zero padding makes no
difference; the laws about padding need images with structure up to the border. Where
the photograph itself is what is repeated, one needs many of them.
"""

import io
import os
from pathlib import Path

import numpy as np

from cnn_jax.data import bundled, cache, views

VERSION = "1.0.0"
# ITU-R BT.601 in 16 bits: luma is an integer, the same on every machine.
LUMA = (19595, 38470, 7471)
# The least standard deviation, in gray levels of 255, of every block of a patch.
TEXTURE = 5
BLOCKS = 4


def photographs(
    size: int,
    num_patches: int = 8,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Grayscale patches cut from scikit-learn's china.jpg and flower.jpg.

    Both photographs (427 × 640) are cut into tiles of size × size from the top left
    corner, and each tile into 4 × 4 blocks. The texture of a tile is the smallest
    standard deviation among its blocks; tiles below 5 gray levels (2 % of the range)
    are left out, so that no part of a patch is nearly constant. Tiles are taken in
    descending order of texture, from the two photographs in turn.

    Args:
      size: edge of a patch in pixels, at least 8.
      num_patches: how many; there are 59 of size 48 and 33 of size 64.
      cache_dir: in place of the default cache directory.

    Returns:
      float32 [num_patches, size, size, 1] in [0, 1].

    Raises:
      ValueError: the photographs have fewer such tiles.
      DataError: scikit-learn's photographs are missing or changed.
    """
    if size < 8 or num_patches < 1:
        raise ValueError(
            "expected size >= 8 and num_patches >= 1, "
            f"got size={size} and num_patches={num_patches}"
        )
    pictures = cache.fetch(f"photographs-{VERSION}", _decode, cache_dir)
    ranked = [_textured(picture, size) for picture in pictures.values()]
    turns = [
        tiles[turn]
        for turn in range(max(map(len, ranked)))
        for tiles in ranked
        if turn < len(tiles)
    ]
    if len(turns) < num_patches:
        raise ValueError(
            f"expected at most {len(turns)} patches of size {size}, "
            f"the photographs have no more with texture; got num_patches={num_patches}"
        )
    return views.plain(np.stack(turns[:num_patches])[..., None], white=255)


def whole_photographs(num_channels: int = 1) -> dict[str, np.ndarray]:
    """Every photograph as it was taken, by name, in alphabetical order.

    Eleven of scikit-image, five of them in color, and two of scikit-learn, both in
    color. In gray, a color is its luma (ITU-R BT.601); in color, the three channels of
    a gray photograph are equal.

    Args:
      num_channels: 1 for gray, 3 for red, green and blue.

    Returns:
      name -> float32 [H, W, num_channels] in [0, 1]; H and W lie between 300 and 741.

    Raises:
      ValueError: another number of channels.
      DataError: a photograph is missing or changed.
    """
    if num_channels not in (1, 3):
        raise ValueError(f"expected num_channels 1 or 3, got {num_channels}")
    files = {Path(name).stem: name for name in bundled.PHOTOGRAPHS}
    found = {}
    for name, file in sorted(files.items()):
        color = _color(file)
        image = color if num_channels == 3 else _luma(color)[..., None]
        found[name] = views.plain(image[None], white=255)[0]
    return found


def _textured(picture: np.ndarray, size: int) -> np.ndarray:
    """Tiles [T, size, size] of a picture [H, W] with texture, most texture first."""
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    grid = picture[: rows * size, : columns * size].reshape(rows, size, columns, size)
    tiles = grid.swapaxes(1, 2).reshape(-1, size, size)
    edge = size // BLOCKS
    blocks = tiles[:, : BLOCKS * edge, : BLOCKS * edge].astype(np.int64)
    blocks = blocks.reshape(-1, BLOCKS, edge, BLOCKS, edge)
    # n² times the variance is an integer: no rounding can change the order.
    count = edge * edge
    spread = count * (blocks**2).sum((2, 4)) - blocks.sum((2, 4)) ** 2
    texture = spread.min((1, 2))
    order = np.argsort(-texture, kind="stable")
    return tiles[order[texture[order] >= (TEXTURE * count) ** 2]]


def _decode(root: Path) -> cache.Arrays:
    del root
    files = {"china": bundled.CHINA, "flower": bundled.FLOWER}
    return {name: _luma(_color(file)) for name, file in files.items()}


def _color(file: str) -> np.ndarray:
    """uint8 [H, W, 3]"""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(bundled.content(file))).convert("RGB"))


def _luma(color: np.ndarray) -> np.ndarray:
    """uint8 [H, W]"""
    sums = (color.astype(np.int64) * LUMA).sum(-1)
    return ((sums + 2**15) >> 16).astype(np.uint8)
