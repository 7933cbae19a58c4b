"""What did the model produce? Upload, open, check and summarise bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from backend.access import Right
from backend.bundle import TIMED_FROM, Bundle, BundleInfo
from backend.bundle.removed import grace_days
from backend.core.errors import BackendError
from backend.jobs import Job
from pages.components.before_after import links
from pages.components.bundles import arrived, demos, mapping, past, sharing, uploads
from pages.components.bundles.collector import offer_collector, show_saving
from pages.components.bundles.streamed import streamed_upload
from pages.components.group import tagging
from pages.components.shared import frame, keys, link, services, tables, text, tour, waiting
from pages.components.shared.notice import notify
from pages.components.shared.waiting import RUNNING, show_progress

ARRAYS = ("embeddings", "losses", "labels", "predictions", "probabilities", "logits", "targets")
NAME = "bundle_name"
"""Widget key: what the next import is called."""
LONGEST_FILE = 40
"""Characters of a file's name beside how far its import is."""


def page() -> None:
    bundle = frame.choose_bundle(with_tour=False)
    st.header(
        "What did the model produce?",
        anchor=False,
        help="A bundle is everything one model produced on one evaluation set. Only embeddings, and "
        "something to make a loss from, are required.",
    )
    left, right = st.columns([5, 7], gap="large")
    with left:
        st.subheader("Add a bundle", anchor=False)
        if services.may_add():
            add_bundle()
        else:
            st.caption("Your role on this server is reader: you look at what is shared with you.")
    with right:
        if bundle is not None:
            arrived.show_next(bundle)
        show_list(services.bundles())
        sharing.show_removed()
        if bundle is not None:
            show_summary(bundle)
    tagging.show_notice()


def add_bundle() -> None:
    """Upload or pick files, import them, map columns where that is needed.

    Files leave the chooser when they are imported, whatever comes of it: the next import takes the
    files that are chosen for it and no others.
    """
    taken = st.session_state.get(keys.UPLOADS_TAKEN, 0)
    files = st.file_uploader(
        "Files of one bundle",
        accept_multiple_files=True,
        max_upload_size=uploads.CAP_MB,
        key=f"{keys.UPLOADER}_{taken}",
        help=".npz, .parquet, .arrow, .zip, .safetensors, .pt (tensors only), or several files such as "
        "embeddings.npy + losses.csv + metadata.csv. Pickles are refused: they can run code.",
    )
    st.caption(
        f"Up to {uploads.CAP_MB} MB: the browser's upload is held in the server's memory. Larger bundles: "
        "put them in the data folder (ERRORSCOPE_DATA) and pick them below, or run "
        "`python -m backend import PATH`."
    )
    st.text_input(
        "Name",
        key=NAME,
        max_chars=200,
        placeholder="What to call it; the file's name by default",
        help="Bundles can be renamed later, below their summary.",
    )
    if files:
        st.button(
            "Import", type="primary", key="import", icon=":material/upload:", on_click=import_chosen
        )
    pick_from_data_folder()
    if st.toggle("Larger than that: stream it to disk", key="stream"):
        path = streamed_upload(key="streamed")
        if path is not None:
            start_import(path, given_name(Path(path.name).stem if path.is_file() else path.name))
            st.rerun()
    show_problem()
    show_import()
    show_saving()
    offer_collector()
    demos.offer_demos()


def import_chosen() -> None:
    """Begin the import of the chosen files.

    A callback, as everything that a click does here: a run that finds a button pressed may be ended
    for another one before it comes to the button, and the click would be lost.
    """
    taken = st.session_state.get(keys.UPLOADS_TAKEN, 0)
    files = st.session_state.get(f"{keys.UPLOADER}_{taken}")
    if not files:
        return
    try:
        start_import(uploads.keep_upload(files), given_name(uploads.shown_name(files)))
    except BackendError as error:
        st.session_state[keys.IMPORT_PROBLEM] = str(error)
    else:
        st.session_state[keys.UPLOADS_TAKEN] = taken + 1
        st.session_state[NAME] = ""


def given_name(otherwise: str) -> str:
    """What the person calls the bundle; else what its files are called."""
    return str(st.session_state.get(NAME) or "").strip() or otherwise


def show_problem() -> None:
    """Why the last import could not begin."""
    problem = st.session_state.get(keys.IMPORT_PROBLEM)
    if problem:
        st.error(text.plain(problem, limit=600))


def pick_from_data_folder() -> None:
    folder = uploads.data_folder()
    if folder is None:
        return
    offered = uploads.offered_paths(folder)
    if not offered:
        st.caption("The data folder holds nothing that looks like a bundle.")
        return
    name = st.selectbox(
        "Or a bundle in the data folder",
        offered,
        index=None,
        key=keys.PATH_CHOICE,
        placeholder="Choose",
    )
    st.button(
        "Import from the folder", key="import_path", disabled=not name, on_click=import_from_folder
    )


def import_from_folder() -> None:
    """Begin the import of what is chosen in the data folder."""
    folder, name = uploads.data_folder(), st.session_state.get(keys.PATH_CHOICE)
    if folder is None or not name:
        return
    try:
        start_import(uploads.path_inside(folder, name), given_name(Path(name).stem))
    except BackendError as error:
        st.session_state[keys.IMPORT_PROBLEM] = str(error)


def start_import(path: Path, name: str, columns: dict[str, str] | None = None) -> None:
    """Import in a worker; the page follows it. An upload that failed before is not kept any longer."""
    st.session_state.pop(keys.IMPORT_PROBLEM, None)
    st.session_state.pop(demos.OPENING, None)
    st.session_state.pop(arrived.ARRIVED, None)
    before = st.session_state.get(keys.UPLOAD_PATH)
    if before != path:
        uploads.discard(before)
        mapping.forget()
    owner = frame.who().key
    job = services.ask("import", "", path=str(path), name=name, columns=columns or {}, owner=owner)
    st.session_state[keys.IMPORT_JOB] = job.key
    st.session_state[keys.UPLOAD_PATH] = path
    st.session_state["_import_name"] = name


def begin_import(path: Path, name: str, columns: dict[str, str] | None = None) -> None:
    """The same after a click, which says why it could not begin."""
    try:
        start_import(path, name, columns)
    except BackendError as error:
        st.session_state[keys.IMPORT_PROBLEM] = str(error)


def show_import() -> None:
    """The running or last import: progress, faults with a way to map columns, or what arrived."""
    job = services.job(st.session_state.get(keys.IMPORT_JOB, ""))
    path = st.session_state.get(keys.UPLOAD_PATH)
    if job is None or path is None:
        return
    if job.state in RUNNING:
        file = text.shorten(path.name, LONGEST_FILE)
        doing = "Making the demo" if job.task == "demo" else f"Importing {file}"
        from_here = TIMED_FROM if job.task == "import" else waiting.TIMED_FROM
        show_progress(job, what=doing, key="import", timed_from=from_here)
    elif job.state == "done":
        digest = job.result().meta["digest"]
        services.imported(digest)
        forget_import()
        arrived.arrived(digest)
        link.put(keys.BUNDLE, digest[:12])
        link.put(keys.GROUP, None)  # the second region of another bundle says nothing of this one's
        st.session_state[keys.NOTICE] = ("The bundle is imported and open.", ":material/database:")
        demos.go_to(digest)
        st.rerun()
    elif demos.show_problem(job):
        st.button("Leave it", key="give_up", icon=":material/close:", on_click=forget_import)
    else:
        show_faults(job, path)


def forget_import() -> None:
    uploads.discard(st.session_state.pop(keys.UPLOAD_PATH, None))
    st.session_state.pop(keys.IMPORT_JOB, None)
    mapping.forget()


def show_faults(job: Job, path: Path) -> None:
    """Why an import was refused, line by line, and the ways on."""
    were, them = ("were", "them") if path.is_dir() else ("was", "it")
    st.error(
        f"{text.plain(path.name, limit=120)} {were} not imported. The next import leaves {them} out: choose "
        "all files of the bundle again once they are repaired.",
        icon=":material/error:",
    )
    for line in (job.error or "").splitlines()[:40]:
        st.text(f"• {line}")
    if job.detail:
        with st.expander("Details"):
            st.code(job.detail, language=None)
    name = st.session_state.get("_import_name", path.stem)
    mapping.ask(job, lambda columns: begin_import(path, name, dict(columns)))
    st.button("Remove this upload", key="give_up", icon=":material/close:", on_click=forget_import)


def show_list(infos: list[BundleInfo]) -> None:
    """The bundles on this machine."""
    here = "On this server" if services.people_sign_in() else "On this machine"
    st.subheader(here, anchor=False)
    if not infos:
        st.caption("No bundle yet.")
        return
    table = pd.DataFrame(
        [
            {
                "name": info.name,
                **({"access": sharing.standing(info)} if services.people_sign_in() else {}),
                "examples": info.n,
                "dimensions": info.d,
                "base loss": info.base_loss,
                "accuracy": info.accuracy,
                "imported": pd.to_datetime(info.created),
                "on disk": text.size(info.size_bytes),
                "digest": info.digest[:6],
            }
            for info in infos
        ]
    )
    shown, settings = tables.written(
        table,
        {
            "name": st.column_config.TextColumn(width=150),
            "examples": st.column_config.NumberColumn(format="localized"),
            "base loss": st.column_config.NumberColumn(format="%.3g"),
            "accuracy": st.column_config.NumberColumn(format="percent"),
            "imported": st.column_config.DatetimeColumn(format="distance", width=120),
        },
    )
    st.dataframe(shown, hide_index=True, placeholder=text.DASH, column_config=settings)


def show_summary(bundle: Bundle) -> None:
    """What arrived in the open bundle, what was derived, what is missing."""
    st.subheader(text.plain(bundle.name), anchor=False)
    st.dataframe(fields_of(bundle), hide_index=True)
    if bundle.notes:
        st.markdown("**Derived or assumed**")
        for note in bundle.notes:
            st.text(f"• {note}")
    unused = bundle.unused()
    if unused:
        needed = bundle.used_only_with()
        told = [f"{name} (needs {needed[name]})" if name in needed else name for name in unused]
        st.caption(f"Kept, but used by no page: {text.plain(', '.join(told), limit=600)}.")
    sharing.show_sharing(bundle)
    if services.may(Right.OWN, bundle.digest):
        arrived.rename(bundle)
    tour.show_tour(bundle, frame.who())
    tour.offer_again(bundle, frame.who())
    if links.show_links(bundle):
        links.show_way(bundle)
    missing = bundle.missing()
    if missing:
        st.markdown("**Not in the bundle**")
        st.dataframe(
            pd.DataFrame(missing, columns=["field", "so this is switched off"]), hide_index=True
        )
    past.show_past(bundle)
    if services.may(Right.OWN, bundle.digest):
        remove(bundle)


def fields_of(bundle: Bundle) -> pd.DataFrame:
    """The fields of a bundle: name, shape, type."""
    bundle = bundle.at_layer("")
    arrays = {field: getattr(bundle, field) for field in ARRAYS}
    arrays |= {f"layers/{name}": array for name, array in bundle.layers.items()}
    arrays |= {f"populations/{name}": array for name, array in bundle.populations.items()}
    arrays |= {f"train/{name}": array for name, array in bundle.train.items()}
    arrays |= {f"msp/{name}": array for name, array in bundle.msp.items()}
    arrays |= dict(bundle.extras)
    rows = [
        (name, " × ".join(map(text.count, array.shape)), _type(array))
        for name, array in arrays.items()
        if array is not None
    ]
    if bundle.has_images:
        rows.append(("image", text.count(bundle.n), "picture"))
    columns = [name for name in bundle.examples.columns if name not in ("id", "image")]
    rows += [
        (f"examples/{name}", text.count(bundle.n), str(bundle.examples[name].dtype))
        for name in columns
    ]
    return pd.DataFrame(rows, columns=["field", "shape", "type"])


def _type(array: np.ndarray) -> str:
    return "text" if array.dtype.kind in "US" else str(array.dtype)


def remove(bundle: Bundle) -> None:
    """Take a bundle out of the list; tags stay in the event log."""
    with st.popover("Remove this bundle", icon=":material/delete:"):
        st.text(
            f"Takes it out of everybody's list. It can be taken back for {grace_days():g} days, then it is "
            "deleted. Tags are kept: importing the same bundle again shows them."
        )
        st.button(
            "Remove",
            key="remove_bundle",
            type="primary",
            on_click=remove_now,
            args=(bundle.digest,),
        )


def remove_now(digest: str) -> None:
    """Remove this bundle, with what was computed of it."""
    try:
        services.remove(digest)
    except BackendError as error:
        notify(text.plain(error, limit=400), ":material/error:")
        return
    link.put(keys.BUNDLE, None)


page()
