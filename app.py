"""The frame of Errorscope: page config, style, navigation, the routes.

Streamlit reads this file twice: as the server's definition (``app`` below), and as the script it
runs on every interaction. No numbers are made here.
"""

from pathlib import Path

import streamlit as st

from backend.core.errors import BackendError
from pages.components.shared import frame, palette, trouble

HERE = Path(__file__).parent
PAGES = {
    "spotlights": ("Spotlights", ":material/flare:"),
    "hardest": ("Hardest", ":material/trending_up:"),
    "compression": ("Compression", ":material/compress:"),
    "subgroups": ("Subgroups", ":material/groups:"),
    "stress": ("Stress", ":material/casino:"),
    "training_data": ("Training data", ":material/school:"),
    "repair": ("Repair", ":material/build:"),
    "before_after": ("Before and after", ":material/compare_arrows:"),
    "flagged": ("Flagged", ":material/sell:"),
    "bundles": ("Bundles", ":material/database:"),
}


def open_first() -> None:
    """What the bare address shows: the main page, with the same parameters."""
    st.switch_page("pages/spotlights.py", query_params=st.query_params.to_dict())


def run_page() -> None:
    """One run of the script: the frame around the chosen page."""
    frame.count_run()
    st.set_page_config(
        page_title="Errorscope", page_icon=str(HERE / "assets" / "icon.svg"), layout="wide"
    )
    st.html(HERE / "assets" / "style.css")
    # Popovers and dialogs stand beside the app in the page and take their colours from its root.
    scheme = "dark" if palette.is_dark() else "light"
    st.html(f"<style>:root {{ color-scheme: {scheme}; }}</style>")
    start = st.Page(open_first, title="Start", default=True, visibility="hidden")
    page = st.navigation(
        # url_path must equal the file's stem, or a link straight to the page shows "not found". The
        # default page has no address of its own, so it is a hidden one that leads to the first.
        [start]
        + [
            st.Page(f"pages/{stem}.py", title=title, icon=icon, url_path=stem)
            for stem, (title, icon) in PAGES.items()
        ],
        position="top",
    )
    try:
        page.run()
    except BackendError as error:  # its sentence is for people; whatever else is raised is a bug
        trouble.show_refusal(error)


if __name__ == "__main__":
    run_page()
else:
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager

    from starlette.middleware import Middleware
    from streamlit.runtime import media_file_manager
    from streamlit.runtime.pages_manager import PagesManager

    from backend.core import journal
    from pages.components.bundles import streamed
    from pages.components.door import door, identity, leaving, wall
    from pages.components.gallery import media
    from pages.components.shared import downloads, health, routes, services

    # Until the first run of st.navigation Streamlit takes a folder called pages for its older kind
    # of multipage app: the first visitor who follows a link to a page would get it without a frame.
    PagesManager.uses_pages_directory = False
    media_file_manager.MediaFileMetadata = downloads.HeldMetadata  # type: ignore[misc]
    ROUTES = [*streamed.ROUTES, *media.ROUTES, *health.ROUTES]

    @asynccontextmanager
    async def told(_app: st.App) -> AsyncIterator[None]:
        """Write lines about what happens while this server runs."""
        journal.begin()
        journal.tell("server start", sign_in=identity.configured(), open=door.is_open())
        yield
        journal.tell("server stop")

    base = st.get_option("server.baseUrlPath")
    app = st.App(
        __file__,
        routes=routes.below(base, ROUTES),
        lifespan=told,
        middleware=[
            Middleware(wall.Wall),
            Middleware(door.Door, store=services.shared_store, may_fetch=services.may_fetch),
            Middleware(leaving.Leaving),
        ],
    )
