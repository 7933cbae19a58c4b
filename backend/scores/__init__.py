"""Numbers that say how hard each example of a bundle is: what it can give, and what it lacks."""

from backend.scores.names import Score, behind_score, known_scores, missing_scores
from backend.scores.values import hardest_rows, is_slow, keep_values, pie_columns, score_values
from backend.scores.worth import ScoreWorth, score_worth

__all__ = [
    "Score",
    "ScoreWorth",
    "behind_score",
    "hardest_rows",
    "is_slow",
    "keep_values",
    "known_scores",
    "missing_scores",
    "pie_columns",
    "score_values",
    "score_worth",
]
