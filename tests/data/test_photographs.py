"""Patches of photographs: textured up to the border; photographs as they were taken."""

import hashlib
import io
import itertools

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import bundled


@pytest.fixture(scope="module")
def whole():
    return data.whole_photographs()


@pytest.mark.parametrize("size", [48, 64])
def test_eight_patches_are_float32_within_0_and_1(size):
    patches = data.photographs(size)
    assert patches.shape == (8, size, size, 1)
    assert patches.dtype == np.float32
    assert patches.min() >= 0
    assert patches.max() <= 1


@pytest.mark.parametrize("size", [48, 64])
def test_no_sixteenth_of_a_patch_is_nearly_constant(size):
    patches = data.photographs(size, 8)
    edge = size // 4
    for row in range(4):
        for column in range(4):
            part = patches[:, row * edge :, column * edge :][:, :edge, :edge]
            assert part.std((1, 2)).min() >= 5 / 255


@pytest.mark.parametrize("size", [48, 64])
def test_patches_are_not_black_along_any_border(size):
    patches = data.photographs(size, 8)[..., 0]
    for border in (patches[:, 0], patches[:, -1], patches[..., 0], patches[..., -1]):
        assert border.mean(1).min() > 0.1


def test_patches_are_cut_from_both_photographs_in_turn():
    from PIL import Image

    def places(patch: np.ndarray, gray: np.ndarray) -> int:
        corners = itertools.product(range(0, 427 - 47, 48), range(0, 640 - 47, 48))
        tiles = (gray[row : row + 48, column : column + 48] for row, column in corners)
        return sum((tile == patch).all() for tile in tiles)

    patches = np.rint(data.photographs(48, 4)[..., 0] * 255)
    for turn, name in enumerate((bundled.CHINA, bundled.FLOWER)):
        gray = np.asarray(Image.open(io.BytesIO(bundled.content(name))).convert("L"))
        found = [places(patch, gray) for patch in patches]
        assert found == [1 - turn, turn, 1 - turn, turn]


def test_fewer_patches_are_the_first_of_more():
    assert (data.photographs(48, 3) == data.photographs(48, 8)[:3]).all()


def test_patches_have_the_same_bits_for_good():
    patches = data.photographs(48, 8)
    assert hashlib.sha256(patches.tobytes()).hexdigest()[:16] == "07ea53d8b29c0245"


def test_more_patches_than_there_are_is_a_value_error():
    assert len(data.photographs(64, 33)) == 33
    with pytest.raises(
        ValueError, match=r"at most 33 patches of size 64, .* num_patches=34"
    ):
        data.photographs(64, 34)
    with pytest.raises(ValueError, match="at most 0 patches of size 500"):
        data.photographs(500, 1)


@pytest.mark.parametrize(("size", "num_patches"), [(7, 1), (48, 0)])
def test_sizes_and_counts_too_small_are_value_errors(size, num_patches):
    message = f"got size={size} and num_patches={num_patches}"
    with pytest.raises(ValueError, match=message):
        data.photographs(size, num_patches)


def test_a_changed_photograph_is_refused(monkeypatch):
    monkeypatch.setitem(bundled.SHA256, bundled.CHINA, "0" * 64)
    with pytest.raises(data.DataError, match=r"china.jpg is not the known file"):
        data.photographs(48)


def test_thirteen_whole_photographs_come_in_gray_by_name(whole):
    assert list(whole) == sorted(whole)
    assert len(whole) == 13
    for image in whole.values():
        assert image.dtype == np.float32
        assert image.shape[2] == 1
        assert min(image.shape[:2]) >= 300
        assert 0 <= image.min() < 0.3
        assert 0.7 < image.max() <= 1


def test_whole_photographs_have_the_same_bits_for_good(whole):
    content = b"".join(image.tobytes() for image in whole.values())
    assert hashlib.sha256(content).hexdigest()[:16] == "e0e177657e4c4793"


def test_a_patch_is_cut_from_its_whole_photograph(whole):
    windows = np.lib.stride_tricks.sliding_window_view(whole["china"][..., 0], (64, 64))
    patch = data.photographs(64, 1)[0, ..., 0]
    assert (windows[::64, ::64] == patch).all((2, 3)).sum() == 1


def test_in_color_a_gray_photograph_has_three_equal_channels(whole):
    color = data.whole_photographs(3)
    assert list(color) == list(whole)
    for name, image in color.items():
        assert image.shape == (*whole[name].shape[:2], 3)
    gray = {name for name, image in color.items() if np.ptp(image, axis=2).max() == 0}
    assert gray == {"brick", "camera", "coins", "grass", "gravel", "moon"}
    for name in gray:
        assert (color[name][..., :1] == whole[name]).all()
    luma = color["coffee"] @ np.asarray([0.299, 0.587, 0.114])
    np.testing.assert_allclose(luma[..., None], whole["coffee"], atol=0.51 / 255)


def test_whole_photographs_have_one_or_three_channels():
    with pytest.raises(ValueError, match="expected num_channels 1 or 3, got 2"):
        data.whole_photographs(2)


def test_a_missing_scikit_image_is_named(monkeypatch):
    monkeypatch.setattr(bundled.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(data.DataError, match=r"^scikit-image, which carries \S+astro"):
        data.whole_photographs()


def test_reading_photographs_imports_neither_package(run_child):
    code = """
from cnn_jax import data
data.whole_photographs()
print("sklearn" in sys.modules, "skimage" in sys.modules)
"""
    assert run_child(code).split() == ["False", "False"]
