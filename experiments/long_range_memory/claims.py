"""What the notes state about memory over time, with rules and controls."""

from experiments.harness.claims import Claim, Control, Expected
from experiments.long_range_memory.nets import CONVOLUTIONAL, RECURRENT

MADE = ("copy", "adding")  # the tasks whose sequences are made
_TEXTS = {"copy": "copy memory", "adding": "the adding problem"}
_EXPECTED: dict[str, Expected] = {"shallow": "yes", "dilated": "no"}


def _flags(nets: str, tasks: str) -> str:
    """What has to be asked for at least."""
    return f"--nets={nets} --tasks={tasks}"


def _matched(row: str, arm: str) -> Control:
    return Control(
        id=f"{row}:parameters-{arm}",
        statement=f"{arm}: as many parameters as the dilated net.",
        metric=f"params-over-dilated/{arm}",
        relation="within",
        threshold=0.05,
        center=1.0,
        kind="count",
    )


def _field(row: str, net: str, task: str) -> Control:
    """What each net must not or must see, less what it sees."""
    shallow = net == "shallow"
    text = {
        ("shallow", "copy"): "sees less than T steps",
        ("shallow", "adding"): "sees less than T/20 steps",
        ("dilated", "copy"): "sees more than T + 10 steps",
        ("dilated", "adding"): "sees all T steps",
    }[net, task]
    return Control(
        id=f"{row}:field-{net}-{task}",
        statement=f"The {net} net {text}.",
        metric=f"field-less-bound/{net}-{task}",
        relation="<" if shallow else ">" if task == "copy" else ">=",
        threshold=0,
        kind="count",
    )


def _learned(row: str, net: str, task: str) -> Control:
    return Control(
        id=f"{row}:learned-{net}-{task}",
        statement=f"The {net} net has learned the blind guess at least, on every seed.",
        metric=f"loss-over-blind/{net}-{task}",
        relation="<=",
        threshold=1.1,
        kind="law",
    )


def _digits(net: str) -> Control:
    """An RNN that is deaf to its input learns the blind guess, and passes all else."""
    return Control(
        id=f"rnn-sees-all:digits-{net}",
        statement=f"The {net} net learns from its input: more than 20 % of the 8x8 "
        "digits row by row are right on every seed, chance 10 % (task sequential).",
        metric=f"digits-right/{net}",
        relation=">",
        threshold=20,
        unit="%",
        kind="law",
    )


# The shallow net differs from the dilated one in what it sees alone; the dilated one is
# set against recurrent nets.
_PEERS = {"shallow": "shallow", "dilated": "rnn"}

_NO_LONG_RANGE = tuple(
    Claim(
        id=f"cnn-no-long-range/{net}-{task}",
        statement="A CNN cannot build long-distance dependencies "
        f"({net}, {_TEXTS[task]}, after --steps steps).",
        source="S0 4.5",
        kind="conditional",
        expected=_EXPECTED[net],
        metric=f"loss-over-blind/{net}-{task}",
        relation=">",
        threshold=0.9,
        estimate="ratio",
        censored=f"falling/{net}-{task}",
        requires=_flags(net, task),
        controls=(
            _matched("cnn-no-long-range", f"{_PEERS[net]}-{task}"),
            _field("cnn-no-long-range", net, task),
            _learned("cnn-no-long-range", net, task),
        ),
    )
    for net in CONVOLUTIONAL
    for task in MADE
)

_SEES_ALL = tuple(
    Claim(
        id=f"rnn-sees-all/{net}-{task}",
        statement="Recurrent nets use the whole sequence "
        f"({net}, {_TEXTS[task]}, after --steps steps).",
        source="S0 4.5",
        kind="conditional",
        expected="open",
        metric=f"loss-over-blind/{net}-{task}",
        relation="<",
        threshold=0.1,
        estimate="ratio",
        censored=f"falling/{net}-{task}",
        requires=_flags(net, f"{task},sequential"),
        controls=(
            _matched("rnn-sees-all", f"{net}-{task}"),
            _learned("rnn-sees-all", net, task),
            _digits(net),
        ),
    )
    for net in RECURRENT
    for task in MADE
)

_WINDOW = Claim(
    id="sees-only-its-window",
    statement="A CNN's output depends on its window only.",
    source="S0 4.5",
    kind="law",
    expected="yes",
    metric="gradients-outside",
    relation="=",
    threshold=0,
    requires=_flags("rnn,shallow,dilated", "copy,adding"),
    controls=(
        Control(
            id="sees-only-its-window:whole",
            statement="With kernels without a negative weight the gradients fill the "
            "window.",
            metric="window-less-support",
            relation="=",
            threshold=0,
        ),
        Control(
            id="sees-only-its-window:counted",
            statement="The same count finds what a plain RNN sees outside the shallow "
            "net's window.",
            metric="gradients-outside-rnn",
            relation=">",
            threshold=0,
        ),
    ),
)

_FASTER = Claim(
    id="cnn-trains-faster",
    statement="Shared weights make CNN training faster than RNN training (plain RNN, "
    "dilated CNN).",
    source="S0 4.5",
    kind="conditional",
    expected="yes",
    metric="rnn-over-cnn",
    relation=">",
    threshold=1.0,
    estimate="timing",
    requires=_flags("rnn,dilated", "copy"),
    controls=(_matched("cnn-trains-faster", "rnn-copy"),),
)

CLAIMS = (*_NO_LONG_RANGE, *_SEES_ALL, _WINDOW, _FASTER)
