"""Shares in tables: as text with one decimal, over cells that stay numbers."""

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from pages.components.shared import charts, tables, text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0321, "3.2\u00a0%"),
        (0.8267, "82.7\u00a0%"),
        (1.0, "100.0\u00a0%"),
        (0.0, "0.0\u00a0%"),
        (0.0004, "0.04\u00a0%"),
        (-0.034, "-3.4\u00a0%"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_a_share_has_one_decimal_and_a_small_one_is_no_zero(value: float, words: str) -> None:
    assert text.share(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-0.11, "\N{MINUS SIGN}11.0 points"),
        (0.034, "+3.4 points"),
        (-1e-9, "+0.0 points"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_a_difference_of_shares_is_in_points(value: float, words: str) -> None:
    assert text.points(value) == words
    assert text.points_apart(value) == words.lstrip("+\N{MINUS SIGN}")


@pytest.mark.parametrize(("rows", "styled"), [(3, True), (tables.STYLED, False)])
def test_shares_are_written_and_stay_numbers_where_that_takes_no_time(
    rows: int, styled: bool
) -> None:
    frame = pd.DataFrame(
        {"error": np.full(rows, 0.1234), "bar": 0.5, "n": 7, "change": -0.0567, "gap": 0.102}
    )
    settings = {
        "error": st.column_config.NumberColumn(format="percent", help="of all"),
        "bar": st.column_config.ProgressColumn(format="percent"),
        "n": st.column_config.NumberColumn(format="localized"),
        **charts.points_columns("change"),
        "gap": st.column_config.NumberColumn(format=tables.APART),
        "elsewhere": st.column_config.NumberColumn(format="percent"),
    }
    shown, told = tables.written(frame, settings)
    left = {name: one["type_config"]["format"] for name, one in told.items()}
    assert left == {
        "error": None if styled else "percent",
        "bar": "percent",
        "n": "localized",
        "change": None if styled else "%+.3f",
        "gap": None if styled else "%.3f",
        "elsewhere": "percent",
    }
    assert told["error"]["help"] == "of all"
    assert isinstance(shown, pd.DataFrame) != styled
    if styled:
        assert shown.data["error"].tolist() == [0.1234] * rows
        assert "\N{MINUS SIGN}5.7 points" in shown.to_string()
        assert " 10.2 points" in shown.to_string()
        assert "12.3\u00a0%" in shown.to_string() and "50.0\u00a0%" not in shown.to_string()
