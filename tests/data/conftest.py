"""Every test has a data cache of its own; nothing touches the user's."""

import dataclasses
import gzip
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import mirror, sources
from tests.data import small_mnist as small

ROOT = Path(__file__).parents[2]
# The package itself imports jax; a child process that looks at what the data modules
# import gets an empty parent package in its place.
CHILD = f"""
import sys, types
parent = types.ModuleType("cnn_jax")
parent.__path__ = [{str(ROOT / "cnn_jax")!r}]
parent.__file__ = parent.__path__[0] + "/__init__.py"
sys.modules["cnn_jax"] = parent
"""

Child = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CNN_JAX_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def warm_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the digits; for tests that only read."""
    folder = tmp_path_factory.mktemp("warm")
    data.load("digits", cache_dir=folder)
    return folder


@pytest.fixture(scope="session")
def digits(warm_dir: Path) -> data.Dataset:
    return data.load("digits", cache_dir=warm_dir)


@pytest.fixture
def start_child() -> Iterator[Child]:
    """Starts Python code in a process of its own that sees only the data modules."""
    children = []

    def start(code: str, **environment: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD + code],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def run_child(start_child: Child) -> Callable[..., str]:
    """Runs Python code as above and returns what it prints; it must succeed."""

    def run(code: str, **environment: str) -> str:
        child = start_child(code, **environment)
        printed, _ = child.communicate(timeout=60)
        assert child.returncode == 0, printed
        return printed

    return run


@pytest.fixture
def alter(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes what is known of a data set: alter("mnist", num_train=20)."""

    def change(name: str, **fields: Any) -> None:
        source = dataclasses.replace(sources.SOURCES[name], **fields)
        monkeypatch.setitem(sources.SOURCES, name, source)

    return change


@pytest.fixture
def small_mnist(alter: Callable[..., None]) -> None:
    """MNIST with 20 training and 10 test images."""
    alter("mnist", num_train=20, num_test=10)


@pytest.fixture(scope="session")
def png_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.prepare(tmp_path_factory.mktemp("png"))


@pytest.fixture
def data_dir(png_dir: Path, tmp_path: Path, small_mnist: None) -> Path:
    """A prepared directory of that MNIST, which a test may damage."""
    return shutil.copytree(png_dir, tmp_path / "given")


@pytest.fixture
def mirror_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The mirror's four files in small, pinned: image i is full of i, label i % 10."""
    files = {}
    for part, count in (("train", 20), ("t10k", 10)):
        numbers = np.arange(count, dtype=np.uint8)
        header = np.array([2051, count, 28, 28], ">i4").tobytes()
        pixels = header + numbers.repeat(28 * 28).tobytes()
        labels = np.array([2049, count], ">i4").tobytes() + (numbers % 10).tobytes()
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(pixels)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(labels)
    for name, content in files.items():
        pin = hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(mirror.SHA256, name, pin)
    return files


@pytest.fixture
def local_mirror(
    mirror_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, bytes]]:
    """Serves these files on this machine; a test may change them."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            content = mirror_files.get(self.path.lstrip("/"))
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(mirror_files.get(self.path.lstrip("/"), b""))

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(mirror, "URL", f"http://127.0.0.1:{server.server_port}/")
    yield mirror_files
    server.shutdown()
    thread.join()
    server.server_close()
