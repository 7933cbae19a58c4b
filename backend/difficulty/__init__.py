"""Which examples are hardest: large losses, varying gradients, and confidence over training."""

from backend.difficulty.gradients import GradientVariance, variance_of_gradients
from backend.difficulty.high_loss import high_loss
from backend.difficulty.tails import LongTails, long_tails

__all__ = ["GradientVariance", "LongTails", "high_loss", "long_tails", "variance_of_gradients"]
