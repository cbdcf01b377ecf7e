"""Real data that scikit-learn carries: 1,797 digits and two photographs.

The files are read from the installed package; scikit-learn itself (0.7 s) is not
imported. Each file is known by its sha256, so that every machine has the same data.

Reference: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI).
"""

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError

DIGITS = "datasets/data/digits.csv.gz"
CHINA = "datasets/images/china.jpg"
FLOWER = "datasets/images/flower.jpg"
SHA256 = {
    DIGITS: "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    CHINA: "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    FLOWER: "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
}
TEST_PER_DIGIT = 36


def content(name: str) -> bytes:
    """The bytes of one file of the installed scikit-learn.

    Raises:
      DataError: scikit-learn or the file is missing, or the file is another one.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(f"scikit-learn, which carries {name}, is not installed")
    path = Path(spec.origin).parent / name
    try:
        found = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"scikit-learn's {path} cannot be read ({error.strerror}): install "
            "scikit-learn anew"
        ) from error
    digest = hashlib.sha256(found).hexdigest()
    if digest != SHA256[name]:
        raise DataError(
            f"scikit-learn's {path} is not the known file (sha256 {digest[:12]}, "
            f"expected {SHA256[name][:12]}): install another version of scikit-learn"
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
