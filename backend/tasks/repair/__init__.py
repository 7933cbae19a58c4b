"""Repairs as tasks: what counting a group more would buy, and the bundle of a repaired head."""

from backend.tasks.repair.keep import REPAIRED, run_repaired
from backend.tasks.repair.measure import TASK, repair_options, run_repair
from backend.tasks.repair.needs import (
    MOST_ROWS,
    class_codes,
    has_training_part,
    records,
    repair_needs,
    worst_label,
)
from backend.tasks.repair.origin import (
    HOW,
    MADE,
    REFITTED,
    VARIATIONS,
    debug_bundles,
    origin_of,
)
from backend.tasks.repair.told import changed_rows, gain_words, repair_frames, strength_lines

__all__ = [
    "HOW",
    "MADE",
    "MOST_ROWS",
    "REFITTED",
    "REPAIRED",
    "TASK",
    "VARIATIONS",
    "changed_rows",
    "class_codes",
    "debug_bundles",
    "gain_words",
    "has_training_part",
    "origin_of",
    "records",
    "repair_frames",
    "repair_needs",
    "repair_options",
    "run_repair",
    "run_repaired",
    "strength_lines",
    "worst_label",
]
