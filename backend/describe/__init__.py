"""What the members of a group have in common, in words and shares."""

from backend.describe.attributes import (
    AttributeColumn,
    AttributeComparison,
    attribute_table,
    attribute_tables,
    compare_columns,
    read_columns,
)
from backend.describe.beside import words_beside
from backend.describe.bins import bin_column, bin_labels
from backend.describe.comparison import BASELINES, Comparison, compare_groups, compare_with
from backend.describe.cues import SECTIONS, TextCues, cue_tables, text_cues
from backend.describe.naming import name_groups, name_regions
from backend.describe.of_bundle import ARROW, compared_columns, own_name
from backend.describe.phrases import describe_facts, describe_group
from backend.describe.summaries import WeightedSummary, summary_table, weighted_summary
from backend.describe.tokens import token_table, tokenize, tokens_of
from backend.describe.values import (
    Holders,
    count_told_apart,
    holders_in,
    short_fractions,
    value_table,
)
from backend.describe.words import Compared, WordIndex, index_words

__all__ = [
    "ARROW",
    "BASELINES",
    "SECTIONS",
    "AttributeColumn",
    "AttributeComparison",
    "Compared",
    "Comparison",
    "Holders",
    "TextCues",
    "WeightedSummary",
    "WordIndex",
    "attribute_table",
    "attribute_tables",
    "bin_column",
    "bin_labels",
    "compare_columns",
    "compare_groups",
    "compare_with",
    "compared_columns",
    "count_told_apart",
    "cue_tables",
    "describe_facts",
    "describe_group",
    "holders_in",
    "index_words",
    "name_groups",
    "name_regions",
    "own_name",
    "read_columns",
    "short_fractions",
    "summary_table",
    "text_cues",
    "token_table",
    "tokenize",
    "tokens_of",
    "value_table",
    "weighted_summary",
    "words_beside",
]
