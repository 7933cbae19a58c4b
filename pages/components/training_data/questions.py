"""What is asked of the training examples: about which evaluated examples, by which method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import key_of
from backend.tasks import TASKS
from backend.tasks.attribution import METHODS, Attributable, Cell, cells_of
from backend.tasks.populations import GroupingColumns
from backend.views import rows_by_tag
from pages.components.group import tagging
from pages.components.shared import keys, link, populations, services, text
from pages.components.spotlights import trust

KINDS = {
    "rows": "One group",
    "groups": "Labels and columns",
    "pseudo": "Groups of its own",
}
KINDS_HELP = (
    "One group: what helps or harms the examples of a tag, a region, a class or the worst group. "
    "Labels and columns (D3M, Jain, Hamidieh et al. 2024): all groups of label and chosen columns, those with a "
    "high loss counting most. Groups of its own (Auto-D3M): two groups in each class, made from the scores."
)
METHODS_HELP = {
    "scores": "As the bundle gives them.",
    "influence": "What leaving an example out would do through the last layer (Koh, Liang 2017).",
    "trak": "Projected gradients of the whole model (Park et al. 2023), as the bundle holds them.",
}
MOST_CELLS = 40
ONE = "example"


@dataclass(frozen=True)
class TrainingQuestion:
    """A question, with its name on screen.

    Attributes
    ----------
    options : dict
        Of the task ``attribution``.
    name : str
        What the examples are called.
    """

    options: dict[str, Any]
    name: str

    @property
    def kind(self) -> str:
        return str(self.options["question"])


def choose_question(bundle: Bundle, held: Attributable) -> TrainingQuestion | None:
    """The controls above the page; None where nothing can be asked yet."""
    columns = populations.columns_of(bundle)
    able = {
        "rows": True,
        "groups": bundle.label_codes is not None or bool(columns.usable),
        "pseudo": bundle.correct is not None,
    }
    offered = [kind for kind in KINDS if able[kind]]
    left, middle, right = st.columns([4, 5, 3], vertical_alignment="bottom", gap="medium")
    with left:
        kind = st.segmented_control(
            "Which examples are to be explained",
            offered,
            format_func=KINDS.__getitem__,
            required=True,
            help=KINDS_HELP,
            **link.bound(keys.TRAINING_QUESTION, offered),
        )
    with right:
        method = st.selectbox(
            "Scores",
            list(held.methods),
            format_func=METHODS.__getitem__,
            help=" ".join(f"{METHODS[one]}: {METHODS_HELP[one]}" for one in held.methods),
            **link.bound(keys.TRAINING_METHOD, list(held.methods)),
        )
    options: dict[str, Any] = {"question": str(kind), "method": str(method)}
    with middle:
        if kind == "groups":
            chosen = _columns(columns)
            if not chosen and bundle.label_codes is None:
                st.caption("Choose at least one column.")
                return None
            words = " and ".join(["label"] * (bundle.label_codes is not None) + chosen)
            return TrainingQuestion(options | {"columns": chosen}, f"groups of {words}")
        if kind == "pseudo":
            return TrainingQuestion(
                options | {"component": _components(bundle)}, "groups of its own"
            )
        return _one_group(bundle, columns, options)


def _columns(columns: GroupingColumns) -> list[str]:
    return populations.choose_columns(columns, key=keys.TRAINING_COLUMNS, most=2, first=1)


def _components(bundle: Bundle) -> dict[str, int]:
    """Another component for one class; the first of every other."""
    names = [cell.name for cell in cells_by(bundle.digest, (), bundle)]  # the worst first
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Class",
            names,
            help="Whose both ends are shown, and whose component is chosen beside; all others keep "
            "their first.",
            **link.bound(keys.TRAINING_CLASS, names),
        )
        component = st.number_input(
            "Component", 1, 5, 1, key=f"training_component_{name}", width=120, persist_state="session",
            help="Of the class's attributions: the first explains most of what they differ in.",
        )  # fmt: skip
    return {str(name): int(component) - 1} if component > 1 and name is not None else {}


def _one_group(
    bundle: Bundle, columns: GroupingColumns, options: dict[str, Any]
) -> TrainingQuestion | None:
    groups = offered_groups(bundle, columns)
    named = {key: name for key, (name, _) in groups.items()}
    named[ONE] = "one example, by its id"
    key = st.selectbox(
        "Group",
        list(named),
        format_func=lambda one: text.shorten(named[one], 120),
        help="The worst group by itself is that of label and first column with the highest mean loss. Regions are "
        "those of the last search.",
        **link.bound(keys.TRAINING_GROUP, list(named)),
    )
    if key == ONE:
        wanted = st.text_input("Id of the example", key=keys.TRAINING_ID, bind="query-params")
        rows = bundle.rows_of([wanted])
        if not len(rows):
            st.caption(f"There is no example {text.plain(wanted)} here." if wanted else "")
            return None
        return TrainingQuestion(options | {"rows": rows.tolist()}, f"example {wanted}")
    name, rows = groups[str(key)]
    return TrainingQuestion(options | {"rows": rows.tolist()}, name)


def offered_groups(
    bundle: Bundle, columns: GroupingColumns
) -> dict[str, tuple[str, NDArray[np.int64]]]:
    """Groups by key: their name and rows, the worst first."""
    found: dict[str, tuple[str, NDArray[np.int64]]] = {}
    cells: list[Cell] = []
    if bundle.label_codes is not None or columns.first:
        cells = cells_by(bundle.digest, tuple(columns.first[:1]), bundle)
        found["worst"] = (f"the worst group: {cells[0].name}", cells[0].rows)
    if bundle.correct is not None and not bundle.correct.all():
        found["mistakes"] = ("all mistakes", np.flatnonzero(~bundle.correct))
    if not services.known().trouble(bundle.digest):
        for tag, rows in rows_by_tag(bundle, tagging.tags_of(bundle)).items():
            found[f"tag:{tag}"] = (f"tag: {tag}", rows)
    task, search = trust.last_search(bundle)
    if task == "regions":
        key = key_of(task, bundle.digest, search | {"layer": bundle.layer}, TASKS[task].version)
        entry = services.kept(bundle.digest, key)
        for index, facts in enumerate([] if entry is None else entry.meta["regions"]):
            rows = entry["members"][index] if entry is not None else np.zeros(0, np.int64)
            found[f"region:{index + 1}"] = (f"region: {facts['name']}", np.sort(rows[rows >= 0]))
    for cell in cells[:MOST_CELLS]:
        found[f"cell:{cell.name}"] = (cell.name, cell.rows)
    if not found:
        found["all"] = ("all examples", np.arange(bundle.n))
    return found


@st.cache_resource(show_spinner=False, max_entries=32)
def cells_by(digest: str, columns: tuple[str, ...], _bundle: Bundle) -> list[Cell]:
    """Groups of label and columns, the worst first."""
    return cells_of(_bundle, list(columns))
