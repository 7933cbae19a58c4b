"""What a person does on a page, done so that no run of the page which goes on takes it away.

A click begins a run of the app, and the run draws parts of the page anew: a list of options that was
opened meanwhile closes, a key goes to what is no longer there. A person waits and tries again. So do
these: each waits until the app has run to its end (``settled``), acts, looks whether what was to come
of it came, and acts again where it did not, a few times. Tests of keys faster than the server press
them by themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Error, Locator, Page
from playwright.sync_api import TimeoutError as TooLate
from playwright.sync_api import expect as expect_once

LONGEST_MS = 120_000
"""As long as a busy machine needs."""
OFTEN_MS = 2_000
"""Who may wait no longer than this is asked ten times a second by Playwright, others twice."""
ANSWER_MS = 10_000
"""What an act brings about on a page at rest is there by then, or was lost."""
TIMES = 6

WATCH = """(() => {
  // A run was asked for and none has begun since. By the numbers of fields in Streamlit's protocol.
  const RERUN_SCRIPT = 11, NEW_SESSION = 4, LENGTH = 2;
  const holds = (bytes, wanted) => {
    let at = 0;
    const varint = () => {
      let value = 0, scale = 1, byte;
      do { byte = bytes[at++]; value += (byte & 127) * scale; scale *= 128; } while (byte & 128);
      return value;
    };
    while (at < bytes.length) {
      const tag = varint();
      if (Math.floor(tag / 8) === wanted) return true;
      const size = varint();
      if (tag % 8 === LENGTH) at += size;
    }
    return false;
  };
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (data instanceof Uint8Array && holds(data, RERUN_SCRIPT)) {
      window.errorscopeAsked = true;
      if (!this.errorscopeHeard) {
        this.errorscopeHeard = true;
        this.addEventListener("message", ({ data }) => {
          if (data instanceof ArrayBuffer && holds(new Uint8Array(data), NEW_SESSION))
            window.errorscopeAsked = false;
        });
      }
    }
    return send.call(this, data);
  };
})();"""
"""For a context before its first page: lets ``settled`` see what the server has not heard yet."""

AT_REST = """async () => {
  const rests = () => !window.errorscopeAsked
    && !!document.querySelector("[data-testid=stApp][data-test-script-state=notRunning]");
  if (!rests()) return false;
  // What the last run brought is drawn when the browser has nothing else to do.
  await new Promise((done) => requestIdleCallback(done, { timeout: 1000 }));
  return rests();
}"""

HELD = """(node) => {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  return node === active || node.contains(active);
}"""


class Expected:
    """What Playwright can assert of a page or a place on it, waited for as long as a busy machine needs."""

    def __init__(self, shown: Locator | Page):
        self._once = expect_once(shown)

    def __getattr__(self, name: str) -> Callable[..., None]:
        holds = getattr(self._once, name)

        def often(*args: Any, **options: Any) -> None:
            until = time.monotonic() + LONGEST_MS / 1000
            while True:
                try:
                    return holds(*args, timeout=OFTEN_MS, **options)
                except AssertionError:
                    if time.monotonic() > until:
                        raise

        return often


expect = Expected


def settled(page: Page) -> None:
    """Wait until the app has run to its end, what was just clicked included, and is drawn."""
    until = time.monotonic() + LONGEST_MS / 1000
    while time.monotonic() < until:
        with contextlib.suppress(Error):  # another page came meanwhile
            if page.evaluate(AT_REST):
                return
        page.wait_for_timeout(50)
    raise AssertionError("the app does not come to rest")


def finished(page: Page) -> None:
    """Wait until no work is on screen any more, whose end draws the page anew, and the app is settled.

    Work takes what it takes on a busy machine: it fails only when there is no news of it for long.
    """
    settled(page)
    lines, until = page.locator("[class*=st-key-job_]"), 0.0
    said: list[str] = []
    while now := lines.all_inner_texts():
        if now != said:
            said, until = now, time.monotonic() + LONGEST_MS / 1000
        if time.monotonic() > until:
            raise AssertionError(f"no news of {now}")
        page.wait_for_timeout(100)
    settled(page)


def again(page: Page, act: Callable[[], Any], came: Callable[[], bool], what: str) -> None:
    """Do it on a page at rest until what is to come of it came; ``what`` names it where it never does."""
    for time_of in range(TIMES):
        settled(page)
        if time_of and came():
            return
        with contextlib.suppress(TooLate):
            act()
        until = time.monotonic() + ANSWER_MS / 1000
        while time.monotonic() < until:
            if came():
                return
            page.wait_for_timeout(30)
    raise AssertionError(f"{TIMES} times, each on a page at rest, and never: {what}")


def press(page: Page, where: Locator, key: str, came: Locator, *, gone: bool = False) -> None:
    """Press a key on what gets the focus for it; ``came`` is to be seen after it, or ``gone``."""

    def act() -> None:
        where.focus(timeout=ANSWER_MS)
        page.keyboard.press(key)

    again(page, act, lambda: came.is_hidden() if gone else came.is_visible(), f"{key} on {where}")


def dismiss(page: Page, shown: Locator) -> None:
    """Press Escape until what it closes is closed."""
    again(page, lambda: page.keyboard.press("Escape"), shown.is_hidden, f"Escape closes {shown}")
    settled(page)


def unfold(page: Page, button: Locator) -> Locator:
    """Open what is folded behind a button, where it is not open already; what it holds."""

    def act() -> None:
        if not is_unfolded(button):
            button.click(timeout=ANSWER_MS)

    body = page.get_by_test_id("stPopoverBody")
    again(page, act, lambda: is_unfolded(button) and body.is_visible(), f"{button} opens")
    settled(page)
    return body


def choose(page: Page, box: Locator, option: Locator) -> None:
    """Open a select box and take an option of its list."""
    taken = ""

    def act() -> None:
        nonlocal taken
        if option.is_hidden():
            box.click(timeout=ANSWER_MS)
        taken = option.inner_text(timeout=ANSWER_MS)
        option.click(timeout=ANSWER_MS)

    again(page, act, lambda: taken != "" and is_taken(box, taken), f"{option} taken in {box}")
    settled(page)


def type_tag(page: Page, name: str, box: Locator | None = None, *, by_keys: bool = False) -> None:
    """Type the name of a tag, old or new, and take it from the list under the box."""
    box = box or page.locator(".st-key-tag_name input")
    option = page.get_by_role("option").filter(has_text=name).first

    def act() -> None:
        box.click(timeout=ANSWER_MS)
        box.fill(name, timeout=ANSWER_MS)
        option.click(timeout=ANSWER_MS)

    def keys() -> None:
        if not box.evaluate(HELD):
            tab_to(page, box)
        page.keyboard.press("Control+a")
        page.keyboard.type(name)
        option.wait_for(timeout=ANSWER_MS)
        page.keyboard.press("Enter")

    again(page, keys if by_keys else act, lambda: is_taken(box, name), f"a tag “{name}” typed")
    # The list fades out above what stands below; a click that it catches scrolls the page.
    expect(page.get_by_test_id("stSelectboxVirtualDropdown")).to_have_count(0)
    settled(page)


def is_taken(box: Locator, words: str) -> bool:
    """The list of a select box is folded, and the box holds these words."""
    with contextlib.suppress(TooLate):
        return not is_unfolded(box) and box.input_value(timeout=OFTEN_MS).split() == words.split()
    return False


def is_unfolded(button: Locator) -> bool:
    """What opens at this button or box is open."""
    with contextlib.suppress(TooLate):
        return button.get_attribute("aria-expanded", timeout=OFTEN_MS) == "true"
    return False


def tab_to(page: Page, there: Locator, *, key: str = "Tab", most: int = 90) -> None:
    """On a page at rest, press Tab until the focus is there: none that a person could not set."""
    expect(there.first).to_be_visible()
    finished(page)
    for _ in range(most):
        page.keyboard.press(key)
        if there.count() and there.first.evaluate(HELD):
            return
    raise AssertionError(f"{most} times {key} do not lead to {there}")
