// One example whole: its picture or text, what the model said, where it belongs, what was done to it.
// Arrow keys go to the one before and after, digits tag it. Strings go in through textContent.

const shown = new WeakMap();

function facts(rows, className) {
  const list = element("dl", className);
  for (const [name, value] of rows) list.append(element("dt", "", name), element("dd", "", value));
  return list;
}

function section(title, ...content) {
  const part = element("section");
  part.append(element("h4", "", title), ...content);
  return part;
}

function bar({ name, share, text, mark }) {
  const row = element("div", `bar ${mark}`);
  const track = element("div", "track");
  const fill = element("div", "fill");
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  track.append(fill);
  row.append(element("span", "name", name), track, element("span", "share", text));
  return row;
}

class Item {
  constructor(parent) {
    this.root = parent.querySelector(".item");
    this.calls = 0;
    this.at = 0;
    this.watch = () => this.showTags();
    this.pressed = (event) => this.onKey(event);
  }

  update(data, send) {
    this.data = data;
    this.send = send;
    this.at = data.at;
    if (this.channel && this.channel.key !== data.gallery) this.channel.watchers.delete(this.watch);
    this.channel = channelOf(data.gallery);
    this.channel.watchers.add(this.watch);
    document.addEventListener("keydown", this.pressed, true);
    this.draw();
  }

  draw() {
    const { data } = this;
    const top = element("div", "top");
    const back = element("button", "step", "←");
    const on = element("button", "step", "→");
    back.title = "The one before: ←";
    on.title = "The next one: →";
    back.disabled = this.at <= 0;
    on.disabled = this.at >= data.of - 1;
    back.addEventListener("click", () => this.step(-1));
    on.addEventListener("click", () => this.step(1));
    this.tags = element("div", "tags");
    this.note = element("span", "note");
    this.note.setAttribute("role", "status");
    const keys = element("div", "keys");
    for (const [digit, name] of Object.entries(this.channel.keys)) {
      const key = element("span", "key");
      key.append(element("kbd", "", digit), element("span", "", name));
      keys.append(key);
    }
    top.append(back, on, element("span", "place", data.place), element("code", "id", data.id), this.tags, this.note, keys);
    const left = element("div", "left");
    if (data.src) {
      const picture = element("img");
      picture.src = data.src;
      picture.alt = `Image of example ${data.id}`;
      left.append(picture);
    }
    if (data.text) left.append(element("p", "whole", data.text));
    const right = element("div", "right");
    right.append(facts(data.facts, "facts"));
    if (data.bars.length) right.append(section("Probabilities", ...data.bars.map(bar)));
    if (data.groups.length) right.append(section("In regions", facts(data.groups, "facts")));
    if (data.columns.length) right.append(section("Columns", facts(data.columns, "facts")));
    const events = element("ol", "events");
    for (const { time, who, what, undone } of data.events) {
      const line = element("li", undone ? "undone" : "");
      line.append(element("time", "", time), element("b", "", who), element("span", "", what));
      events.append(line);
    }
    right.append(
      section("History", data.events.length ? events : element("p", "none", "No tag was set or taken off.")),
    );
    const body = element("div", data.src || data.text ? "body" : "body bare");
    body.append(left, right);
    this.root.replaceChildren(top, body);
    this.showTags();
  }

  showTags() {
    if (!this.tags) return;
    this.tags.replaceChildren(...tagChips(this.channel.tagsOf(this.data.id)));
  }

  step(by) {
    const to = Math.max(0, Math.min(this.data.of - 1, this.at + by));
    if (to === this.at) return;
    this.at = to; // told at once, so that fast steps add up
    this.count = Math.max(Date.now(), (this.count || 0) + 1); // going back is a change as well
    this.send("at", { to, count: this.count });
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || isTyping(event)) return;
    const digit = digitOf(event);
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (digit) this.tag(digit, takesOff(event));
    else if (event.key === "u" || event.key === "U") {
      this.channel.push({ kind: event.key === "U" ? "redo" : "undo", bundle: this.data.bundle });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  tag(digit, off) {
    const { data, channel } = this;
    const name = channel.keys[digit];
    if (!name) this.note.textContent = `Key ${digit} has no tag. Close this (Esc) and press ${digit} to name one.`;
    const id = data.elsewhere && this.at === data.at ? data.id : data.ids[this.at - data.first];
    if (!name || !id) return;
    if (channel.has(id, name) === off) {
      channel.push({ kind: off ? "untag" : "tag", bundle: data.bundle, ids: [id], tag: name, digit });
    }
    this.step(1);
  }

  leave() {
    document.removeEventListener("keydown", this.pressed, true);
    if (this.channel) this.channel.watchers.delete(this.watch);
  }
}

export default function ({ data, parentElement, setStateValue }) {
  let item = shown.get(parentElement);
  if (!item) {
    item = new Item(parentElement);
    shown.set(parentElement, item);
  }
  item.update(data, setStateValue);
  const call = (item.calls += 1);
  return () => call === item.calls && item.leave(); // only the latest call may clean up
}
