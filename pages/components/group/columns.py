"""The columns of a bundle in one group: which values and numbers it has more often than others."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.describe import (
    ARROW,
    AttributeColumn,
    AttributeComparison,
    compare_columns,
    compared_columns,
    count_told_apart,
    own_name,
    read_columns,
    summary_table,
    value_table,
)
from backend.describe.words import LEVEL
from backend.rules.write import joined, level_rule, value_rule
from pages.components.group import against, holders
from pages.components.group.against import Against
from pages.components.group.ask import columns_of_bundle
from pages.components.shared import link, tables, text
from pages.components.shared.choice import Choice

ORDER = "order"
ORDERS = {
    "column": "The column that differs most first",
    "ratio": "By ratio",
    "mean_loss": "Highest mean loss first",
}
ROWS = 12
"""Rows of a table that are seen without scrolling."""


def show_columns(bundle: Bundle, choice: Choice) -> list[str]:
    """Every value of every column in one table; the ids picked below its marked row."""
    with st.container(horizontal=True, vertical_alignment="center"):
        baseline = against.choose_baseline(bundle)
        order = choose_order()
        lacking = against.choose_side()
    try:
        beside = against.compare(bundle, choice, baseline)
    except BackendError as error:
        st.info(text.plain(error, limit=400))
        return []
    return show_compared(bundle, choice, beside, order, lacking)


def show_compared(
    bundle: Bundle, choice: Choice, beside: Against, order: str, lacking: bool
) -> list[str]:
    """The values and numbers of a group beside its baseline; the ids picked below a marked row."""
    found = compared(beside.key, bundle, beside, lacking)
    if not found:
        st.info("This bundle has no labels and no columns to compare.")
        return []
    told = count_told_apart(found)
    st.caption(
        f"{beside.sentence} {text.counted(found[0].looked_at, 'value')} of {text.counted(len(found), 'column')} looked at, "
        f"{text.count(told)} with an adjusted p of at most {text.level(LEVEL)}. Numbers are cut into ranges of equal count. "
        "Mark a row to see its members."
    )
    picked = show_values(bundle, choice, found, beside, order, lacking)
    numbers = {one.name: one.column.numbers for one in found if one.column.numbers is not None}
    if numbers:
        st.markdown("**Numbers**")
        table = summary_table(numbers, beside.comparison)
        tables.summary_table(table, key=f"numbers_{beside.key}", base=beside.head)
    return picked


def choose_order() -> str:
    """Values by column, by ratio, or by mean loss to check the reading."""
    return str(
        st.selectbox(
            "Order",
            list(ORDERS),
            format_func=ORDERS.__getitem__,
            help="By mean loss, over all examples with the value: does what the group shares also mean a "
            "high loss elsewhere (d'Eon et al. 2021, section 3.4)?",
            label_visibility="collapsed",
            width=290,
            **link.bound(ORDER, list(ORDERS)),
        )
    )


def show_values(
    bundle: Bundle,
    choice: Choice,
    found: Sequence[AttributeComparison],
    beside: Against,
    order: str,
    lacking: bool,
) -> list[str]:
    """One table of the values of these columns, and the members with the marked one."""
    table = value_table(found, order=order, lacking=lacking)
    name = found[0].name if len(found) == 1 else "all"
    row = tables.ratio_table(
        table if len(found) > 1 else table.drop(columns="column"),
        "value",
        key=f"values_{name}_{order}_{lacking}_{beside.key}",
        base=beside.head,
        rows=ROWS,
    )
    if row is None:
        return []
    marked = table.iloc[row]
    return show_row(bundle, choice, found[int(marked["at"])], int(marked["place"]), beside)


def show_row(
    bundle: Bundle,
    choice: Choice,
    one: AttributeComparison,
    row: int,
    beside: Against,
) -> list[str]:
    """The members with one value of one column."""
    code = int(one.codes[row])
    return holders.show_holders(
        bundle,
        choice,
        what=f"{one.name}: {text.cell(str(one.column.levels[code]))}",
        row=one.table.iloc[row],
        rows=one.column.presence.holders(code),
        rule=rule_of(bundle, one.column, code),
        key=f"{beside.key}_{one.name}",
    )


@st.cache_resource(show_spinner=False, max_entries=32)
def compared(
    key: str, _bundle: Bundle, _against: Against, lacking: bool
) -> Sequence[AttributeComparison]:
    """Every column compared, the one that differs most first."""
    return compare_columns(
        coded(_bundle.digest, _bundle), _against.comparison, _bundle.losses, lacking=lacking
    )


@st.cache_resource(show_spinner=False, max_entries=4)
def coded(digest: str, _bundle: Bundle) -> list[AttributeColumn]:
    """The columns of a bundle as categories, read once."""
    return read_columns(compared_columns(_bundle))


def rule_of(bundle: Bundle, column: AttributeColumn, code: int) -> str | None:
    """The rule for one value of one column; None where no rule means just its examples."""
    for field in ("label", "prediction"):
        if column.name == own_name(bundle, field) and bundle.class_names is not None:
            return level_rule(field, column, code)
    labels, predictions = bundle.label_names, bundle.prediction_names
    if column.name == own_name(bundle, ARROW) and labels is not None and predictions is not None:
        if column.pooled and column.levels[code] == "other":
            return None
        row = int(column.presence.holders(code)[0])
        return joined(
            [value_rule("label", labels[row]), value_rule("prediction", predictions[row])]
        )
    return level_rule(attribute_name(bundle, column.name), column, code)


def attribute_name(bundle: Bundle, name: str) -> str:
    """What rules call a column of the user's."""
    free = f"{name} (attribute)"
    return free if free in columns_of_bundle(bundle.digest, bundle) else name
