"""Comma lists of flags."""

import pytest

from experiments.harness.listed import listed

ARMS = ("max", "average", "none")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("all", ARMS),
        (" all ", ARMS),
        ("none", ("none",)),
        ("none, max", ("max", "none")),
    ],
)
def test_names_come_in_the_order_of_the_known_ones(given, names):
    assert listed("arms", given, ARMS) == names


@pytest.mark.parametrize("given", ["", "max,", "min", "max,max", "all,max", "max none"])
def test_what_is_not_known_or_given_twice_is_refused(given):
    message = "expected arms as all or from max, average, none, each once, got "
    with pytest.raises(ValueError, match="each once") as raised:
        listed("arms", given, ARMS)
    assert str(raised.value) == message + repr(given)
