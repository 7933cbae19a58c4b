"""The Bundles page hands out the collector, with the lines to write beside it."""

from __future__ import annotations

import ast

from streamlit.testing.v1 import AppTest

from backend.collect import OF_ARRAYS, SNIPPET, standalone
from pages.components.bundles import collector

PAGE = "from pages.components.bundles.collector import offer_collector\noffer_collector()"


def test_the_collector_is_handed_out_with_lines_that_call_it() -> None:
    at = AppTest.from_string(PAGE).run()
    assert not at.exception
    assert [code.value.strip() for code in at.code] == [
        SNIPPET.strip(),
        OF_ARRAYS.strip(),
        "python collector.py train:evaluated --out bundle.npz",
    ]
    (button,) = at.get("download_button")
    assert button.proto.label == "Download collector.py"
    assert collector._file() == standalone().encode()
    called = {
        node.module for node in ast.walk(ast.parse(SNIPPET)) if isinstance(node, ast.ImportFrom)
    }
    assert called == {"torch.utils.data", "collector"}
