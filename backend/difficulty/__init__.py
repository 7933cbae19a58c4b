"""Which examples are hardest: large losses, and gradients that vary while the model learns."""

from backend.difficulty.gradients import GradientVariance, variance_of_gradients
from backend.difficulty.high_loss import high_loss

__all__ = ["GradientVariance", "high_loss", "variance_of_gradients"]
