"""What a person is looking at: filters and a selection, as values that can be kept and sent.

A filter or a step of a selection names examples by a rule, by a shape drawn on a map, or by id. A
``View`` holds them; ``Scene`` resolves it into rows of one bundle; ``encode`` makes the text that
stands in a link.
"""

from backend.views.breakdown import brushed_range, column_bars, confusion_table, pair_rule
from backend.views.cards import card_cells, card_columns, is_tabular, shown_columns
from backend.views.differs import what_differs
from backend.views.example import ClassChance, likely_classes, share_below
from backend.views.links import MAX_INLINE, decode, encode
from backend.views.members import MARGIN, member_table, rows_by_tag
from backend.views.pair import pair_effects, pair_table
from backend.views.ratings import first_columns, rating_columns
from backend.views.resolve import Looked, Scene, resolve
from backend.views.state import Drawn, Filter, Ids, Query, SelectionStep, View, ViewError

__all__ = [
    "MARGIN",
    "MAX_INLINE",
    "ClassChance",
    "Drawn",
    "Filter",
    "Ids",
    "Looked",
    "Query",
    "Scene",
    "SelectionStep",
    "View",
    "ViewError",
    "brushed_range",
    "card_cells",
    "card_columns",
    "column_bars",
    "confusion_table",
    "decode",
    "encode",
    "first_columns",
    "is_tabular",
    "likely_classes",
    "member_table",
    "pair_effects",
    "pair_rule",
    "pair_table",
    "rating_columns",
    "resolve",
    "rows_by_tag",
    "share_below",
    "shown_columns",
    "what_differs",
]
