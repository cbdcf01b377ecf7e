"""What the notes state about pooling and robustness, all parts in one order."""

from experiments.harness.claims import Claim
from experiments.pooling_robustness.claims_of_moving import CLAIMS_OF_MOVING
from experiments.pooling_robustness.claims_of_signals import CLAIMS_OF_SIGNALS
from experiments.pooling_robustness.claims_of_tasks import CLAIMS_OF_TASKS

ORDER = (
    "most-outputs-unchanged",
    "avg-less-invariant-than-max",
    "pooling-translation",
    "pooling-scale",
    "pooling-rotation",
    "pooling-cuts-parameters",
    "pooling-widens-view",
    "pooling-is-downsampling",
    "pooling-is-convolution",
    "presence-not-location",
    "downsampling-keeps-object",
    "local-patterns-suffice",
    "pooling-statistical-efficiency",
    "anti-aliasing-helps",
    "integer-vs-subpixel",
    "pool-output-fluctuates",
)


def _place(claim: Claim) -> int:
    return ORDER.index(claim.id.partition("/")[0])


# Of one row, the arms stay in the order of the parts.
CLAIMS: tuple[Claim, ...] = tuple(
    sorted((*CLAIMS_OF_SIGNALS, *CLAIMS_OF_MOVING, *CLAIMS_OF_TASKS), key=_place)
)
