"""A choice is kept in session and address, and the newer of the two counts."""

from streamlit.testing.v1 import AppTest


def _page():
    import streamlit as st

    from pages.components.shared import link

    options = ["a", "b", "c"]
    st.button("Put b", on_click=link.put, args=("letter", "b"))
    st.caption(link.settled("letter", options))  # what is drawn before it goes by the same
    st.selectbox("Letter", options, **link.bound("letter", options))


def _named(app):
    assert app.caption[0].value == app.selectbox[0].value
    return app.query_params.get("letter", [None])[0]


def test_the_newer_of_a_followed_link_and_a_choice_counts_and_is_kept():
    app = AppTest.from_function(_page, default_timeout=60)
    app.query_params["letter"] = "b"
    app.run()
    assert (app.selectbox[0].value, _named(app)) == ("b", "b")
    # A link to another page drops what the address said.
    del app.query_params["letter"]
    app.run()
    assert (app.selectbox[0].value, _named(app)) == ("b", "b")
    # A link that was followed.
    app.query_params["letter"] = "c"
    app.run()
    assert (app.selectbox[0].value, _named(app)) == ("c", "c")
    app.selectbox[0].select("a").run()
    assert (app.selectbox[0].value, _named(app)) == ("a", "a")
    # A click sent before the browser had read the new address: what it says is old.
    app.query_params["letter"] = "c"
    app.run()
    assert (app.selectbox[0].value, _named(app)) == ("a", "a")
    # Once the address had arrived, going back to the same one is a choice.
    app.run()
    app.query_params["letter"] = "c"
    app.run()
    assert (app.selectbox[0].value, _named(app)) == ("c", "c")
    # What is not offered changes nothing.
    app.query_params["letter"] = "z"
    app.run()
    assert (app.selectbox[0].value, _named(app)) == ("c", "c")


def test_a_browser_that_has_read_nothing_yet_chooses_nothing():
    app = AppTest.from_function(_page, default_timeout=60)
    app.query_params["letter"] = "a"
    app.run()
    app.button[0].click().run()
    assert (app.selectbox[0].value, _named(app)) == ("b", "b")
    # A poll that was sent before: the old value in the box and in the address.
    app.query_params["letter"] = "a"
    app.selectbox[0].select("a").run()
    assert (app.selectbox[0].value, _named(app)) == ("b", "b")
    # Now it is read, and the same is a choice.
    app.run()
    app.selectbox[0].select("a").run()
    assert (app.selectbox[0].value, _named(app)) == ("a", "a")
