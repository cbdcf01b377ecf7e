"""--sweep: what it understands, and what it says where it does not."""

from pathlib import Path

import pytest

from experiments.harness import flags, grid, intents
from experiments.harness.exits import USAGE, CommandError
from tests.harness import toys

RULE = "quoted if it holds a comma or semicolon, or nothing"
MANY = ",".join(map(str, range(40)))


def swept(folder: Path, *words: str) -> intents.Sweep:
    command = flags.parse(["--exp=toy", *words], folder)
    assert isinstance(command, intents.Sweep)
    return command


def test_a_grid_has_a_cell_for_each_product_the_last_field_fastest(folder: Path):
    command = swept(folder, "--sweep=shift=1,2 ; seed = 3,4,5", "--scale=0.1")
    cells = [(each.config["shift"], each.seed) for each in command.cells]
    assert cells == [(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]
    assert {each.config["scale"] for each in command.cells} == {0.1}
    assert [type(each.config["shift"]) for each in command.cells] == [float] * 6


def test_a_cell_wins_over_quick(folder: Path):
    command = swept(folder, "--quick", "--sweep=scale=0.1;num_seeds=2,3")
    cells = [(each.config["scale"], each.num_seeds) for each in command.cells]
    assert cells == [(0.1, 2), (0.1, 3)]


def test_values_that_hold_commas_stand_in_quotes(folder: Path):
    text = """fail='a,b',"c;'d",plain word,'';extra=true,false"""
    command = swept(folder, f"--sweep={text}")
    assert command.grid == {
        "fail": ("a,b", "c;'d", "plain word", ""),
        "extra": (True, False),
    }
    again = swept(folder, f"--sweep={grid.text(command.grid)}")
    assert again.grid == command.grid


def test_the_data_sets_of_an_experiment_can_be_swept(folder: Path):
    source = toys.SOURCE.replace("DATA = ()", 'DATA = ("digits", "mnist")')
    toys.write(folder, "toy", source)
    command = swept(folder, "--sweep=data=mnist,digits")
    assert [each.data for each in command.cells] == ["mnist", "digits"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shfit=1", "'shfit' cannot be swept; did you mean shift?"),
        (
            "device=cpu",
            "'device' cannot be swept; these can: shift, scale, extra, fail, seed, "
            "num_seeds",
        ),
        ("data=digits", "'data' cannot be swept; these can:"),
        ("shift=1,x", "shift=x: expected a finite number"),
        ("extra=1", "extra=1: expected true or false"),
        ("seed=-1", "seed=-1: expected a whole number in 0..4294967295"),
        ("shift=0.1,0.10", "shift has 0.10 twice"),
        ("shift=1;shift=2", "shift is given twice"),
        ("shift=", "expected a value of shift, {RULE}, at ''"),
        ("shift=1,", "expected a value of shift, {RULE}, at ''"),
        ("shift=1,,2", "expected a value of shift, {RULE}, at ',2'"),
        ("shift=1;;", "expected NAME=VALUE,... at ';'"),
        ("shift", "expected NAME=VALUE,... at 'shift'"),
        (" ", "expected NAME=VALUE,... at ' '"),
        ("fail='a,b", 'expected a value of fail, {RULE}, at "\'a,b"'),
        ("fail='a'b", "expected a value of fail, {RULE}, at \"'a'b\""),
        (
            f"seed={MANY};shift={MANY}",
            "1,600 cells; at most 1,000 can be",
        ),
    ],
)
def test_a_grid_that_cannot_be_meant_is_one_line(folder: Path, text: str, message: str):
    with pytest.raises(CommandError) as caught:
        swept(folder, f"--sweep={text}")
    assert caught.value.code == USAGE
    expected = message.replace("{RULE}", RULE)
    assert str(caught.value).startswith(f"--sweep: {expected}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sweep=shift=1", "--shift=2"], "--sweep has shift: no --shift beside"),
        (["--sweep=scale=1,11"], "toy: expected a scale in 0..10, got 11.0"),
        (["--sweep="], "flag --sweep=: expected a name"),
    ],
)
def test_what_does_not_go_with_a_sweep_is_one_line(
    folder: Path, words: list[str], message: str
):
    with pytest.raises(CommandError) as caught:
        swept(folder, *words)
    assert (caught.value.code, str(caught.value)) == (USAGE, message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sweep=shift=1"], "which experiment? --exp=toy|all"),
        (["--exp=all", "--sweep=shift=1"], "--sweep does not go with --exp=all"),
        (["--sweep=a=1", "--replay=r"], "--replay does not go with --sweep"),
        (["--sweep=a=1", "--resume=r"], "--resume=RUN_DIR does not go with --sweep"),
    ],
)
def test_a_sweep_is_of_one_experiment(folder: Path, words: list[str], message: str):
    with pytest.raises(CommandError) as caught:
        flags.parse(words, folder)
    assert (caught.value.code, str(caught.value)) == (USAGE, message)
