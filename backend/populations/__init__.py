"""Populations of models: who pays for compression, whom a model serves worst, seed to seed."""

from backend.populations.audit import audit, audit_gaps, target_audit
from backend.populations.class_change import class_change
from backend.populations.disaggregate import disaggregate
from backend.populations.modal import modal_label, taxicab
from backend.populations.overlap import disagreement, failure_iou, shared_failures
from backend.populations.pies import (
    PieSelection,
    matched_non_pies,
    pie_accuracy,
    pie_representation,
    select_pies,
)
from backend.populations.stress import (
    DeviationPca,
    StressReport,
    deviation_pca,
    fisher_interval,
    sampling_sd,
    stress_report,
)

__all__ = [
    "DeviationPca",
    "PieSelection",
    "StressReport",
    "audit",
    "audit_gaps",
    "class_change",
    "deviation_pca",
    "disaggregate",
    "disagreement",
    "failure_iou",
    "fisher_interval",
    "matched_non_pies",
    "modal_label",
    "pie_accuracy",
    "pie_representation",
    "sampling_sd",
    "select_pies",
    "shared_failures",
    "stress_report",
    "target_audit",
    "taxicab",
]
