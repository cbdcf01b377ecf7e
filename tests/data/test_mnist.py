"""MNIST: from a prepared directory, from a mirror, and without either."""

import re
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import mirror, prepared
from tests.data.small_mnist import holds_the_small_set

# A directory with the real data set that may lie beside the project.
PREPARED = Path(__file__).parents[3] / "shared" / "data" / "tfds"


def refused(message: str):
    return pytest.raises(data.DataError, match=f"^{re.escape(message)}$")


def test_png_images_are_read_from_a_prepared_directory(data_dir):
    dataset = data.load("mnist", data_dir=data_dir)
    assert holds_the_small_set(dataset)
    assert dataset.train.images.shape == (20, 28, 28, 1)


def test_a_prepared_directory_is_decoded_once(data_dir, monkeypatch):
    data.load("mnist", data_dir=data_dir)
    monkeypatch.setattr(prepared, "read", None)
    assert holds_the_small_set(data.load("mnist", data_dir=str(data_dir)))


def test_a_changed_prepared_directory_is_decoded_again(data_dir):
    data.load("mnist", data_dir=data_dir)
    path = next(data_dir.glob("mnist/3.0.1/*train*"))
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(data.DataError, match="cannot be read"):
        data.load("mnist", data_dir=data_dir)


def test_a_data_dir_that_does_not_exist_is_named(tmp_path):
    folder = tmp_path / "none"
    with refused(
        f"mnist: expected {folder}/mnist/3.0.1/dataset_info.json, "
        f"but {folder} is not a directory"
        "; the bundled digits (--data=digits) need no data_dir"
    ):
        data.load("mnist", data_dir=folder)


def test_a_data_dir_without_the_data_set_is_listed(tmp_path):
    (tmp_path / "trec").mkdir()
    with refused(
        f"mnist: expected {tmp_path}/mnist/3.0.1/dataset_info.json, "
        f"but {tmp_path} holds trec"
        "; the bundled digits (--data=digits) need no data_dir"
    ):
        data.load("mnist", data_dir=tmp_path)


def test_a_long_listing_is_cut(tmp_path):
    for number in range(9):
        (tmp_path / str(number)).mkdir()
    with pytest.raises(data.DataError, match=r"holds 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.; "):
        data.load("mnist", data_dir=tmp_path)


def test_a_directory_without_dataset_info_is_not_a_data_set(data_dir):
    folder = data_dir / "mnist" / "3.0.1"
    (folder / "dataset_info.json").unlink()
    names = ", ".join(sorted(path.name for path in folder.iterdir()))
    with refused(
        f"mnist: expected {folder}/dataset_info.json, but {folder} holds {names}"
        "; the bundled digits (--data=digits) need no data_dir"
    ):
        data.load("mnist", data_dir=data_dir)


def test_another_version_is_listed(data_dir):
    (data_dir / "mnist" / "3.0.1").rename(data_dir / "mnist" / "2.0.0")
    with pytest.raises(data.DataError, match=r"given/mnist holds 2\.0\.0; "):
        data.load("mnist", data_dir=data_dir)


@pytest.mark.parametrize("content", ["{", "[]", '{"name": 1}'])
def test_an_unreadable_dataset_info_is_a_data_error(data_dir, content):
    (data_dir / "mnist" / "3.0.1" / "dataset_info.json").write_text(content)
    with pytest.raises(data.DataError, match=r"^mnist: \S+/mnist/3.0.1\S* "):
        data.load("mnist", data_dir=data_dir)


def test_tfrecord_files_are_refused_with_the_remedy(data_dir):
    info = data_dir / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with refused(
        f"mnist: {info.parent} holds tfrecord files, which need TensorFlow; "
        'prepare it with file_format="array_record"'
    ):
        data.load("mnist", data_dir=data_dir)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove", "features"])
def test_a_damaged_prepared_directory_is_a_data_error(data_dir, damage):
    folder = data_dir / "mnist" / "3.0.1"
    path = next(folder.glob("*train.array_record*"))
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[1000] ^= 255
        path.write_bytes(content)
    elif damage == "features":
        (folder / "features.json").unlink()
    elif damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[: 65_000 if damage == "cut" else 0])
    with pytest.raises(data.DataError, match=r"^mnist: \S+ cannot be read \(.+\)$"):
        data.load("mnist", data_dir=data_dir)


def test_another_number_of_images_is_refused(data_dir, alter):
    alter("mnist", num_train=21)
    message = r"has 20 images in train, expected 21$"
    with pytest.raises(data.DataError, match=message):
        data.load("mnist", data_dir=data_dir)


def test_images_of_another_size_are_refused(data_dir, alter):
    alter("mnist", edge=32)
    message = r"expected uint8 images of shape \(32, 32, 1\), got uint8 \(28, 28, 1\)"
    with pytest.raises(data.DataError, match=message):
        data.load("mnist", data_dir=data_dir)


def test_the_mirrors_files_are_prepared_in_their_order(
    local_mirror, small_mnist, cache_dir
):
    assert holds_the_small_set(data.load("mnist"))
    assert (cache_dir / "tfds" / "mnist" / "3.0.1" / "dataset_info.json").is_file()
    assert not (cache_dir / "tfds" / "downloads").exists()


def test_what_was_prepared_is_found_before_the_network_is_tried(
    local_mirror, small_mnist, cache_dir, monkeypatch
):
    data.load("mnist")
    shutil.rmtree(cache_dir / "mnist-3.0.1")
    monkeypatch.setattr(mirror, "unreachable", None)
    assert holds_the_small_set(data.load("mnist"))


def test_a_file_with_another_sha256_is_refused_and_not_kept(
    local_mirror, small_mnist, cache_dir, monkeypatch
):
    name = "t10k-labels-idx1-ubyte.gz"
    right, pin = local_mirror[name], mirror.SHA256[name][:12]
    local_mirror[name] = right + b"x"
    message = rf"mnist: {name} from 127.0.0.1:\d+ is not the known file \(sha256 "
    message += rf"[0-9a-f]{{12}}, expected {pin}\); nothing was kept"
    with pytest.raises(data.DataError, match=f"^{message}$"):
        data.load("mnist")
    local_mirror[name] = right
    assert holds_the_small_set(data.load("mnist"))


def test_a_file_that_is_missing_on_the_mirror_is_a_data_error(
    local_mirror, small_mnist
):
    del local_mirror["t10k-images-idx3-ubyte.gz"]
    with pytest.raises(data.DataError, match=r"^mnist: cannot be prepared in [^\n]+$"):
        data.load("mnist")


def test_a_mirror_that_refuses_is_named_with_the_bundled_alternative(
    monkeypatch, cache_dir
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(mirror, "URL", f"http://127.0.0.1:{port}/")
    with refused(
        f"mnist: it is not in {cache_dir}/tfds/mnist/3.0.1, and 127.0.0.1:{port} "
        "cannot be reached (Connection refused); name a prepared directory with "
        "--data_dir=DIR, or use the bundled --data=digits"
    ):
        data.load("mnist")


def test_a_mirror_that_never_answers_is_given_up_within_five_seconds(monkeypatch):
    start = time.perf_counter()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(mirror, "URL", f"http://127.0.0.1:{port}/")
        message = r"cannot be reached \((no answer in 3 s|timed out)\)"
        with pytest.raises(data.DataError, match=message):
            data.load("mnist")
    assert time.perf_counter() - start < 5


def test_a_name_server_that_never_answers_is_given_up_too(monkeypatch):
    monkeypatch.setattr(mirror, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: time.sleep(1) or [])
    assert mirror.unreachable() == "no answer in 0.2 s"


def test_a_mirror_without_the_file_is_not_reachable(local_mirror):
    local_mirror.clear()
    assert mirror.unreachable() == "Not Found"


def test_the_mirror_is_reachable_where_it_answers(local_mirror):
    assert mirror.unreachable() is None


@pytest.mark.skipif(
    not PREPARED.is_dir(), reason="no prepared MNIST beside the project"
)
def test_the_real_data_set_stands_in_the_middle_of_its_canvas():
    dataset = data.load("mnist", data_dir=PREPARED, view="canvas")
    assert dataset.train.images.shape == (60_000, 40, 40, 1)
    assert dataset.test.images.shape == (10_000, 40, 40, 1)
    assert np.bincount(dataset.train.labels).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    images = dataset.test.images
    assert (images.min(), images.max()) == (0, 1)
    assert images[:, 6:34, 6:34].sum() == pytest.approx(images.sum(), rel=1e-5)
    assert 0.13 < images[:, 6:34, 6:34].mean() < 0.135
