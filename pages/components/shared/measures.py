"""The numbers a group has on screen: one name each, and over which rows it is taken."""

from __future__ import annotations

from collections.abc import Iterable

from backend.spotlight.regions.settings import Settings

MEMBERS = "members"
MEAN = "mean loss"
MEAN_RATIO = "mean loss × base"
WEIGHTED = "weighted loss"
WEIGHTED_RATIO = "weighted × base"
TOTAL = "total weight"
EFFECTIVE = "effective size"
HELD_OUT = "held-out loss"
HELD_OUT_RATIO = "held-out × base"
REFOUND_RATIO = "refound × base"

MEANS = {
    MEMBERS: "The examples that are listed. Of a spotlight they are the round(total weight) heaviest.",
    MEAN: "Of the losses of the members, each counting once. The examples that found the group are among "
    "them, so it is high by construction.",
    MEAN_RATIO: "Mean loss of the members over the base loss, the mean loss of all examples.",
    WEIGHTED: "Mean of the losses of all examples, each counting with its weight in the group.",
    WEIGHTED_RATIO: "Weighted loss over the base loss, the mean loss of all examples.",
    TOTAL: "Sum of the weights of all examples: the size of the group in examples.",
    EFFECTIVE: "sum(k)² / sum(k²) over all examples: how far the soft weights are spread, in examples.",
    HELD_OUT: "Weighted loss on the half of the examples that did not find the region.",
    HELD_OUT_RATIO: "Weighted loss on the half of the examples that did not find the region, over the mean "
    "loss of that half. This is what the verdict rests on.",
    REFOUND_RATIO: "Each half of the examples is searched anew by the method. Of the group found there that "
    "resembles this one most: weighted loss on the other half over the mean loss of that half, mean of both "
    "halves. Empty when neither half finds it again. Losses are not capped, and it is another search than "
    "that of the list, so it is not the list's held-out number.",
}
"""Name -> over which rows it is taken."""

CAPPED = f"High losses count as the {100 * Settings.quantile:g} % quantile, in the region and in the base alike."
"""What the label-aware search does to held-out losses."""


def meanings(names: Iterable[str], *, capped: bool = False) -> str:
    """These numbers as a Markdown list, for one tooltip."""
    lines = [f"- **{name}**: {MEANS[name]}" for name in names]
    return "\n".join(lines) + (f"\n\nHeld out: {CAPPED}" if capped else "")
