// One card: the example under the pointer, or the one a click pinned. Fetched when the pointer rests.

import { element, number } from "./dom.js";

const REST_MS = 110;
const KEPT = 400;

export function createPreview(holder, { close, refused }) {
  const known = new Map();
  let waiting = null;
  let asked = null;
  let shown = null;

  async function facts(prefix, row) {
    const address = prefix + "/" + row;
    if (known.has(address)) return known.get(address);
    asked = new AbortController();
    const response = await fetch(address + ".json", { signal: asked.signal });
    if (!response.ok) throw new Error(String(response.status));
    const told = await response.json();
    if (known.size >= KEPT) known.delete(known.keys().next().value);
    known.set(address, told);
    return told;
  }

  function fill(prefix, row, told, pinned) {
    const parts = [];
    if (pinned) {
      const button = element("button", "close", "×");
      button.type = "button";
      button.setAttribute("aria-label", "Close the preview");
      button.addEventListener("click", close);
      parts.push(button);
    }
    if (told.image) {
      const picture = element("img");
      picture.alt = "";
      picture.addEventListener("error", () => picture.remove());
      picture.src = prefix + "/" + row + "/thumbnail";
      parts.push(picture);
    } else if (told.text) parts.push(element("p", "text", told.text));
    const lines = element("div", "facts");
    if (told.label !== null || told.prediction !== null) {
      const outcome = element("div", "outcome" + (told.correct === false ? " wrong" : ""));
      outcome.append(element("span", "", told.label ?? "?"));
      if (told.prediction !== null) {
        const mark = told.correct === null ? "" : told.correct ? " ✓" : " ✗";
        outcome.append(element("span", "predicted", " → " + told.prediction + mark));
      }
      lines.append(outcome);
    }
    lines.append(element("div", "loss", "loss " + number(told.loss)), element("div", "id", told.id));
    parts.push(lines);
    holder.classList.toggle("pinned", pinned);
    holder.classList.toggle("pictured", Boolean(told.image));
    holder.replaceChildren(...parts);
    holder.dataset.row = String(row);
  }

  function put(place, size) {
    holder.hidden = false;
    const { offsetWidth: wide, offsetHeight: high } = holder;
    const right = place[0] + 16 + wide <= size[0];
    const left = right ? place[0] + 16 : Math.max(4, place[0] - 16 - wide);
    const top = Math.min(Math.max(4, place[1] - high / 2), Math.max(4, size[1] - high - 4));
    holder.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  return {
    /** Show a row at a place; at once when pinned, else when the pointer rests on it. */
    show(prefix, row, place, size, pinned) {
      const wanted = prefix + "/" + row + "/" + pinned;
      if (shown === wanted) return;
      this.hide();
      shown = wanted;
      waiting = setTimeout(async () => {
        try {
          const told = await facts(prefix, row);
          if (shown !== wanted) return;
          fill(prefix, row, told, pinned);
          put(place, size);
        } catch (error) {
          if (shown === wanted) shown = null; // the next move asks again
          if (error.message === "403") refused();
        }
      }, pinned ? 0 : REST_MS);
    },
    move(place, size) {
      if (!holder.hidden) put(place, size);
    },
    hide() {
      clearTimeout(waiting);
      if (asked) asked.abort();
      asked = shown = null;
      holder.hidden = true;
      delete holder.dataset.row;
      holder.replaceChildren();
    },
  };
}
