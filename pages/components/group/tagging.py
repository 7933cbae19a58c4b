"""Setting tags, taking them back, and taking them away as a file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.core.errors import BackendError
from backend.core.found import SAMPLED
from backend.export import export_flagged, export_training, group_csv
from backend.store import Store
from pages.components.gallery import gallery, keyboard
from pages.components.group import history
from pages.components.shared import allowed, frame, keys, notice, services, text
from pages.components.shared.choice import Choice

FOLLOW_S = 3.0
REST_S = 1.5
FIRST = 20
"""Members that are offered to be tagged from the top, until somebody says how many."""


def show_bar(
    bundle: Bundle,
    choice: Choice,
    picked: list[str],
    *,
    end: DeltaGenerator | None = None,
    ordered: bool = False,
) -> None:
    """Tag what is picked, or the whole group; a region of a sample is not one to keep.

    ``end`` is where undo, history and the file go; behind the buttons by default. Where the group
    stands in the page's own gallery, ``ordered``, its first members can be tagged alone.
    """
    ids = [] if choice.sampled else bundle.ids[choice.group.rows].tolist()
    words = f"group {choice.number}" if choice.number else choice.name
    targets = [(words, ids, choice.source)]
    if picked:
        targets.insert(0, ("picked", picked, {"kind": "picked", "from": choice.source}))
    tag_bar(bundle, targets, end=end, first_of=choice if ordered and not choice.sampled else None)


def rename_form(bundle: Bundle, choice: Choice) -> None:
    """Give a region a name of one's own; an empty one brings back the description. Undo works."""
    told = allowed.control("rename_region", bundle.digest)
    with (
        st.popover(f"Rename {choice.number}", icon=":material/edit:", type="tertiary", **told),
        st.form("rename", border=False),
    ):
        st.text_input("Name", value=choice.name, max_chars=80, key=f"name_{choice.key}")
        st.form_submit_button("Rename", on_click=_rename, args=(bundle.digest, choice), **told)


def _rename(digest: str, choice: Choice) -> None:
    name = str(st.session_state.get(f"name_{choice.key}") or "")
    try:
        services.store().rename_region(digest, choice.source["key"], name, author=frame.who())
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/error:")


def tag_bar(
    bundle: Bundle | Training,
    targets: Sequence[tuple[str, list[str], dict[str, Any]]],
    *,
    end: DeltaGenerator | None = None,
    first_of: Choice | None = None,
) -> None:
    """Name a tag and put it on one of the targets: (words for the button, ids, where they come from).

    ``first_of`` is a group of which the first members can be tagged alone. Training examples are tagged
    in a log of their own.
    """
    counts = services.known().tag_counts(bundle.digest)
    with st.container(
        key="tag_bar",
        horizontal=True,
        vertical_alignment="center",
        gap="small",
        horizontal_alignment="right",
    ):
        name = tag_box(
            bundle.digest, keys.TAG_NAME, "Tag: type a name or choose", width=230, labelled=False
        )
        for place, (words, ids, source) in enumerate(targets):
            st.button(
                " · ".join([f"Tag {text.plain(words)}", *([text.count(len(ids))] if ids else [])]),
                key=f"tag_{place}",
                icon=":material/sell:",
                type="primary" if place == 0 else "secondary",
                on_click=_tag,
                args=(bundle.digest, ids, source),
                **allowed.control(
                    "tag", bundle.digest, disabled=not ids, help=_why_not(ids, source, name)
                ),
            )
        if isinstance(bundle, Bundle) and first_of is not None and first_of.group.n_members > 1:
            _offer_first(bundle, first_of)
        if end is None:
            _show_end(bundle, counts)
    if end is not None:
        with end:
            _show_end(bundle, counts)
    show_notice()


def tag_box(
    digest: str,
    key: str,
    placeholder: str,
    *,
    width: int | Literal["stretch"] = "stretch",
    labelled: bool = True,
) -> str | None:
    """The name it holds; tags of the bundle are offered, and a new one can be typed.

    The name it holds stands first. A browser closes the list under somebody's hands when what is
    chosen moves in it, and a tag that somebody sets meanwhile would move it in the alphabet.
    """
    names = services.known().tag_counts(digest)
    held = str(st.session_state.get(key) or "")
    return st.selectbox(
        "Tag",
        [held, *(name for name in names if name != held)] if held else list(names),
        index=None,
        key=key,
        accept_new_options=True,
        placeholder=placeholder,
        label_visibility="visible" if labelled else "collapsed",
        width=width,
    )


def _offer_first(bundle: Bundle, choice: Choice) -> None:
    """Tag as many of a group as one says, from the top of the gallery's order."""
    most, key = choice.group.n_members, f"first_{choice.key}"
    if int(st.session_state.get(key) or 1) > most:
        del st.session_state[key]
    with st.popover(
        "Tag first …",
        icon=":material/format_list_numbered:",
        type="tertiary",
        **allowed.control(
            "tag",
            bundle.digest,
            help="Tag only the first members, in the order of the gallery.",
        ),
    ):
        number = st.number_input("How many", 1, most, min(FIRST, most), key=key)
        st.button(
            f"Tag the first {text.count(number)}",
            key="tag_first",
            icon=":material/sell:",
            on_click=_tag_first,
            args=(bundle, choice, number),
            **allowed.control("tag", bundle.digest),
        )
        st.caption(f"Members in the order “{text.plain(gallery.order_of())}” of the gallery.")


def _tag_first(bundle: Bundle, choice: Choice, number: int) -> None:
    by = gallery.order_of()
    rows = gallery.ordered(bundle, choice.group, by)[:number]
    if by == gallery.GROUP_ORDER and not choice.found:
        by = "Loss, high first"  # what no search found begins with the highest losses
    source = {"kind": "picked", "from": choice.source, "first": number, "order": by}
    _tag(bundle.digest, bundle.ids[rows].tolist(), source)


def _show_end(bundle: Bundle | Training, counts: Mapping[str, int]) -> None:
    history_buttons(bundle)
    if not counts:
        return
    if isinstance(bundle, Bundle):
        download_button(bundle)
    else:
        training_buttons(bundle)


def _why_not(ids: list[str], source: dict[str, Any], name: str | None) -> str | None:
    """Why the button does nothing now."""
    if source["kind"] == SAMPLED:
        return "This region is of a sample. It can be tagged when the whole list is there."
    return None if name or not ids else "Name the tag first."


def _tag(digest: str, ids: list[str], source: dict[str, Any]) -> None:
    # Read now, not when the button was drawn: the name may have been typed just before the click.
    name = st.session_state.get(keys.TAG_NAME)
    if not name:
        history.notify(
            "Type a name for the tag first, then press the button again.", ":material/info:"
        )
        return
    put_tag(digest, name, ids, source)


def put_tag(
    digest: str, name: str, ids: list[str], source: dict[str, Any], *, more: str = ""
) -> None:
    """Tag these examples, and say that it is done or why not; ``more`` is said, too."""
    try:
        services.store().tag(digest, ids, name, author=frame.who(), source=source)
    except BackendError as error:
        history.notify(text.plain(error, limit=400), ":material/error:")
        return
    history.notify(
        f"Tagged {text.counted(len(ids), 'example')} “{text.plain(name)}”. "
        + (more or "Ctrl+Z takes it back."),
        ":material/sell:",
    )


def take_off(digest: str, ids: list[str], name: str) -> bool:
    """Take a tag off these examples; False, with a notice why, where that cannot be kept."""
    try:
        services.store().untag(digest, ids, name, author=frame.who())
    except BackendError as error:
        history.notify(text.plain(error, limit=400), ":material/error:")
        return False
    return True


def history_buttons(bundle: Bundle | Training) -> None:
    """Undo and redo over this author's changes to this bundle, and the list of everybody's."""
    history.show_buttons(bundle)


def follow_others(bundle: Bundle | Training) -> None:
    """Have the page show what changed meanwhile, in another browser or by keys; call it once.

    A glance at the number of the last event every few seconds. When it has grown the page runs
    again, but not under somebody's fingers: only once no key has tagged for a moment.
    """
    seen = services.known().last_seq(bundle.digest)
    st.session_state[keys.FOLLOWED] = (bundle.digest, seen)
    _follow(bundle.digest)


@st.fragment(run_every=FOLLOW_S)
def _follow(digest: str) -> None:
    known, seen = st.session_state.get(keys.FOLLOWED, ("", 0))
    if known != digest or keyboard.rested_s() < REST_S:
        return
    store = services.store()
    try:
        last = store.last_seq(digest)
        if last <= seen:
            return
        news = store.events(digest, limit=min(50, last - seen))
    except BackendError:
        return  # the page itself says what is wrong with the database, at its next run
    others = [
        one
        for one in news
        if one.seq > seen and one.author_key != frame.who().key and one.kind not in history.HIDDEN
    ]
    if others and keys.NOTICE not in st.session_state:
        more = f", and {text.count(len(others) - 1)} more changes" if len(others) > 1 else ""
        history.notify(
            f"{text.plain(others[0].author, limit=40)} {text.plain(others[0].summary)}{more}.",
            ":material/group:",
        )
    st.rerun()


def download_button(bundle: Bundle, tags: list[str] | None = None) -> None:
    """One click: the flagged examples as CSV. The file is made when it is asked for."""
    st.download_button(
        "Download tagged",
        data=services.handed(
            bundle.digest,
            "the tagged examples",
            lambda store: export_flagged(bundle, store, tags=tags).csv,
        ),
        file_name=f"{_stem(bundle)}-flagged.csv",
        mime="text/csv",
        key="download_csv",
        icon=":material/download:",
        on_click="ignore",
        help="A CSV of every tagged example, whatever is on screen, with its tag, author, time, region, weight, whether searches keep "
        "it aside, loss, label, prediction and your own columns. The manifest to replay it is on the "
        "Flagged page.",
    )


def training_buttons(training: Training) -> None:
    """The tagged training examples as CSV, and the manifest that writes the file again."""
    st.download_button(
        "Download tagged",
        data=services.handed(
            training.digest,
            "the tagged training examples",
            lambda store: export_training(training, store).csv,
        ),
        file_name=f"{_stem(training)}-training.csv",
        mime="text/csv",
        key="download_training_csv",
        icon=":material/download:",
        on_click="ignore",
        help="A CSV of every tagged training example with its tag, author, time, row, label, prediction, text "
        "and the columns of the training set.",
    )
    st.download_button(
        "Manifest",
        data=services.handed(
            training.digest,
            "the manifest of the tagged training examples",
            lambda store: json.dumps(export_training(training, store).manifest, indent=1),
        ),
        file_name=f"{_stem(training)}-training.json",
        mime="application/json",
        key="download_training_manifest",
        icon=":material/description:",
        on_click="ignore",
        type="tertiary",
        help="What rebuilds the CSV beside the same bundle: "
        "python -m backend export --replay MANIFEST --out FILE.csv",
    )


def group_button(bundle: Bundle, choice: Choice) -> None:
    """One click: the examples of a group as CSV, tagged or not."""
    rows = choice.group.rows
    groups = (choice.source.get("options") or {}).get("groups")
    st.download_button(
        f"Download these {text.count(len(rows))}",
        data=services.handed(
            bundle.digest,
            f"the {len(rows)} examples of a group",
            lambda store: group_csv(bundle, rows, store.tags(bundle.digest), groups=groups),
        ),
        file_name=f"{_stem(bundle)}-{choice.key}.csv",
        mime="text/csv",
        key=f"download_{choice.key}",
        icon=":material/download:",
        on_click="ignore",
        type="tertiary",
        help="A CSV of the members in this order, with their tags, whether searches keep them aside, loss, label, "
        "prediction and your own columns.",
    )


def manifest_button(bundle: Bundle, tags: list[str] | None = None) -> None:
    """The manifest beside the CSV: what rebuilds the same rows elsewhere."""
    st.download_button(
        "Download manifest",
        data=services.handed(
            bundle.digest,
            "the manifest of the tagged examples",
            lambda store: json.dumps(export_flagged(bundle, store, tags=tags).manifest, indent=1),
        ),
        file_name=f"{_stem(bundle)}-flagged.json",
        mime="application/json",
        key="download_manifest",
        icon=":material/description:",
        on_click="ignore",
        help="Bundle digest, options, centers and events. Replay it with: "
        "python -m backend export --replay MANIFEST --out FILE.csv",
    )


def archive_button(bundle: Bundle, tags: list[str] | None = None) -> None:
    """The CSV and its manifest of one moment, whatever is tagged meanwhile."""
    st.download_button(
        "Download both",
        data=services.handed(
            bundle.digest,
            "the tagged examples with their manifest",
            lambda store: _archive(bundle, store, tags),
        ),
        file_name=f"{_stem(bundle)}-flagged.zip",
        mime="application/zip",
        key="download_both",
        icon=":material/folder_zip:",
        on_click="ignore",
        help="The CSV and the manifest that rebuilds it, made together: they fit each other even "
        "where somebody goes on tagging.",
    )


def show_replay(bundle: Bundle) -> None:
    """How the same rows are made again elsewhere, from the manifest."""
    with st.popover("Rebuild elsewhere", icon=":material/replay:", type="tertiary"):
        st.markdown(
            "The manifest makes the same rows again on any machine that has imported this bundle:"
        )
        st.code(
            f"python -m backend export --replay {_stem(bundle)}-flagged.json --out flagged.csv",
            language="sh",
            wrap_lines=True,
        )
        st.caption("It says whether they are equal to the last byte.")


def _archive(bundle: Bundle, store: Store, tags: list[str] | None) -> bytes:
    made = export_flagged(bundle, store, tags=tags)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{_stem(bundle)}-flagged.csv", made.csv)
        archive.writestr(f"{_stem(bundle)}-flagged.json", made.manifest_json)
    return held.getvalue()


def _stem(bundle: Bundle | Training) -> str:
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in bundle.name)
    return kept.strip("-")[:60] or "bundle"


def show_notice() -> None:
    """What the last action did, once."""
    notice.show()


def tags_of(bundle: Bundle) -> pd.DataFrame:
    """The tags set in this bundle now, by whomever."""
    return services.known().tags(bundle.digest)
