"""The frame of Errorscope: page config, style, navigation. No numbers are made here."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

st.set_page_config(
    page_title="Errorscope", page_icon=str(HERE / "assets" / "icon.svg"), layout="wide"
)
st.html(HERE / "assets" / "style.css")
page = st.navigation(
    [
        st.Page(
            "pages/spotlights.py",
            title="Spotlights",
            icon=":material/flare:",
            url_path="spotlights",
            default=True,
        ),
        st.Page(
            "pages/hardest.py",
            title="Hardest",
            icon=":material/trending_up:",
            url_path="hardest",
        ),
        st.Page(
            "pages/compression.py",
            title="Compression",
            icon=":material/compress:",
            url_path="compression",
        ),
        st.Page("pages/flagged.py", title="Flagged", icon=":material/sell:", url_path="flagged"),
        st.Page(
            "pages/bundles.py",
            title="Bundles",
            icon=":material/database:",
            url_path="bundles",
        ),
    ],
    position="top",
)
page.run()
