"""Composes what was found into something that can be said: hypotheses, blind checks, the report."""

from backend.report.blind import (
    BlindCheck,
    BlindSummary,
    answer_blind_check,
    blind_summary,
    make_blind_check,
)
from backend.report.hypothesis import (
    delete_hypothesis,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
    reword_hypothesis,
)
from backend.report.rules import Rule, RuleError, columns_of, complete, evaluate, parse, to_text
from backend.report.verdict import Verdict, test_hypothesis

__all__ = [
    "BlindCheck",
    "BlindSummary",
    "Rule",
    "RuleError",
    "Verdict",
    "answer_blind_check",
    "blind_summary",
    "columns_of",
    "complete",
    "delete_hypothesis",
    "evaluate",
    "hypotheses",
    "hypotheses_csv",
    "hypotheses_json",
    "keep_hypothesis",
    "make_blind_check",
    "parse",
    "reword_hypothesis",
    "test_hypothesis",
    "to_text",
]
