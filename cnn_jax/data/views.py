"""Views of images: as they are, on a wider canvas that leaves room for shifts, or at a
random place of one.

Everything up to the last division is integer arithmetic, and that division is
rounded correctly: a view has the same bits on every machine and every numpy.
"""

import numpy as np


def plain(images: np.ndarray, white: int) -> np.ndarray:
    """images / white.

    Args:
      images: integers [N, H, W, C] in 0..white.
      white: the integer that stands for full intensity.

    Returns:
      float32 [N, H, W, C] in [0, 1].
    """
    return images.astype(np.float32) / np.float32(white)


def canvas(images: np.ndarray, white: int, size: int, width: int) -> np.ndarray:
    """Images enlarged to size × size, in the middle of width × width zeros.

    Args:
      images: integers [N, H, H, C] in 0..white.
      white: the integer that stands for full intensity.
      size: edge of the enlarged image, at least H.
      width: edge of the canvas, at least size.

    Returns:
      float32 [N, width, width, C] in [0, 1].
    """
    if size != images.shape[1]:
        rows, scale = _enlarge(images.astype(np.int32), 1, size)
        images, scale = _enlarge(rows, 2, size)
        white = white * scale**2
    low = (width - size) // 2
    inside = slice(low, low + size)
    shape = (len(images), width, width, images.shape[-1])
    wide = np.zeros(shape, np.float32)
    np.divide(images, np.float32(white), out=wide[:, inside, inside], dtype=np.float32)
    return wide


def field(images: np.ndarray, room: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Every image once, whole, at a random place of its own empty canvas.

    Args:
      images: float32 [N, H, W, C].
      room: pixels that a canvas is wider and higher than its image.
      seed: of the places, each as likely as the others.

    Returns:
      canvases float32 [N, H + room, W + room, C], and the row and column of the
      images' top left corners [N, 2].
    """
    number, height, width, channels = images.shape
    draw = np.random.RandomState(seed)  # its stream is frozen for good
    places = draw.randint(room + 1, size=(number, 2))
    canvases = np.zeros((number, height + room, width + room, channels), np.float32)
    for canvas, image, (top, left) in zip(canvases, images, places, strict=True):
        canvas[top : top + height, left : left + width] = image
    return canvases, places


def _enlarge(images: np.ndarray, axis: int, size: int) -> tuple[np.ndarray, int]:
    """Bilinear interpolation along one axis, times 2·size so that it stays integer.

    Pixels are areas, as in every image library: the center of output i lies at input
    (i + ½)·n/size − ½, and beyond the outermost centers the edge value holds.
    """
    length, scale = images.shape[axis], 2 * size
    position = (2 * np.arange(size) + 1) * length - size
    position = np.maximum(position, 0).astype(np.int32)
    low, part = position // scale, position % scale
    part = part.reshape([-1 if a == axis else 1 for a in range(images.ndim)])
    high = np.minimum(low + 1, length - 1)
    return (
        images.take(low, axis) * (scale - part) + images.take(high, axis) * part
    ), scale
