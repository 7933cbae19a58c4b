"""The members that hold one word or value: a strip of them, a tag, a hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.groups import SMALL
from backend.describe import holders_in
from pages.components.gallery import gallery
from pages.components.group import ask
from pages.components.group.tagging import tag_box
from pages.components.shared import allowed, frame, keys, services, text
from pages.components.shared.choice import Choice

STRIP = 12
"""Members shown; the first in the group's own order."""


def show_holders(
    bundle: Bundle,
    choice: Choice,
    *,
    what: str,
    row: pd.Series,
    rows: NDArray[np.int64],
    rule: str | None,
    key: str,
) -> list[str]:
    """What one row of a table counts; returns the ids picked in it.

    Parameters
    ----------
    what : str
        Says what is held, in plain text: ``“refund”``.
    row : Series
        The row of the table.
    rows : int array
        All examples that hold it.
    rule : str or None
        Means those examples; None where no rule does.
    """
    group = choice.group
    held = holders_in(group.rows, rows, bundle.losses)
    mine = held.members
    with st.container(border=True, key=f"holders_{key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{text.plain(what, limit=60)}** · {text.count(len(mine))} of "
                f"{text.counted(group.n_members, 'member')} "
                f"({text.percent(held.share)}, mean loss {text.number(held.mean_loss)}) · "
                f"{text.count(held.n)} of {text.counted(bundle.n, 'example')} "
                f"({text.percent(held.share_of_all)}, mean loss "
                f"{text.number(held.mean_loss_of_all)}) · {text.times(row['ratio'])} · "
                f"adjusted p {text.p_value(row['p_adjusted'])}"
                + (f" · under {SMALL} examples: says little" if row["small"] else ""),
                width="stretch",
            )
            source = {"kind": "members with", "what": what, "from": choice.source}
            _tag_these(bundle, bundle.ids[mine].tolist(), source, key)
            ask.start_button(
                bundle,
                choice,
                sentence=f"Higher loss: {what}",
                rule=rule or "",
                key=f"hypothesis_{key}",
                help="Opens the form with a rule for all examples that hold it. The members of this "
                "group are set aside: they suggested it."
                if rule
                else "No rule means just these examples; the form opens without one.",
            )
        if not len(mine):
            st.caption("No member holds it: that weight of the group lies outside its members.")
            return []
        if len(mine) > STRIP:
            st.caption(f"The first {STRIP} in the group's order.")
        return gallery.tiles(
            bundle,
            mine[:STRIP],
            label=f"{choice.name}, {what}",
            key=f"tiles_{key}",
            weights=group.weights,
            order=mine,
            about=f"{what} {choice.about}",
        )


def _tag_these(bundle: Bundle, ids: list[str], source: dict[str, Any], key: str) -> None:
    name = f"tag_name_{key}"
    with st.popover(
        f"Tag these {text.count(len(ids))}",
        icon=":material/sell:",
        type="tertiary",
        key=f"tag_these_{key}",
        **allowed.control("tag", bundle.digest, disabled=not ids),
    ):
        tag_box(bundle.digest, name, "Type a name or choose")
        st.button(
            f"Tag {text.counted(len(ids), 'member')}",
            key=f"tag_button_{key}",
            type="primary",
            on_click=_tag,
            args=(bundle.digest, ids, source, name),
            **allowed.control("tag", bundle.digest),
        )


def _tag(digest: str, ids: list[str], source: dict[str, Any], name: str) -> None:
    # Read now, not when the button was drawn: the name may have been typed just before the click.
    tag = st.session_state.get(name)
    if not tag:
        said = ("Type a name for the tag first, then press the button again.", ":material/info:")
    else:
        try:
            services.store().tag(digest, ids, tag, author=frame.who(), source=source)
        except BackendError as error:
            said = (text.plain(error, limit=400), ":material/error:")
        else:
            said = (
                f"Tagged {text.counted(len(ids), 'example')} “{text.plain(tag)}”. Undo takes it back.",
                ":material/sell:",
            )
    st.session_state[keys.NOTICE] = said
