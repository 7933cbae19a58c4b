"""One line says what the comparison of methods comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pages.components.spotlights import agreement

TITLES = {"regions": "Regions", "domino": "Domino", "george": "GEORGE", "highest_loss": "Highest"}


def concluded(*groups: tuple[str, Any, float], folded: dict[int, int] | None = None) -> str:
    """Groups as method, rows and p."""
    table = pd.DataFrame(
        {
            "method": [method for method, _, _ in groups],
            "group": [f"group <b>{at}</b>" for at in range(len(groups))],
            "p": [p for _, _, p in groups],
            "mean_loss": np.arange(len(groups), dtype=float),
            "folded_into": pd.array([(folded or {}).get(at) for at in range(len(groups))], "Int64"),
        }
    )
    said = agreement.conclude(
        table,
        [np.asarray(rows) for _, rows, _ in groups],
        [TITLES[method] for method, _, _ in groups],
        regions=[np.asarray(rows) for method, rows, _ in groups if method == "regions"],
        ours="regions",
        by_loss=["highest_loss"],
    )
    return said.replace("\\", "")


def test_regions_others_found_too_are_counted() -> None:
    said = concluded(
        ("regions", range(20), 0.01),
        ("regions", range(30, 50), 0.01),
        ("domino", range(10, 25), 0.01),
        ("george", range(4, 14), 0.5),
    )
    assert said.startswith(
        "**1 of 2 regions also found by another method**: 1 by Domino and GEORGE;"
    )
    assert "2 by none" in said
    assert said.endswith("No tested group of another method lies outside the regions.")


def test_groups_defined_by_the_loss_and_much_larger_ones_find_nothing() -> None:
    said = concluded(
        ("regions", range(10), 0.01),
        ("highest_loss", range(10), float("nan")),
        ("domino", range(200), 0.5),
    )
    assert said.startswith("**0 of 1 region also found by another method**.")


def test_tested_groups_outside_the_regions_are_named_highest_loss_first() -> None:
    said = concluded(
        ("regions", range(10), 0.01),
        ("domino", range(100, 120), 0.04),
        ("george", range(9, 30), 0.01),
        ("george", range(200, 220), 0.2),
        ("domino", range(100, 104), 0.01),
        folded={4: 1},
    )
    assert said.endswith(
        "Not contained by any region: #3 GEORGE, “group <b>2</b>”; #2 Domino, “group <b>1</b>”."
    )


def test_nothing_is_said_where_nothing_can_be_compared() -> None:
    assert concluded(("domino", range(5), 0.01)) == ""
    assert concluded(("regions", range(5), 0.01)) == ""
