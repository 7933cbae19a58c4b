"""Composes what was found into something that can be said: hypotheses, blind checks, the report."""

from backend.report.blind import (
    BlindCheck,
    BlindSummary,
    answer_blind_check,
    blind_summary,
    make_blind_check,
)
from backend.report.contents import ReportContents, gather
from backend.report.html import render_report
from backend.report.hypothesis import (
    delete_hypothesis,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
)
from backend.report.markdown import model_card_section
from backend.report.verdict import Verdict, test_hypothesis
from backend.rules import Rule, RuleError, columns_of, complete, evaluate, parse, to_text

__all__ = [
    "BlindCheck",
    "BlindSummary",
    "ReportContents",
    "Rule",
    "RuleError",
    "Verdict",
    "answer_blind_check",
    "blind_summary",
    "columns_of",
    "complete",
    "delete_hypothesis",
    "evaluate",
    "gather",
    "hypotheses",
    "hypotheses_csv",
    "hypotheses_json",
    "keep_hypothesis",
    "make_blind_check",
    "model_card_section",
    "parse",
    "render_report",
    "test_hypothesis",
    "to_text",
]
