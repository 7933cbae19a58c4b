"""What the members of a group have in common, in words and shares."""

from backend.describe.attributes import (
    AttributeComparison,
    WeightedSummary,
    attribute_table,
    attribute_tables,
    weighted_summary,
)
from backend.describe.bins import bin_column, bin_labels
from backend.describe.phrases import describe_facts, describe_group
from backend.describe.tokens import token_table, tokenize

__all__ = [
    "AttributeComparison",
    "WeightedSummary",
    "attribute_table",
    "attribute_tables",
    "bin_column",
    "bin_labels",
    "describe_facts",
    "describe_group",
    "token_table",
    "tokenize",
    "weighted_summary",
]
