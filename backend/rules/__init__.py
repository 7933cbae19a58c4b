"""Rules: which examples a person means, in a small language without loops or calls.

    label = Shirt and loss > 1.2
    `skin tone` in ("dark", "medium") and not tagged "blurred"
    text contains "refund" or near "test-17", "test-20" top 50
    width between 0.2 and 0.4 and label != prediction
    near "test-17" top 50 within (label = Shirt)

``not`` binds before ``and``, ``and`` before ``or``; parentheses group. Keywords may be written in
any case. Names with blanks or other signs stand in backticks, text in quotation marks (doubled
inside: ``"a ""b"" c"``); a single plain word needs none.
"""

from backend.rules.columns import Column, attribute_name, columns_of, read_column
from backend.rules.complete import complete, with_suggestion
from backend.rules.evaluate import evaluate
from backend.rules.examples import example_rules
from backend.rules.here import left_to_worker
from backend.rules.kept import Budget
from backend.rules.parser import parse
from backend.rules.pieces import keep_pieces
from backend.rules.syntax import Rule, RuleError, for_the_eye, to_text
from backend.rules.values import KnownValues, RuleProblem, nearest_names, problem_of

__all__ = [
    "Budget",
    "Column",
    "KnownValues",
    "Rule",
    "RuleError",
    "RuleProblem",
    "attribute_name",
    "columns_of",
    "complete",
    "evaluate",
    "example_rules",
    "for_the_eye",
    "keep_pieces",
    "left_to_worker",
    "nearest_names",
    "parse",
    "problem_of",
    "read_column",
    "to_text",
    "with_suggestion",
]
