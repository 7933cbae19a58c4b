"""Which examples are hardest: large losses, label margins, varying gradients, confidence over training."""

from backend.difficulty.gradients import (
    GradientVariance,
    normalize_within,
    stage_windows,
    variance_of_gradients,
)
from backend.difficulty.high_loss import high_loss
from backend.difficulty.margins import label_margin
from backend.difficulty.ranked import accuracy_without_hardest, class_extremes, error_by_decile
from backend.difficulty.tails import LongTails, long_tails

__all__ = [
    "GradientVariance",
    "LongTails",
    "accuracy_without_hardest",
    "class_extremes",
    "error_by_decile",
    "high_loss",
    "label_margin",
    "long_tails",
    "normalize_within",
    "stage_windows",
    "variance_of_gradients",
]
