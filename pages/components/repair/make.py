"""Examples made for a repair: variations of the group, or prompts of its contexts for a generator."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.errors import BackendError
from backend.export.cells import neutralise
from backend.generate import configured_pictures, pictures_state, prompt_lines
from backend.generate.prompts import COUNTING, PER_FAILURE, TARGETED
from backend.store import Store
from backend.tasks.encoded import reads_of
from backend.tasks.made import MOST_DRAWN, MOST_MADE, MOST_PER_ROW
from backend.tasks.report import file_name
from pages.components.repair.choose import REPAIR, GroupAsked, choose
from pages.components.shared import allowed, chapters, charts, frame, keys, link, services, text
from pages.components.shared.waiting import show_progress

JOB = "_made_job"
DRAWN = "_drawn_job"
PER = {"failure": "for each failure", "context": "for each context"}
EVERY = 4
"""Pictures of each prompt that are drawn here at first."""


def show_make(bundle: Bundle) -> None:
    """Variations by a network that learns what the bundle's examples look like; prompts for others."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Variations of a group", anchor=False)
        asked = choose(
            bundle,
            label="Make examples like those of",
            help="Its members that are not kept aside are varied; the others measure what that brings.",
        )
        if asked is not None:
            _variations(bundle, asked)
    with right:
        st.subheader("Prompts for a generator", anchor=False)
        _prompts(bundle)


def _variations(bundle: Bundle, asked: GroupAsked) -> None:
    pictures = bundle.has_images
    st.caption(
        "A small network, a variational autoencoder, first learns on this server what the bundle's "
        f"{'pictures and their embeddings' if pictures else 'embeddings'} look like, which takes a minute or "
        "a few. Around where it places the group's members new points are drawn and turned back into "
        + (
            "examples: their pictures are blurred, their embeddings what the network guesses that your model would say."
            if pictures
            else "embeddings, without anything to look at or to read."
        )
        + " Examples kept aside have no part in it: they measure what it brings."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        per = st.number_input(
            "Variations of each member", 1, MOST_PER_ROW, PER_FAILURE, key=keys.REPAIR_PER, width=190,
            help=f"At most {text.count(MOST_MADE)} in all.", persist_state="session",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, 0, key=keys.REPAIR_SEED, width=120, persist_state="session",
            help="The same seed makes the same examples.",
        )  # fmt: skip
    st.button(
        f"Make variations of {text.shorten(asked.choice.name, 40)}",
        key="repair_make",
        type="primary",
        icon=":material/auto_awesome:",
        on_click=_make,
        args=(bundle.digest, asked, int(per), int(seed)),
        **allowed.control(allowed.ADD, bundle.digest),
    )
    of, key = st.session_state.get(JOB, ("", ""))
    job = services.job(key) if of == bundle.digest else None
    if job is not None and show_progress(job, what="Making variations", key="made"):
        _show_made(bundle, job.result())


def _make(digest: str, asked: GroupAsked, per: int, seed: int) -> None:
    try:
        job = services.ask(
            "made",
            digest,
            of=digest,
            members=asked.options["members"],
            groups=asked.options["groups"],
            per_row=per,
            seed=seed,
            what=text.shorten(asked.choice.name, 200),
            owner=frame.who().key,
        )
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
        return
    services.repair_asked(digest, "a bundle with made examples")
    st.session_state[JOB] = (digest, job.key)


def _show_made(bundle: Bundle, made: Entry) -> None:
    meta = made.meta
    fits = [
        f"{text.percent(meta[name])} of the variance of {words}"
        for name, words in (("picture_fit", "pictures"), ("embedding_fit", "embeddings"))
        if meta[name] is not None
    ]
    kept = f" Of held-out examples the network keeps {' and '.join(fits)}." if fits else ""
    st.markdown(
        f"**{text.counted(meta['n'], 'example')}** made from {text.counted(meta['members'], 'member')} that "
        f"{'is' if meta['members'] == 1 else 'are'} not kept aside.{kept} A last layer refitted on the "
        f"{text.count(meta['trained'])} it learnt from takes {text.percent(meta['agree'])} of them for their "
        "label."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Repair with them",
            key="repair_with_made",
            icon=":material/build:",
            on_click=_use,
            args=(meta["digest"],),
        )
        st.page_link(
            "pages/hardest.py",
            label="Look at them",
            icon=":material/open_in_new:",
            width="content",
            query_params={keys.BUNDLE: meta["digest"][:12]},
        )
        _zip(
            bundle,
            made,
            "made",
            "the made examples",
            f"Download zip · {text.size(made['zip'].nbytes)}",
        )


def _use(digest: str) -> None:
    """Count them in place of the group. A callback."""
    link.put(keys.REPAIR_COUNTS, digest[:12])
    st.session_state[keys.REPAIR_PART] = REPAIR


def _prompts(bundle: Bundle) -> None:
    held: Any = chapters.remembered(bundle).get("named")
    reads = reads_of(bundle) or "pictures"
    st.caption(
        f"Lines that ask a generator of your choice for {reads} of a class in a context where it fails. "
        "Collect embeddings of what it makes, by the collector and the very model that is examined, import "
        f"them with the {reads} and their labels on the *Bundles* page, and choose that bundle under *Repair*, "
        "*Settings*, *What counts more*."
    )
    if not held:
        st.info(
            "Name the failures first: *In words*, *Contexts of a list*.",
            icon=":material/image_search:",
        )
        return
    job = services.ask("named", bundle.digest, **held["options"])
    if not show_progress(job, what="Naming the failures", key="named_for_prompts"):
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Examples",
            1,
            100,
            PER_FAILURE,
            key=keys.REPAIR_PROMPTS,
            width=120,
            persist_state="session",
        )
        per = st.segmented_control(
            "Counted", COUNTING, required=True, format_func=PER.__getitem__, label_visibility="collapsed",
            default=COUNTING[0], key=keys.REPAIR_PROMPTS_PER, persist_state="session",
        )  # fmt: skip
    table = prompt_lines(
        job.result().meta["lines"], reads=reads, examples=int(number), per=per or COUNTING[0]
    )
    if table.empty:
        st.info("No failure chooses a context, so there is nothing to ask for.")
        return
    charts.show_table(table, key="repair_prompt_table")
    st.caption(
        "Random ones name the class alone, as many as of its contexts: what any examples bring."
    )
    st.download_button(
        "Download prompts as CSV",
        data=services.handed(bundle.digest, "prompts for a generator", partial(_csv, table)),
        file_name=f"{file_name(bundle.name).removesuffix('-report')}-prompts.csv",
        mime="text/csv",
        key="repair_prompts_csv",
        icon=":material/download:",
        on_click="ignore",
    )
    if reads == "pictures":
        _draw(bundle, table)


def _csv(table: pd.DataFrame, store: Store) -> bytes:
    safe = table.map(lambda one: neutralise(one) if isinstance(one, str) else one)
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _draw(bundle: Bundle, table: pd.DataFrame) -> None:
    """Pictures by the model that whoever runs the server configured; what is missing where there is none."""
    if why := configured_pictures():
        st.caption(text.plain(why, limit=600))
        return
    st.button(
        "Draw pictures here",
        key="repair_draw",
        icon=":material/brush:",
        on_click=_ask_draw,
        args=(bundle.digest, table),
        help=f"{EVERY} of each targeted prompt, at most {MOST_DRAWN} in all, by the configured model on this "
        "machine; nothing leaves it. A large model takes minutes for each without an accelerator.",
    )
    of, key = st.session_state.get(DRAWN, ("", ""))
    job = services.job(key) if of == bundle.digest else None
    if job is not None and show_progress(job, what="Drawing pictures", key="drawn"):
        made = job.result()
        st.markdown(f"**{text.counted(made.meta['n'], 'picture')}** drawn, without embeddings.")
        _zip(
            bundle,
            made,
            "drawn",
            "the drawn pictures",
            f"Download zip · {text.size(made['zip'].nbytes)}",
        )


def _ask_draw(digest: str, table: pd.DataFrame) -> None:
    targeted = table[table["set"] == TARGETED].head(MOST_DRAWN // EVERY)
    lines = [
        {"label": one["label"], "context": one["context"], "prompt": one["prompt"],
         "examples": min(EVERY, int(one["examples"]))}
        for one in targeted.to_dict("records")
    ]  # fmt: skip
    try:
        job = services.ask("drawn", digest, lines=lines, state=pictures_state())
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
        return
    st.session_state[DRAWN] = (digest, job.key)


def _zip(bundle: Bundle, made: Entry, name: str, what: str, label: str) -> None:
    st.download_button(
        label,
        data=services.handed(bundle.digest, what, partial(_bytes, made)),
        file_name=f"{file_name(bundle.name).removesuffix('-report')}-{name}.zip",
        mime="application/zip",
        key=f"repair_{name}_zip",
        icon=":material/download:",
        on_click="ignore",
    )


def _bytes(made: Entry, store: Store) -> bytes:
    return bytes(made["zip"].tobytes())
