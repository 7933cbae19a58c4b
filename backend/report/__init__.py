"""Composes what was found into something that can be said: hypotheses, blind checks, the report."""

from backend.report.blind import (
    BlindCheck,
    BlindSummary,
    answer_blind_check,
    blind_summary,
    make_blind_check,
)
from backend.report.contents import Chapter, ReportContents, gather
from backend.report.html import render_report
from backend.report.hypothesis import (
    delete_hypothesis,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
)
from backend.report.markdown import model_card_section
from backend.report.origin import Origins, chosen_by_rate
from backend.report.suggest import Suggestion, set_aside, suggest_hypothesis
from backend.report.verdict import Verdict, plan_hypothesis, test_hypothesis
from backend.rules import Rule, RuleError, columns_of, complete, evaluate, parse, to_text

__all__ = [
    "BlindCheck",
    "BlindSummary",
    "Chapter",
    "Origins",
    "ReportContents",
    "Rule",
    "RuleError",
    "Suggestion",
    "Verdict",
    "answer_blind_check",
    "blind_summary",
    "chosen_by_rate",
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
    "plan_hypothesis",
    "render_report",
    "set_aside",
    "suggest_hypothesis",
    "test_hypothesis",
    "to_text",
]
