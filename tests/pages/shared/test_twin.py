"""Every chart of the application has the table behind it one click away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[3] / "pages"
NUMBERS = re.compile(r"twin\.show_twin|st\.dataframe|show_table\(|charts\.show_chart")
DRAWING = sorted(
    path for path in PAGES.rglob("*.py") if "st.plotly_chart(" in path.read_text("utf-8")
)


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: path.stem)
def test_a_file_that_draws_also_tells_the_numbers(path: Path) -> None:
    content = path.read_text("utf-8")
    assert NUMBERS.search(content), f"{path.name} draws a chart without a table behind it"


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: path.stem)
def test_every_chart_says_in_words_what_it_shows(path: Path) -> None:
    content = path.read_text("utf-8")
    assert content.count("st.plotly_chart(") <= len(re.findall(r"\balt=", content))
