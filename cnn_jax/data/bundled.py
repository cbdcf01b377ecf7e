"""Real data that scikit-learn and scikit-image carry: 1,797 digits, 13 photographs.

The files are read from the installed packages; neither package (0.7 s) is imported.
Each file is known by its sha256, so that every machine has the same data.

Reference: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI).
"""

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError

DIGITS = "sklearn/datasets/data/digits.csv.gz"
CHINA = "sklearn/datasets/images/china.jpg"
FLOWER = "sklearn/datasets/images/flower.jpg"
DISTRIBUTIONS = {"sklearn": "scikit-learn", "skimage": "scikit-image"}
# Of scikit-image what its wheel carries and what is a photograph: no drawing, mask or
# page, nothing from a microscope or a telescope, one of a stereo pair.
SHA256 = {
    DIGITS: "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    CHINA: "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    FLOWER: "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    "skimage/data/astronaut.png": (
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
    ),
    "skimage/data/brick.png": (
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf"
    ),
    "skimage/data/camera.png": (
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a"
    ),
    "skimage/data/chelsea.png": (
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"
    ),
    "skimage/data/coffee.png": (
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"
    ),
    "skimage/data/coins.png": (
        "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba"
    ),
    "skimage/data/grass.png": (
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89"
    ),
    "skimage/data/gravel.png": (
        "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12"
    ),
    "skimage/data/moon.png": (
        "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577"
    ),
    "skimage/data/motorcycle_left.png": (
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179"
    ),
    "skimage/data/rocket.jpg": (
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"
    ),
}
PHOTOGRAPHS = tuple(name for name in SHA256 if name != DIGITS)
TEST_PER_DIGIT = 36


def content(name: str) -> bytes:
    """The bytes of one file of an installed package.

    Args:
      name: one of `SHA256`: the package, then the file's path inside it.

    Raises:
      DataError: the package or the file is missing, or the file is another one.
    """
    package, _, file = name.partition("/")
    distribution = DISTRIBUTIONS[package]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"{distribution}, which carries {file}, is not installed")
    path = Path(spec.origin).parent / file
    try:
        found = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{distribution}'s {path} cannot be read ({error.strerror}): install "
            f"{distribution} anew"
        ) from error
    digest = hashlib.sha256(found).hexdigest()
    if digest != SHA256[name]:
        raise DataError(
            f"{distribution}'s {path} is not the known file (sha256 {digest[:12]}, "
            f"expected {SHA256[name][:12]}): install another version of {distribution}"
        )
    return found


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits in the order of the file.

    Returns:
      images uint8 [1797, 8, 8, 1] in 0..16, labels uint8 [1797].
    """
    rows = np.loadtxt(gzip.decompress(content(DIGITS)).splitlines(), delimiter=",")
    table = rows.astype(np.uint8)
    return table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1]


def digits_split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fixed split: 36 images of each digit are the test set, the rest trains.

    Drawn by numpy's RandomState, whose stream is frozen for good.

    Args:
      labels: [N] digits.

    Returns:
      Indices (train, test), each in ascending order.
    """
    draw = np.random.RandomState(0)
    test = np.concatenate(
        [
            draw.permutation(np.flatnonzero(labels == digit))[:TEST_PER_DIGIT]
            for digit in range(10)
        ]
    )
    return np.setdiff1d(np.arange(len(labels)), test), np.sort(test)
