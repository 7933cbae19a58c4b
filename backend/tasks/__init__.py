"""What a worker can run: a table of tasks, and the functions behind it.

Every function takes ``(bundle, options, progress, part)`` and returns ``(arrays, meta)``. Tasks that
read embeddings have an option ``layer``: whose embeddings, "" for the bundle's own. Each stands in a
module of its own with its row of the table and the check of its options; topics are imported inside
the functions: pages read this table, and must not load torch for it.
"""

from backend.tasks.assess import run_assess
from backend.tasks.imports import file_stamp, run_import
from backend.tasks.methods import run_methods
from backend.tasks.populations import (
    TRUE_CLASS,
    GroupingColumns,
    answer_of,
    category_column,
    evaluation_of,
    grouping_columns,
    run_populations,
)
from backend.tasks.projection import run_projection
from backend.tasks.regions import run_regions
from backend.tasks.spotlights import region_numbers, run_spotlights
from backend.tasks.table import PRELOAD, TASKS, complete_options, default_options
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

__all__ = [
    "PRELOAD",
    "TASKS",
    "TRUE_CLASS",
    "Arrays",
    "GroupingColumns",
    "Meta",
    "Options",
    "Task",
    "WritePart",
    "answer_of",
    "category_column",
    "complete_options",
    "default_options",
    "evaluation_of",
    "file_stamp",
    "grouping_columns",
    "region_numbers",
    "run_assess",
    "run_import",
    "run_methods",
    "run_populations",
    "run_projection",
    "run_regions",
    "run_spotlights",
]
