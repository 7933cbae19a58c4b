"""Populations of models: who pays for compression, whom a model serves worst, seed to seed."""

from backend.populations.modal import modal_label, taxicab
from backend.populations.pies import (
    PieSelection,
    matched_non_pies,
    pie_accuracy,
    pie_representation,
    select_pies,
)

__all__ = [
    "PieSelection",
    "matched_non_pies",
    "modal_label",
    "pie_accuracy",
    "pie_representation",
    "select_pies",
    "taxicab",
]
