"""The report: it says what was found, opens from disk, runs nothing and fetches nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from backend import report
from backend.bundle import read_bundle, write_bundle
from backend.cache import Cache, key_of
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.groups import sharp_group
from backend.core.home import PROJECT
from backend.core.wording import HOW, effect_cells, effect_words
from backend.describe import compare_columns, compare_with, compared_columns, read_columns
from backend.report.html import clean, interval, number, percent
from backend.report.markdown import escape
from backend.report.picture import HEIGHT, WIDTH, map_picture, place
from backend.spotlight import assess_spotlights, find_spotlights
from backend.store import Store
from backend.tasks import TASKS, complete_options, run_spotlights
from backend.tasks.report import claims_of_regions, file_name, run_report
from tests.bundles import picture, planted

HOSTILE = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '"><svg onload=document.title="owned">',
    "</style><script>document.title='owned'</script><style>",
    "</title><script>document.title='owned'</script>",
    "javascript:document.title='owned'",
    "[click](javascript:document.title='owned') ![x](http://127.0.0.1:9/x.png)",
    '=HYPERLINK("http://127.0.0.1:9/")',
    "<meta http-equiv='Content-Security-Policy' content=\"script-src 'unsafe-inline'\">",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<link rel=stylesheet href=http://127.0.0.1:9/a.css><iframe src=http://127.0.0.1:9/></iframe>",
    "<base href=http://127.0.0.1:9/><form action=http://127.0.0.1:9/><button autofocus>",
    "{{ 7*7 }}{% raw %} {# #} ${7*7}",
    "&lt;script&gt;&#60;script&#62; \u202eevil\u2066 \x07\x1b[31m",
    "url(http://127.0.0.1:9/x) ;background:url(http://127.0.0.1:9/y)",
    "<bdi></bdi><table><tr><td>| a | b |\n|---|---|\n# heading",
]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def store(folder):
    return Store(url=f"sqlite:///{folder / 'tags.sqlite'}")


@pytest.fixture(scope="module")
def hostile(folder):
    """A bundle whose every text is an attack: names, ids, texts, classes, columns, notes."""
    fields = planted(160, share=0.3)
    fields.pop("planted")
    n = 160
    attack = [HOSTILE[row % len(HOSTILE)] for row in range(n)]
    examples = pd.DataFrame(
        {
            "id": [f"{row} {text}"[:200] for row, text in enumerate(attack)],
            "text": attack,
            "place": [HOSTILE[row % 3] for row in range(n)],
            HOSTILE[0]: [HOSTILE[3 + row % 3] for row in range(n)],
        }
    )
    fields["classes"] = np.array([HOSTILE[3], HOSTILE[1], HOSTILE[10]])
    path = write_bundle(folder / "run.npz", **fields, examples=examples)
    return read_bundle(path)


@pytest.fixture(scope="module")
def contents(hostile, store):
    for text in HOSTILE:
        sentence = re.sub(r"[\x00-\x1f]", " ", text).replace("\u202e", "").strip()
        store.tag(hostile, hostile.ids[:7].tolist(), sentence[:80])
        report.keep_hypothesis(hostile, store, sentence, "loss > 1 or text contains script")
    rows = [np.argsort(-hostile.losses)[:40], np.arange(40), np.arange(20)]
    groups = [sharp_group("region", each, hostile.losses) for each in rows]
    methods = pd.DataFrame({HOSTILE[0]: HOSTILE, "number": 0.123456})
    assessment = {"regions": [{"sentence": HOSTILE[1], "verdict": HOSTILE[3]}] * 3, "note": "x"}
    chapters = [report.Chapter("Cause", tuple(HOSTILE), ((HOSTILE[0], methods),))]
    return report.gather(
        hostile,
        store=store,
        regions=groups,
        assessment=assessment,
        methods=methods,
        now=NOW,
        chapters=chapters,
    )


class Reader(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    return reader


def test_no_text_becomes_markup(contents):
    reader = read(report.render_report(contents))
    allowed = {
        *("html", "head", "meta", "title", "style", "body", "header", "section", "figure"),
        *("figcaption", "svg", "image", "text", "h1", "h2", "h3", "h4", "p", "div", "span", "br"),
        *("table", "tr", "th", "td", "ul", "li", "img", "code", "bdi"),
    }
    assert set(reader.tags) <= allowed
    assert reader.tags.count("style") == reader.tags.count("title") == 1
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    for _, name, value in reader.attributes:
        if name in ("href", "src"):
            assert value.startswith("data:image/png;base64,")
        if name == "style":
            assert re.fullmatch(r"margin:0|background:#[0-9A-F]{6}", value)
    policies = [v for _, name, v in reader.attributes if name == "content" and "default-src" in v]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; img-src data:;")
    assert "script-src" not in policies[0]
    said = "".join(reader.text)
    for text in HOSTILE:
        assert clean(text) in said


def test_the_policy_comes_before_anything_a_bundle_wrote(contents):
    page = report.render_report(contents).decode()
    assert page.index("Content-Security-Policy") < page.index("<title>") < page.index("<style>")


def test_it_opens_from_disk_without_a_request_or_a_script(contents, folder, browser_path):
    from playwright.sync_api import sync_playwright

    path = folder / "report.html"
    path.write_bytes(report.render_report(contents))
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        asked, said, windows = [], [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: dialog.dismiss())
        context.on("page", lambda opened: windows.append(opened.url))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        assert [url for url in asked if not url.startswith("data:image/png")] == [path.as_uri()]
        assert page.url == path.as_uri()
        assert page.title().startswith("Errorscope: ")
        assert page.locator("script, iframe, object, embed, form, link, base, a").count() == 0
        assert page.locator("svg.map image").count() == 1
        assert said == []
        # The policy itself: what the template would let through must still not run or load.
        page.evaluate(
            """() => {
                const script = document.createElement('script');
                script.textContent = "document.title = 'owned'";
                document.body.append(script);
                const image = document.createElement('img');
                image.src = 'http://127.0.0.1:9/leak.png';
                document.body.append(image);
            }"""
        )
        assert page.title() != "owned"
        assert any("Content Security Policy" in text for text in said)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        browser.close()
    assert windows == []


def test_markdown_has_no_markup_but_its_own(contents):
    section = report.model_card_section(contents)
    body = [line for line in section.splitlines() if line and not line.startswith("- ")]
    assert [line for line in body if line.startswith("#")] == [
        "## Where the model fails together",
        "### Regions",
        "### Cause",
        "### Hypotheses",
        "### What is not claimed",
    ]
    assert not re.search(r"(?<!\\)[<>\[\]]", section)
    assert "javascript:" not in section
    assert "http://" not in section
    tables = [line for line in body if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", line)) for line in tables}
    assert cells == {12, 10, 4}  # every row of a table has the columns of its head
    assert report.model_card_section(contents, level=3).startswith("### Where the model")


def test_escaped_text_reads_as_it_was():
    assert escape("a_b *c* <d> & http://x.y | `e`") == (
        r"a\_b \*c\* &lt;d&gt; &amp; http&#58;&#47;&#47;x\.y \| \`e\`"
    )


def test_it_says_what_was_found(folder, store):
    fields = planted(400)
    hard = fields.pop("planted")
    examples = pd.DataFrame(
        {
            "id": [f"e{row}" for row in range(400)],
            "text": np.where(hard, "blurred photo", "photo"),
            "season": np.where(hard, "winter", "summer"),
        }
    )
    images = [picture(row) for row in range(400)]
    path = write_bundle(folder / "pictures", **fields, examples=examples, images=images)
    bundle = read_bundle(path)
    found = find_spotlights(bundle.embeddings, bundle.losses, size=40, n_spotlights=2, starts=4)
    assessment = assess_spotlights(
        bundle.embeddings,
        bundle.losses,
        size=40,
        n_spotlights=2,
        starts=4,
        found=found,
        n_permutations=39,
        n_bootstrap=2,
    )
    report.keep_hypothesis(bundle, store, "Winter is hard", "season = winter")
    made = report.gather(bundle, store=store, regions=found, assessment=assessment, now=NOW)
    first = made.regions[0]
    assert "winter" in first.name
    assert len(first.cards) == 12
    assert first.tokens.loc[0, "token"] == "blurred"
    assert first.tokens.loc[0, "p_adjusted"] < 1e-6 and first.columns[0][1]["p_adjusted"][0] < 1e-6
    assert first.claim["verdict"] == "real" and first.claim["search_p"] == 1 / 40
    assert {name for name, _ in first.columns} >= {"season", "label"}
    columns = read_columns(compared_columns(bundle))  # the table of the page, of as many columns
    beside = compare_with(first.group.weights, members=first.group.rows)
    shown = {one.name: one.table for one in compare_columns(columns, beside, bundle.losses)}
    assert "label → prediction" in shown or bundle.predictions is None
    for name, table in first.columns:
        assert table["p_adjusted"].tolist() == shown[name]["p_adjusted"][: len(table)].tolist()
    page = report.render_report(made)
    assert page == report.render_report(made)
    said = " ".join("".join(read(page).text).split())
    assert "400 examples" in said
    assert bundle.digest in said
    assert "Winter is hard" in said
    top = first.tokens.iloc[0]
    assert top["ratio"] == pytest.approx((top["group_share"] + 0.005) / (top["base_share"] + 0.005))
    assert "Ratio: one share plus 0.5 % over the other plus 0.5 %" in said.replace("\u00a0", " ")
    assert first.claim["sentence"] in said
    assert "39 searches on shuffled losses, 2 on resampled examples; level 0.05" in said
    steady, lift = first.claim["stability"], first.claim["held_out_lift"]
    for value in (first.claim["p_claim"], 0.025, steady["value"], lift["value"]):
        assert f'<td class="n">{number(value)}</td>' in page.decode()
    assert interval(lift["low"], lift["high"]) in said
    assert f"numpy {np.__version__}" in said
    assert "2026-11-22 12:00 UTC" in said
    assert said.count("data:") == 0
    assert page.count(b"data:image/png;base64,") == 1 + 12 * 2
    card = report.model_card_section(made)
    assert "| Winter is hard | supported |" in card
    untested = report.gather(bundle, store=store, regions=found, now=NOW)
    text = report.render_report(untested).decode()
    assert "were not tested on other" in text
    assert "Held-out loss" not in text


def test_without_regions_it_says_so(hostile, folder):
    empty = Store(url=f"sqlite:///{folder / 'empty.sqlite'}")
    page = report.render_report(report.gather(hostile, store=empty)).decode()
    for sentence in ("No regions were searched", "No hypothesis was written", "No example is tag"):
        assert sentence in page


def test_what_does_not_belong_together_is_refused(hostile, store):
    group = sharp_group("region", [0], hostile.losses)
    with pytest.raises(InputError, match="got 2 for 1 regions"):
        report.gather(hostile, store=store, regions=[group], assessment={"regions": [{}, {}]})
    with pytest.raises(InputError, match="got 9 weights for 160 examples"):
        other = sharp_group("region", [0], np.ones(9))
        report.gather(hostile, store=store, regions=[other])
    with pytest.raises(InputError, match="a search result or groups"):
        report.gather(hostile, store=store, regions=["region"])
    with pytest.raises(InputError, match="xy must be"):
        report.gather(hostile, store=store, xy=np.ones((3, 2)))


def test_the_map_draws_members_in_colour_where_they_are():
    from io import BytesIO

    from PIL import Image

    xy = np.array([[0.0, 0], [10, 0], [0, 5], [10, 5]])
    image = Image.open(BytesIO(map_picture(xy, [np.array([3])]))).convert("RGBA")
    assert image.size == (2 * WIDTH, 2 * HEIGHT)
    pixels = np.asarray(image).astype(int)
    spots = (2 * place(xy)).round().astype(int)
    assert np.abs(pixels[spots[3, 1], spots[3, 0]] - [0xE6, 0x9F, 0x00, 255]).max() < 12
    assert np.ptp(pixels[spots[0, 1], spots[0, 0], :3]) < 20
    assert pixels[0, 0, 3] == 0
    assert spots[3, 0] > spots[0, 0]
    assert spots[3, 1] < spots[0, 1]
    assert np.isfinite(place(np.zeros((4, 2)))).all()


@pytest.mark.parametrize(
    ("value", "said"),
    [(1234, "1,234"), (0.12345, "0.123"), (12345.6, "12,346"), (None, "–"), (np.nan, "–")],
)
def test_numbers_have_three_digits(value, said):
    assert number(value) == said


def test_shares_and_ranges():
    assert (percent(0.1234), percent(None)) == ("12.3\u00a0%", "–")
    assert interval(0.1, 0.25) == "0.1–0.25"
    assert interval(-0.1, 0.25) == "\N{MINUS SIGN}0.1 to 0.25"
    assert interval(None, 1) == "–"


def test_pages_can_import_it_without_what_computes():
    code = (
        "import sys, backend.report; "
        "print([name for name in ('torch', 'umap', 'streamlit', 'sklearn') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The task


def test_the_task_writes_the_report_of_what_the_cache_holds(hostile, home, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    methods = {"methods": ["highest_loss"], "n_groups": 2}
    options = complete_options(
        "report",
        {"spotlights": {"size": 16, "n_spotlights": 2, "starts": 2}, "methods": methods},
    )
    seen = []
    arrays, meta = run_report(hostile, options, lambda f, told: seen.append(f), lambda a, m: None)

    searched = complete_options("spotlights", options["spotlights"])
    asked = complete_options("assess", searched)
    key = key_of("assess", hostile.digest, asked, TASKS["assess"].version)
    assert Cache().read(key).meta["n_bootstrap"] == 20  # kept for the page
    page = arrays["html"].tobytes()
    assert arrays["html"].dtype == np.uint8
    assert page.startswith(b"<!doctype html>")
    assert page.count(b"<section>") == 2
    assert b"<h2>Other methods</h2>" in page
    assert b"highest_loss" in page
    assert arrays["markdown"].tobytes().startswith(b"## Where")
    assert meta["name"] == "run-report"
    assert seen == sorted(seen)

    wanted = complete_options("spotlights", {**options["spotlights"], "n_spotlights": 1})
    found = run_spotlights(hostile, wanted, lambda f, told: None, lambda a, m: None)
    key = key_of("spotlights", hostile.digest, wanted, TASKS["spotlights"].version)
    Cache().write(key, *found)
    Store().rename_region(hostile, f"{key}:0", "a name of mine")
    tested = complete_options("assess", wanted)
    said = {"regions": [{"sentence": "as it was on screen"}], "note": "", "level": 0.05}
    said |= {"n_candidates": 2, "base_loss": 1.0}
    key = key_of("assess", hostile.digest, tested, TASKS["assess"].version)
    Cache().write(key, {}, said)
    kept = complete_options("report", {"spotlights": wanted, "log": 1})
    arrays, _ = run_report(hostile, kept, lambda f, told: None, lambda a, m: None)
    page = arrays["html"].tobytes()
    assert b"a name of mine" in page and b"as it was on screen" in page
    kept = complete_options("report", {"spotlights": wanted, "claim": False, "log": 1})
    arrays, _ = run_report(hostile, kept, lambda f, told: None, lambda a, m: None)
    assert b"as it was on screen" not in arrays["html"].tobytes()


def test_the_task_writes_of_regions_too(folder, home, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    fields = planted(400)
    fields.pop("planted")
    bundle = read_bundle(write_bundle(folder / "regions.npz", **fields))
    options = complete_options("report", {"regions": {"n_regions": 2}})
    arrays, _ = run_report(bundle, options, lambda f, told: None, lambda a, m: None)
    reader = read(arrays["html"].tobytes())
    said = " ".join("".join(reader.text).split())
    wanted = complete_options("regions", {"n_regions": 2})
    key = key_of("regions", bundle.digest, wanted, TASKS["regions"].version)
    told = Cache().read(key).meta["regions"]
    assert reader.tags.count("section") == len(told) >= 2
    for one in told:
        effect = Effect.from_dict(one["effect"])
        assert one["name"] in said and " ".join(effect_words(effect).split()) in said
    for claim in claims_of_regions(Cache().read(key).meta)["regions"]:
        assert " ".join(claim["sentence"].split()) in said
    assert ": real, a whole label." in said and "are the ones to quote" in said and HOW in said
    assert "Weighted loss" not in said and "count at most" not in said
    markdown = " ".join(arrays["markdown"].tobytes().decode().replace("\\", "").split())
    assert " ".join(effect_cells(Effect.from_dict(told[0]["effect"]))[0].split()) in markdown
    options = complete_options("report", {"regions": {"n_regions": 2}, "claim": False})
    arrays, _ = run_report(bundle, options, lambda f, told: None, lambda a, m: None)
    untested = " ".join("".join(read(arrays["html"].tobytes()).text).split())
    assert " ".join(effect_words(Effect.from_dict(told[0]["effect"])).split()) in untested
    assert ": real" not in untested and "Verdict" not in untested
    assert "regions 2, seed 0, views all" in said  # no name of code, nothing left open
    assert re.search(r"regions \d", said) and not re.search(r"spotlights \d", said)
    with pytest.raises(InputError, match="of regions or of spotlights"):
        complete_options("report", {"regions": {}, "spotlights": {}})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"spotlights": 3}, "must be options or None"),
        ({"spotlights": {"size": -1}}, "size must be"),
        ({"methods": {"methods": ["magic"]}}, "must be one of"),
        ({"chapters": {"end": {}}}, "chapters must be of cause, words, named, repair"),
        ({"chapters": {"repair": {"options": {}}}}, "members must name at least one row"),
        ({"chapters": {"after": {"options": {}, "of": 3}}}, "of must be the digest of a bundle"),
        ({"claim": 1}, "true or false"),
        ({"log": -1}, "log must be a whole number"),
    ],
)
def test_options_of_the_task_are_checked(options, told):
    with pytest.raises(InputError, match=told):
        complete_options("report", options)


def test_file_names_are_plain():
    assert file_name("../etc/pass wd\n") == "etc-pass-wd-report"
    assert file_name("日本") == "bundle-report"
