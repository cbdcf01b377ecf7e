"""What algorithm="autotune" measures: what serves, is soon made and soon held."""

from typing import Any

import jax.numpy as jnp
import pytest

from cnn_jax.ops.algorithms import Settings, autotune
from cnn_jax.ops.algorithms.registry import FORMS


def test_every_candidate_serves_its_settings() -> None:
    plain = Settings((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1))
    large = autotune.candidates(
        "forward", 64, (224, 224), (3, 3, 64, 64), plain, jnp.dtype("float32")
    )
    assert "im2col" not in large
    assert "fourier" not in large
    assert "winograd2" in large
    for form, algorithms in FORMS.items():
        names = autotune.candidates(
            form, 1, (5, 5), (3, 3, 2, 2), plain, jnp.dtype("int32")
        )
        assert set(names) <= set(algorithms)
        assert not {"fourier", "winograd2"} & set(names)


@pytest.mark.parametrize(
    ("spatial", "window", "stride", "left_out"),
    [
        ((64, 64), (2, 2), 8, {"space_to_depth", "phases", "col2im"}),
        ((64, 64), (4, 4), 4, {"col2im"}),
        ((12, 12, 12), (9, 2, 2), 1, {"planes", "phases", "space_to_depth"}),
        ((12, 12, 12), (8, 2, 2), 1, {"phases", "space_to_depth"}),
    ],
)
def test_what_takes_long_to_compile_or_much_memory_is_no_candidate(
    spatial: Any, window: Any, stride: int, left_out: set[str]
) -> None:
    rank = len(spatial)
    ones = (1,) * rank
    settings = Settings((stride,) * rank, ((0, 0),) * rank, ones, ones)
    shape = (*window, 16, 64)
    names = autotune.candidates(
        "input_gradient", 8, spatial, shape, settings, jnp.dtype("float32")
    )
    of_interest = {"space_to_depth", "phases", "col2im", "im2col", "shifted"}
    of_interest |= {"planes"} if rank == 3 else set()
    assert of_interest - set(names) == left_out
