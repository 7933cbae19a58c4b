"""From arrays or a live model to a bundle: what to write, and the collector to download."""

from __future__ import annotations

import streamlit as st

from backend.bundle import SAVED
from backend.collect import FILE_NAME, OF_ARRAYS, SNIPPET, standalone
from pages.components.shared.downloads import HANDED


def show_saving() -> None:
    """What to write to save a bundle from arrays that are there."""
    with st.expander("What to write, from arrays", icon=":material/code:"):
        st.code(SAVED, language="python", wrap_lines=True)
        st.caption(
            "Only `embeddings` and something to make a loss from are needed: `losses`, labels with predictions or "
            "probabilities, or `targets` with predictions. Any `examples/…` is a column to filter and compare by. "
            "Text as `np.array(texts, dtype=str)`: arrays of Python objects are refused. Pictures: a folder or "
            ".zip of `.npy` files with `images/` and `examples.csv`, whose column `image` names the file of each row."
        )


def offer_collector() -> None:
    """The collector as one file, and what to write beside the training code."""
    st.markdown("**Or from your own model**")
    st.caption(
        f"Put `{FILE_NAME}` beside your training code: it needs numpy, and torch for torch models, and "
        "nothing of Errorscope. Models of scikit-learn and functions that give arrays are taken as well."
    )
    st.download_button(
        f"Download {FILE_NAME}",
        data=_file,
        file_name=FILE_NAME,
        mime="text/x-python",
        key="collector",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.expander("What to write, from a model", icon=":material/code:"):
        st.code(SNIPPET, language="python", wrap_lines=True)
        st.caption("Of a scikit-learn model, or a function that gives arrays:")
        st.code(OF_ARRAYS, language="python", wrap_lines=True)
        st.caption("Or, for a function of yours that returns (model, loader):")
        st.code(
            f"python {FILE_NAME} train:evaluated --out bundle.npz", language="sh", wrap_lines=True
        )
        st.caption(
            "Then import bundle.npz above. Tables, texts, pictures, layers, other models, checkpoints and "
            "the training set are options: help(collect) says which."
        )


def _file() -> bytes:
    content = standalone().encode()
    HANDED.note("", content, "")
    return content
