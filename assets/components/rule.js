// A box for a rule: what could come next stands below it while one types, Enter adds the rule.
//
// Down and Up go through the list, Enter or Tab takes what is marked, Esc closes it. The server knows
// the language: it is told what was typed, and answers with whole rules to choose from.

const PATIENCE_MS = 120;
const boxes = new WeakMap();

class Box {
  constructor(root) {
    this.input = root.querySelector("input");
    this.list = root.querySelector("ul");
    this.said = root.querySelector(".said");
    this.instance = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
    this.typed = 0;
    this.asked = 0;
    this.heard = 0;
    this.offered = [];
    this.marked = -1;
    this.timer = 0;
    this.closing = false;
    // What it stands in is drawn at the end of the page, far from the button that opened it by key.
    const opener = document.activeElement;
    if (opener && opener.matches("button:focus-visible")) requestAnimationFrame(() => this.input.focus());
    this.input.addEventListener("input", () => this.changed());
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    this.input.addEventListener("keydown", (event) => this.key(event));
    // What the box stands in closes by Esc, too, and listens above it: the list comes first.
    const gone = new AbortController();
    const first = (event) => (this.input.isConnected ? this.escape(event) : gone.abort());
    for (const kind of ["keydown", "keyup"]) {
      window.addEventListener(kind, first, { capture: true, signal: gone.signal });
    }
    root.querySelector(".add").addEventListener("click", () => this.add());
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the box keeps the focus
      const item = event.target.closest("li");
      if (item) this.take(Number(item.dataset.at));
    });
  }

  changed() {
    this.complain("");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.typed += 1;
      this.send("typed", { instance: this.instance, n: this.typed, text: this.input.value, cursor: this.input.selectionStart });
    }, PATIENCE_MS);
  }

  key(event) {
    if (event.isComposing) return;
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return this.changed();
      const step = event.key === "ArrowDown" ? 1 : -1;
      const from = this.marked < 0 && step < 0 ? 0 : this.marked;
      this.mark((from + step + this.offered.length) % this.offered.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open && this.marked >= 0) this.take(this.marked);
      else this.add();
    } else if (event.key === "Tab" && open && this.marked >= 0) {
      event.preventDefault();
      this.take(this.marked);
    }
  }

  escape(event) {
    if (event.key !== "Escape" || event.composedPath()[0] !== this.input) return;
    const first = event.type === "keydown" && !this.list.hidden;
    if (!first && !(event.type === "keyup" && this.closing)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.closing = first;
    this.close();
  }

  add() {
    clearTimeout(this.timer);
    this.close();
    if (!this.input.value.trim()) return;
    this.asked += 1;
    this.send("asked", { instance: this.instance, n: this.asked, text: this.input.value });
  }

  take(at) {
    const { whole, cursor } = this.offered[at];
    this.input.value = whole;
    this.input.focus();
    this.input.setSelectionRange(cursor, cursor);
    this.close();
    this.changed();
  }

  mark(at) {
    this.marked = at;
    [...this.list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    const item = this.list.children[at];
    if (item) {
      this.input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  offer(offered) {
    this.offered = offered;
    this.list.replaceChildren(
      ...offered.map(({ word }, at) => {
        const item = document.createElement("li");
        item.id = `rule-${at}`;
        item.dataset.at = at;
        item.setAttribute("role", "option");
        item.textContent = word;
        return item;
      }),
    );
    this.list.hidden = !offered.length;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.mark(-1);
  }

  close() {
    this.offer([]);
  }

  complain(words) {
    this.said.textContent = words;
    if (words) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  update(data, send) {
    this.send = send;
    if (data.instance !== this.instance) return;
    if (data.asked > this.heard) {
      this.heard = data.asked;
      if (data.problem) {
        this.complain(data.problem);
        this.offer(data.instead);
      } else {
        this.input.value = "";
        this.complain("");
        this.close();
      }
    } else if (data.typed === this.typed && data.text === this.input.value && this.focused()) {
      this.offer(data.offered);
    }
  }

  focused() {
    return this.input.getRootNode().activeElement === this.input;
  }
}

export default function ({ data, parentElement, setStateValue }) {
  let box = boxes.get(parentElement);
  if (!box) {
    box = new Box(parentElement);
    boxes.set(parentElement, box);
  }
  box.update(data, setStateValue);
}
