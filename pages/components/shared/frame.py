"""The line above every page: which bundle is open, its base numbers, who is tagging."""

from __future__ import annotations

from collections import Counter

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.access import Right
from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.demo import demo_path
from backend.store import Author
from pages.components.door import identity
from pages.components.shared import (
    keys,
    link,
    notice,
    palette,
    services,
    text,
    tour,
    trouble,
    waiting,
)

MAIN_LAYER = "Layer: embeddings"
"""What the page calls the embeddings that a bundle was given under that name."""


def count_run() -> None:
    """Number the runs of this session's page, so that each says a notice once."""
    st.session_state[keys.RUN] = st.session_state.get(keys.RUN, 0) + 1


def choose_bundle(*, with_tour: bool = True) -> Bundle | None:
    """The open bundle, chosen in the bar above the page; None while there is nothing to open yet.

    Where it has several layers one of them is chosen there too, and the bundle comes at that layer.
    A fresh installation imports the demo bundle by itself. Whatever stands here is one block, so
    that what is below keeps its place, and with it files that are just being uploaded. Where files are
    uploaded the tour of a demo stands elsewhere, ``with_tour=False``: it would come up above them.
    """
    with st.container():
        st.html('<a class="skip" href="#examples">Skip to the examples</a>')
        palette.follow_theme()
        bundle = _chosen_bundle()
        # After the picker: a click beside the notice of an import comes from a browser that has the
        # new bundle chosen, not the one before.
        notice.show()
        if bundle is not None and with_tour:
            tour.show_tour(bundle, who())
        return bundle


def _chosen_bundle() -> Bundle | None:
    st.session_state[keys.PERSON] = who().key
    imported = services.names_of_bundles()
    if not imported and not services.may_add():
        st.info("No bundle is shared with you yet. Ask whoever has one.", icon=":material/lock:")
        _show_person()
        return None
    if not imported:
        job = services.ask("import", "", path=str(demo_path()), name="fashion-mnist test")
        if waiting.show_progress(job, what="Opening the demo bundle", key="demo"):
            st.rerun()
        return None
    short = {digest[:12]: digest for digest in imported}
    asked = st.query_params.get(keys.BUNDLE)
    if asked and asked not in short:
        st.warning(
            f"The link names bundle {text.plain(asked, limit=64)}, which is not imported here"
            + (
                ", or not shared with you. Ask whoever gave you the link"
                if identity.present()
                else ""
            )
            + ". Import it on the Bundles page, or choose another one.",
            icon=":material/link_off:",
        )
        del st.query_params[keys.BUNDLE]
        if link.chosen(keys.BUNDLE) == asked:
            link.put(keys.BUNDLE, None)
    names = {key: imported[digest] for key, digest in short.items()}
    if link.chosen(keys.BUNDLE) not in (None, *short):
        link.put(keys.BUNDLE, None)
        shared = ", or no longer shared with you" if identity.present() else ""
        notice.notify(f"The bundle that was open is no longer here{shared}.", ":material/link_off:")
        notice.show()
    twins = {name for name, times in Counter(names.values()).items() if times > 1}
    with st.container(key="bundle_bar"):
        picker, facts, person = st.columns([2.4, 6, 1.2], vertical_alignment="center")
        chosen = picker.selectbox(
            "Bundle",
            list(short),
            format_func=lambda key: (
                f"{names[key]} ({key[:6]})" if names[key] in twins else names[key]
            ),
            **link.bound(keys.BUNDLE, list(short)),
            label_visibility="collapsed",
            help="What one model produced on one evaluation set.",
        )
        try:
            bundle = services.bundle_of(short[chosen or next(iter(short))])
        except BackendError as error:
            st.error(text.plain(error, limit=500))
            return None
        place = facts
        if bundle.layers:
            place, facts = facts.columns([2.3, 4.7], vertical_alignment="center")
        bundle = _at_chosen_layer(bundle, place)
        facts.markdown(_facts(bundle))
        with person.popover(_author_label(), icon=":material/person:", width="stretch"):
            _show_person()
    trouble.show_trouble(bundle.digest)
    return bundle


def _show_person() -> None:
    """Who tags here: the signed-in person with a way out, else a box for a name."""
    if identity.present() is None:
        st.text_input(
            "Your name",
            key=keys.AUTHOR,
            persist_state="session",
            max_chars=80,
            help="Written beside every tag you set. Empty means 'local'.",
        )
        return
    address = st.user.get("email")
    st.markdown(
        f"Signed in as **{text.plain(author(), limit=80)}**"
        + (f"  \n{text.plain(str(address), limit=80)}" if address else "")
    )
    st.button(
        "Sign out",
        icon=":material/logout:",
        on_click=st.logout,
        help="Ends this sign-in, in all tabs of this browser and wherever its cookie was copied to.",
    )


def _at_chosen_layer(bundle: Bundle, place: DeltaGenerator) -> Bundle:
    """The bundle at the layer that is chosen here, or that the address names."""
    offered = ["", *bundle.layers]
    asked = st.query_params.get(keys.LAYER)
    followed = st.session_state.get(keys.OPEN_LAYER, ("", ""))[1] == asked
    if asked and asked not in offered and not followed:  # else another bundle was opened
        st.session_state[keys.NOTICE] = (
            f"The link names layer {text.plain(asked, limit=64)}, which this bundle does not have.",
            ":material/link_off:",
        )
        link.put(keys.LAYER, None)
    layer = ""
    if bundle.layers:
        layer = place.selectbox(
            "Layer",
            offered,
            format_func=lambda name: f"Layer: {text.shorten(name, 40)}" if name else MAIN_LAYER,
            **link.bound(keys.LAYER, offered, final=False),
            label_visibility="collapsed",
            help="Which layer the embeddings come from. Regions, the map and the nearest examples "
            "are found in this one.",
        )
    # The bundle's own embeddings need no word in the address.
    if layer and st.query_params.get(keys.LAYER) != layer:
        st.query_params[keys.LAYER] = layer
    elif not layer and keys.LAYER in st.query_params:
        del st.query_params[keys.LAYER]
    services.choose_layer(bundle.digest, layer)
    return services.bundle_of(bundle.digest, layer)


def _facts(bundle: Bundle) -> str:
    parts = [
        f"**{text.count(bundle.n)}** examples",
        f"{text.counted(bundle.d, 'dimension')}",
        f"base loss **{text.number(bundle.base_loss)}**",
    ]
    if bundle.accuracy is not None:
        parts.append(f"accuracy **{text.share(bundle.accuracy)}**")
    if not services.may(Right.TAG, bundle.digest):
        parts.append("**look only**")
    return " · ".join(parts)


def _author_label() -> str:
    return text.plain(author(), limit=16)


def author() -> str:
    """Who tags, as it is shown: the signed-in name, else the name typed here, else "local"."""
    return who().name


def who() -> Author:
    """Who tags: the name that is shown, and the key by which people are told apart."""
    return services.who()
