"""What a person is looking at: filters and a selection, as values that can be kept and sent.

A filter or a step of a selection names examples by a rule, by a shape drawn on a map, or by id. A
``View`` holds them; ``Scene`` resolves it into rows of one bundle; ``encode`` makes the text that
stands in a link.
"""

from backend.views.breakdown import column_bars, confusion_table, pair_rule
from backend.views.differs import what_differs
from backend.views.links import MAX_INLINE, decode, encode
from backend.views.resolve import Looked, Scene, resolve
from backend.views.state import Drawn, Filter, Ids, Query, SelectionStep, View, ViewError

__all__ = [
    "MAX_INLINE",
    "Drawn",
    "Filter",
    "Ids",
    "Looked",
    "Query",
    "Scene",
    "SelectionStep",
    "View",
    "ViewError",
    "column_bars",
    "confusion_table",
    "decode",
    "encode",
    "pair_rule",
    "resolve",
    "what_differs",
]
