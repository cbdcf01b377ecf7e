"""The four files of MNIST on the mirror that tensorflow-datasets uses as well.

Reference: LeCun, Cortes and Burges 1998, The MNIST database of handwritten digits.
"""

import gzip
import hashlib
import threading
import urllib.parse
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError, first_line

URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
PROBE_SECONDS = 3.0


def host() -> str:
    """The name of the mirror's host."""
    return urllib.parse.urlsplit(URL).netloc


def unreachable() -> str | None:
    """Why the mirror cannot be reached, known after three seconds; None if it can.

    A name server that does not answer ignores a socket's timeout, so the probe runs
    in a thread of its own that is left behind when its time is over.
    """
    outcome: list[str | None] = [f"no answer in {PROBE_SECONDS:g} s"]

    def probe() -> None:
        import urllib.request

        url = urllib.parse.urljoin(URL, next(iter(SHA256)))
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
            outcome[0] = None
        except Exception as error:
            # urllib wraps the socket's error, whose words are the ones that help.
            reason = getattr(error, "reason", error)
            outcome[0] = getattr(reason, "strerror", None) or first_line(reason)

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return outcome[0]


def images(path: Path, name: str) -> np.ndarray:
    """The images in an idx3 file that was downloaded as `name`: uint8 [N, H, W, 1]."""
    content = _checked(path, name)
    shape = np.frombuffer(content, ">i4", count=3, offset=4)
    return np.frombuffer(content, np.uint8, offset=16).reshape(*shape, 1)


def labels(path: Path, name: str) -> np.ndarray:
    """The labels in an idx1 file that was downloaded as `name`: uint8 [N]."""
    return np.frombuffer(_checked(path, name), np.uint8, offset=8)


def _checked(path: Path, name: str) -> bytes:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise DataError(
            f"mnist: {name} from {host()} is not the known file (sha256 {digest[:12]}, "
            f"expected {SHA256[name][:12]}); nothing was kept"
        )
    return gzip.decompress(content)
