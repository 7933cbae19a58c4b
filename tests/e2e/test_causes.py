"""From a region to the training examples behind it, a run without them, and what got worse."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page

from backend.bundle import import_bundle
from tests.backend.tasks.test_tasks_attribution import fields
from tests.bundles import npz
from tests.e2e.acts import choose, dismiss, expect, finished, settled, unfold
from tests.e2e.conftest import Server


def flat(given: dict[str, Any]) -> bytes:
    """A bundle with nested fields as one file."""
    nested = {f"train/{name}": values for name, values in given.pop("train").items()}
    nested |= {f"examples/{name}": values for name, values in given.pop("examples").items()}
    return npz(**given, **nested)


def without(rows: list[int]) -> dict[str, Any]:
    """The model of ``fields`` fitted anew without these training examples."""
    given = fields()
    keep = np.setdiff1d(np.arange(len(given["train"]["embeddings"])), rows)
    x, labels = given["train"]["embeddings"][keep], given["train"]["labels"][keep] == "right"
    w = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ w))
        w += np.linalg.solve(
            (x * (p * (1 - p))[:, None]).T @ x + np.eye(len(w)), x.T @ (labels - p) - w
        )
    p = 1 / (1 + np.exp(-given["embeddings"] @ w))
    given["probabilities"] = np.column_stack([1 - p, p])
    given["predictions"] = given["classes"][given["probabilities"].argmax(1)]
    given["train"] = {name: values[keep] for name, values in given["train"].items()}
    del given["train"]["probabilities"]
    return given


def test_from_a_region_to_a_run_without_what_caused_it_to_what_got_worse(
    page: Page, shared_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "first.npz").write_bytes(flat(fields()))
    digest = import_bundle(tmp_path / "first.npz", home=shared_server.home, name="as it was").digest
    page.goto(f"{shared_server.url}/spotlights?bundle={digest[:12]}")
    expect(page.locator(".st-key-group_list [data-testid=stRadioOption]").first).to_be_visible()
    expect(page.locator(".map[data-drawn]")).to_be_visible()

    page.get_by_role("link", name="Training data", exact=True).click()
    group = page.get_by_role("combobox", name=re.compile("Group"))
    expect(group).to_be_visible()
    finished(page)
    choose(page, group, page.get_by_role("option", name=re.compile("^region: ")).first)
    expect(page.get_by_text(re.compile("^region: .* mean loss"))).to_be_visible()
    finished(page)
    page.get_by_role("tab", name="Removal").click()
    finished(page)
    page.get_by_text("All that harm", exact=True).click()
    expect(
        page.get_by_text(re.compile("of 600 training examples would be left out"))
    ).to_be_visible()
    finished(page)
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile("Download what to leave out")).click()
    lines = csv.DictReader(io.StringIO(Path(caught.value.path()).read_text(encoding="utf-8")))
    rows = [int(line["row"]) for line in lines]
    assert 10 < len(rows) < 590

    page.goto(f"{shared_server.url}/bundles")
    settled(page)
    again = {"name": "without them.npz", "mimeType": "application/octet-stream"}
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(
        again | {"buffer": flat(without(rows))}
    )
    take = page.get_by_role("button", name="Import", exact=True)
    expect(take).to_be_enabled()
    settled(page)
    take.click()
    expect(page.get_by_test_id("stToast").filter(has_text="imported and open")).to_be_visible()
    finished(page)  # a click beside the toast still says that the bundle before is open
    page.get_by_role("link", name="Before and after").click()
    links = page.get_by_role("button", name=re.compile("Links"))
    expect(links).to_be_visible()
    body = unfold(page, links)
    older = page.get_by_role("combobox", name=re.compile("An older run"))
    choose(page, older, page.get_by_role("option", name=re.compile("as it was")))
    page.get_by_role("button", name="Link it").click()
    expect(page.get_by_text(re.compile("fail newly, .* are repaired"))).to_be_visible()
    finished(page)
    dismiss(page, body)
    page.get_by_text(re.compile("^Newly failing")).click()
    expect(page.get_by_role("button", name=re.compile("Tag newly failing · "))).to_be_visible()
