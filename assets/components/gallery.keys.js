// The line under a gallery: which key sets which tag, and what the last keys did. It carries the
// queue of keystrokes to the server and brings back what was acknowledged; the tiles stay as sent.

const mounted = new WeakMap();

class Line {
  constructor(parent) {
    this.line = parent.querySelector(".line");
    this.legend = parent.querySelector(".legend");
    this.status = parent.querySelector(".status");
    this.pager = parent.querySelector(".pager");
    this.makePager();
    this.channel = null;
    this.calls = 0;
    this.watch = () => this.show();
  }

  update(data, setStateValue) {
    const channel = channelOf(data.gallery);
    if (this.channel !== channel) this.leave();
    this.channel = channel;
    channel.watchers.add(this.watch);
    this.send = (queue) => setStateValue("queue", queue);
    channel.send = this.send;
    channel.open = (request) => setStateValue("opened", request);
    this.quiet = data.quiet; // several strips on one page need not all say the same keys
    this.line.classList.toggle("quiet", data.quiet);
    channel.hear(data);
  }

  makePager() {
    const step = (text, title, to) => {
      const button = element("button", "step", text);
      button.type = "button";
      button.title = title;
      button.setAttribute("aria-label", title);
      button.addEventListener("click", () => this.channel.turnTo(to()));
      return button;
    };
    this.box = element("input");
    this.box.type = "number";
    this.box.min = "1";
    this.box.setAttribute("aria-label", "Page");
    this.box.addEventListener("change", () => {
      if (!this.channel.turnTo(Number(this.box.value))) this.box.value = this.channel.page;
    });
    this.box.addEventListener("keydown", (event) => event.stopPropagation());
    this.of = element("span");
    this.back = step("‹", "Previous page", () => this.channel.page - 1);
    this.on = step("›", "Next page", () => this.channel.page + 1);
    this.pager.append(this.back, this.box, this.of, this.on);
  }

  show() {
    const { page, pages } = this.channel;
    this.pager.hidden = pages < 2;
    this.box.max = String(pages);
    if (this.box.value !== String(page)) this.box.value = String(page);
    this.of.textContent = `of ${pages.toLocaleString("en")}`;
    this.back.disabled = page <= 1;
    this.on.disabled = page >= pages;
    const { items, said, note } = this.channel;
    const { locked } = this.channel;
    const keys = JSON.stringify([this.channel.keys, said.answering, locked]);
    if (this.keys !== keys && !this.quiet) {
      this.keys = keys;
      const answers = said.answering ? Object.entries(ANSWERS) : [];
      const answerChips = answers.map(([key, [name, words]]) => {
        const chip = element("button", "key");
        chip.type = "button";
        chip.tabIndex = -1;
        chip.disabled = Boolean(locked);
        chip.title = locked;
        chip.append(element("kbd", "", key), element("span", "", name === "skip" ? "skip" : words));
        chip.addEventListener("click", () => this.channel.answer && this.channel.answer(name));
        return chip;
      });
      if (said.answering) {
        const undo = element("span", "hint");
        undo.append(element("kbd", "", "u"), element("span", "", "undo"));
        answerChips.push(undo);
      }
      const chips = Object.entries(this.channel.keys).map(([digit, name]) => {
        const chip = element("button", "key");
        chip.type = "button";
        chip.tabIndex = -1;
        chip.disabled = Boolean(locked);
        chip.title = locked || `Tag with “${name}”: key ${digit}`;
        chip.append(element("kbd", "", digit), element("span", "", name));
        chip.addEventListener("click", () => this.channel.act && this.channel.act(digit, false));
        return chip;
      });
      const hint = element("span", "hint");
      hint.append(element("kbd", "", "?"), element("span", "", "all keys"));
      this.legend.replaceChildren(...answerChips, ...chips, hint);
    }
    const waiting = items.length ? `saving ${items.length}` : "";
    this.status.textContent = note || said.problem || waiting || said.note || "";
    this.status.classList.toggle("problem", Boolean(said.problem && !note));
    this.status.dataset.pending = String(items.length);
  }

  leave() {
    if (!this.channel) return;
    this.channel.watchers.delete(this.watch);
    if (this.channel.send === this.send) {
      this.channel.send = null;
      this.channel.open = null;
    }
  }
}

export default function ({ data, parentElement, setStateValue }) {
  let line = mounted.get(parentElement);
  if (!line) {
    line = new Line(parentElement);
    mounted.set(parentElement, line);
  }
  line.update(data, setStateValue);
  const call = (line.calls += 1);
  return () => call === line.calls && line.leave(); // only the latest call may clean up
}
