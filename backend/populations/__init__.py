"""Populations of models: who pays for compression, whom a model serves worst, seed to seed."""

from backend.populations.answers import answer, cie_mask, most_divergent
from backend.populations.audit import (
    audit,
    audit_gaps,
    group_losses,
    group_rows,
    rate_intervals,
    target_audit,
)
from backend.populations.class_change import class_change
from backend.populations.compare import BaselineComparison, compare_populations
from backend.populations.disaggregate import disaggregate
from backend.populations.ensemble import (
    CompressionLevel,
    Ensemble,
    compression_levels,
    make_ensemble,
)
from backend.populations.evaluation import OWN, Answer, Evaluation
from backend.populations.modal import modal_label, taxicab
from backend.populations.overlap import (
    SharedCounts,
    count_shared,
    disagreement,
    failed_rows,
    failure_iou,
    family_overlap,
)
from backend.populations.pair import ExampleVotes, PairCounts, PopulationPair, make_pair
from backend.populations.payers import (
    ChangedClasses,
    Payer,
    accuracy_change,
    changed_classes,
    who_pays,
)
from backend.populations.pies import (
    PieSelection,
    matched_non_pies,
    pie_accuracy,
    pie_representation,
    select_pies,
    surest_first,
)
from backend.populations.rates.pairs import counterfactual_pairs
from backend.populations.rates.shades import shades_table
from backend.populations.rates.split import split_votes
from backend.populations.rates.thresholds import rates_at, score_quality, threshold_curves
from backend.populations.rates.worst import GroupAccuracies, group_accuracies
from backend.populations.review import review_order, review_summary
from backend.populations.stress.external import external_correlation, paired_difference
from backend.populations.stress.loadings import (
    LoadingTrend,
    is_measured,
    loading_means,
    loading_trend,
    scored_models,
    strongest_rows,
)
from backend.populations.stress.report import (
    DeviationPca,
    StressReport,
    deviation_pca,
    fisher_interval,
    sampling_sd,
    stress_report,
)
from backend.populations.stress.table import (
    StressColumns,
    StressTable,
    group_tests,
    read_stress_table,
    stress_columns,
    table_robustness,
)

__all__ = [
    "OWN",
    "Answer",
    "BaselineComparison",
    "ChangedClasses",
    "CompressionLevel",
    "DeviationPca",
    "Ensemble",
    "Evaluation",
    "ExampleVotes",
    "GroupAccuracies",
    "LoadingTrend",
    "PairCounts",
    "Payer",
    "PieSelection",
    "PopulationPair",
    "SharedCounts",
    "StressColumns",
    "StressReport",
    "StressTable",
    "accuracy_change",
    "answer",
    "audit",
    "audit_gaps",
    "changed_classes",
    "cie_mask",
    "class_change",
    "compare_populations",
    "compression_levels",
    "count_shared",
    "counterfactual_pairs",
    "deviation_pca",
    "disaggregate",
    "disagreement",
    "external_correlation",
    "failed_rows",
    "failure_iou",
    "family_overlap",
    "fisher_interval",
    "group_accuracies",
    "group_losses",
    "group_rows",
    "group_tests",
    "is_measured",
    "loading_means",
    "loading_trend",
    "make_ensemble",
    "make_pair",
    "matched_non_pies",
    "modal_label",
    "most_divergent",
    "paired_difference",
    "pie_accuracy",
    "pie_representation",
    "rate_intervals",
    "rates_at",
    "read_stress_table",
    "review_order",
    "review_summary",
    "sampling_sd",
    "score_quality",
    "scored_models",
    "select_pies",
    "shades_table",
    "split_votes",
    "stress_columns",
    "stress_report",
    "strongest_rows",
    "surest_first",
    "table_robustness",
    "target_audit",
    "taxicab",
    "threshold_curves",
    "who_pays",
]
