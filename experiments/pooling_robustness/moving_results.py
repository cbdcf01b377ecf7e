"""What moving its input costs a net, and what its pools have to do with it.

Points are percent of the test images right, logits of images [N], motions [S]:

    lost            accuracy on still images less the share of images that are right
                    both still and moved, mean over the motions of one kind
    saved           lost by the strided twin less lost by max pooling
    logit change    mean over motions of ‖logits(Tx) - logits(x)‖, over the root mean
                    square distance of logits(x) from their mean over images
    agreement       share of motions T½ at which class(f(T½x)) = class(f(Px))
    fluctuation     of the root mean square of an image behind a pool: standard
                    deviation over images by their mean, mean of both pools

Shape letters: R seeds, S motions, N images.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnn_jax.instruments import logit_change, lost_by_moving
from experiments.harness.claims import Images, Metrics, Shown
from experiments.pooling_robustness.moving import Moved
from experiments.pooling_robustness.moving_images import CIRCLES, MOTIONS
from experiments.pooling_robustness.moving_nets import ARMS, NORMALIZED

KINDS = tuple(MOTIONS)[1:]
JUDGED = {"translation": "2px", "scale": "scale", "rotation": "rotation"}

# What is judged: metric, the arm from whose loss another's is taken, kind of motion.
LOSSES = {
    **{f"saved/{name}": ("strided", "max", kind) for name, kind in JUDGED.items()},
    "max-less-subsampling": ("max", "strided", "2px"),
    "dense-max-less-none": ("dense-max", "none", "2px"),
    "saved-by-blur": ("max", "blur", "2px"),
}
# And of accuracies on still images.
ACCURACIES = {
    "blur-less-max": ("blur", "max"),
    **{
        f"normalized-less-plain/{arm}": (f"{arm}-normalized", arm) for arm in NORMALIZED
    },
}


def moving_metrics(found: Mapping[str, Any]) -> Metrics:
    """The rows about moving, of those arms that were trained.

    Args:
      found: what the functions of `measurements` returned, in one dict; other entries
        do not matter.

    Returns:
      clean-accuracy/{arm} [R], %; what LOSSES and ACCURACIES name, in points per test
      image; logit-change-ratio [R], average over max; half-pixel-agreement, % per
      image, integer-disagreements [R]; fluctuation/{arm} [R] of the arms that are also
      normalized and of these; and what is shown.
    """
    nets: dict[str, Moved] = {
        arm: found[f"moving/{arm}"] for arm in ARMS if f"moving/{arm}" in found
    }
    metrics: dict[str, Any] = {
        name: found[name]
        for name in ("twin-is-subsampling", "ink-outside", "moved-images")
        if name in found
    }
    for arm, net in nets.items():
        metrics[f"clean-accuracy/{arm}"] = 100 * net.right.mean(-1)
        if arm.removesuffix("-normalized") in NORMALIZED:
            metrics[f"fluctuation/{arm}"] = _fluctuation(net.sizes)
    shifted = {arm: net for arm, net in nets.items() if arm != "circular"}
    lost = {
        (arm, kind): lost_points(net, kind)
        for arm, net in shifted.items()
        for kind in KINDS
    }
    for name, (first, second, kind) in LOSSES.items():
        if {first, second} <= set(shifted):
            metrics[name] = Images(lost[first, kind] - lost[second, kind])
    for name, (first, second) in ACCURACIES.items():
        if {first, second} <= set(shifted):
            points = 100.0 * shifted[first].right - 100.0 * shifted[second].right
            metrics[name] = Images(points)
    if nets:
        metrics["clean-accuracies"] = Shown(
            np.stack([metrics[f"clean-accuracy/{arm}"] for arm in nets]),
            f"accuracy on still images [arm: {', '.join(nets)}; seed]",
            "%",
        )
    return {**metrics, **_changes(shifted), **_circular(nets), **_shown(shifted, lost)}


def _fluctuation(sizes: np.ndarray) -> np.ndarray:
    """Standard deviation over images by their mean, [R, pools, N] -> [R]."""
    wide = sizes.astype(np.float64)
    return (wide.std(-1) / wide.mean(-1)).mean(-1)


def lost_points(net: Moved, kind: str) -> np.ndarray:
    """Points lost by moving, per image, over the motions of a kind: [R, N]."""
    classes = net.logits.argmax(-1)
    still, others = classes[:, MOTIONS["still"]][:, 0], classes[:, MOTIONS[kind]]
    each = [
        lost_by_moving(clean, motions, net.labels)
        for clean, motions in zip(still, others, strict=True)
    ]
    return 100 * np.asarray(each, np.float64)


def _changes(nets: Mapping[str, Moved]) -> Metrics:
    """Of the logits, for shifts by one pixel: average over max, and of every arm."""
    means = {
        arm: np.asarray(
            [logit_change(own[0], own[MOTIONS["1px"]]).mean() for own in net.logits],
            np.float64,
        )
        for arm, net in nets.items()
    }
    metrics: dict[str, Any] = {}
    if {"average", "max"} <= set(means):
        metrics["logit-change-ratio"] = means["average"] / means["max"]
    if means:
        metrics["logit-changes"] = Shown(
            np.stack(list(means.values()), 1),
            "change of the logits by a shift of 1 px, in units of their spread over "
            f"images [seed; arm: {', '.join(means)}]",
        )
    return metrics


def _circular(nets: Mapping[str, Moved]) -> Metrics:
    """integer-vs-subpixel: whether the class stays, under circular shifts."""
    if "circular" not in nets:
        return {}
    classes = nets["circular"].logits.argmax(-1)
    kinds = {name: classes[:, where] for name, where in CIRCLES.items()}
    whole = kinds["whole"] != kinds["still"]
    same = 100.0 * (kinds["half"] == kinds["limited"])
    return {
        "integer-disagreements": whole.sum((1, 2)),
        "half-pixel-agreement": Images(same.mean(1)),
        "half-pixel-agreements": Shown(
            same.mean(-1),
            "agreement of the class under half a pixel [seed; down, right, both]",
            "%",
        ),
    }


def _shown(
    nets: Mapping[str, Moved], lost: Mapping[tuple[str, str], np.ndarray]
) -> Metrics:
    """Of every arm: what each kind of motion costs, and its parameters."""
    if not nets:
        return {}
    table = [[lost[arm, kind].mean(1) for kind in KINDS] for arm in nets]
    return {
        "lost-by-moving": Shown(
            np.moveaxis(np.asarray(table), -1, 0),
            f"accuracy lost by moving [seed; arm: {', '.join(nets)}; "
            f"{', '.join(KINDS)}]",
            "points",
        ),
        "parameters/moving": Shown(
            np.asarray([net.trained.num_params for net in nets.values()]),
            f"parameters [arm: {', '.join(nets)}]",
        ),
    }
