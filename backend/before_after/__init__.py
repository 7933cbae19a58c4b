"""Two runs on the same examples: what changed in each group, and whether that can be told from chance."""

from backend.before_after.paired import PairedChange, paired_change
from backend.before_after.seeds import changes_of_seeds, common_direction, usual_direction
from backend.before_after.verdicts import (
    AFTER,
    ANY_RETRAIN,
    BEFORE,
    BETTER,
    CHOSEN,
    FOUND_HERE,
    LIKE_CONTROL,
    MEANS,
    NOT_TOLD,
    WORSE,
    change_verdicts,
)

__all__ = [
    "AFTER",
    "ANY_RETRAIN",
    "BEFORE",
    "BETTER",
    "CHOSEN",
    "FOUND_HERE",
    "LIKE_CONTROL",
    "MEANS",
    "NOT_TOLD",
    "WORSE",
    "PairedChange",
    "change_verdicts",
    "changes_of_seeds",
    "common_direction",
    "paired_change",
    "usual_direction",
]
