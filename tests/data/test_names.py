"""Names, descriptions, and what is said about wrong ones."""

import re

import pytest

from cnn_jax import data
from cnn_jax.data import cache


def test_names_are_digits_and_mnist():
    assert data.names() == ("digits", "mnist")


def test_descriptions_say_how_many_and_what():
    assert data.describe("digits") == "1,797 real digits"
    assert data.describe("mnist") == "70,000 real digits (MNIST)"


def test_an_unknown_name_is_answered_with_the_nearest():
    message = 'no data set "digit": did you mean "digits"? there are digits, mnist'
    with pytest.raises(data.DataError, match=f"^{re.escape(message)}$"):
        data.load("digit")


def test_a_name_near_to_none_is_answered_with_the_list():
    message = 'no data set "x": there are digits, mnist'
    with pytest.raises(data.DataError, match=f"^{message}$"):
        data.describe("x")


def test_an_unknown_view_is_a_value_error():
    with pytest.raises(ValueError, match='expected view "plain" or "canvas", got "x"'):
        data.load("digits", view="x")


def test_the_cache_is_the_argument_before_the_variable(tmp_path, cache_dir):
    assert cache.directory(tmp_path) == tmp_path
    assert cache.directory() == cache_dir


def test_the_cache_is_the_users_own_without_a_variable(monkeypatch):
    monkeypatch.delenv("CNN_JAX_CACHE")
    assert cache.directory().name in ("cnn_jax", "Cache")
