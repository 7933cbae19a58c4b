"""Which examples are hardest: large losses, label margins, varying gradients, confidence over training."""

from backend.difficulty.gradients import GradientVariance, variance_of_gradients
from backend.difficulty.high_loss import high_loss
from backend.difficulty.margins import label_margin
from backend.difficulty.tails import LongTails, long_tails

__all__ = [
    "GradientVariance",
    "LongTails",
    "high_loss",
    "label_margin",
    "long_tails",
    "variance_of_gradients",
]
