// A page of examples: pictures or texts with their true and predicted label, loss, weight and tags.
// Everything works by keyboard; the sheet (?) says how. Strings go in through textContent or alt:
// data never becomes markup.

const states = new WeakMap();
const PICK_MS = 140;
const TURN_MS = 6000;

const SHEET = [
  ["← → ↑ ↓", "move"],
  ["Home, End", "first, last on the page"],
  ["Page Down, Page Up", "next, previous page"],
  ["Space", "pick or drop"],
  ["Shift with an arrow", "pick a range"],
  ["Ctrl A", "pick the page"],
  ["Esc", "drop all picks; without any, clear the selection"],
  ["1 to 9", "tag and go on; what is picked, when several are. A digit without a tag asks for its name"],
  ["Shift with 1 to 9", "take the tag off"],
  ["u, Shift U", "undo, redo"],
  ["t", "type a tag’s name; Enter comes back here"],
  ["Enter", "open the example; there ← → go on, 1 to 9 tag"],
  ["?", "this sheet"],
];

const ANSWER_SHEET = [
  ["y", "it belongs"],
  ["n", "it does not belong"],
  ["s", "skip: it cannot be said"],
  ["u, Shift U", "undo, redo"],
  ["← → ↑ ↓", "move"],
  ["?", "this sheet"],
];

// The cells of an example, each with its column's name: lines of a card, or columns of a row.
function cellsOf(columns, cells) {
  const holder = element("div", "cells");
  columns.forEach((name, at) => {
    const cell = element("div", "cell");
    cell.title = `${name}: ${cells[at]}`;
    cell.append(element("span", "name", name), element("span", "value", cells[at] || "–"));
    if (/^[+-]?[\d.,]+(e[+-]?\d+)?$/i.test(cells[at])) cell.classList.add("number");
    holder.append(cell);
  });
  return holder;
}

// The names of the columns above rows, in places like those of a row.
function headOf(columns) {
  const row = element("div", "line");
  const cells = element("div", "cells");
  for (const name of columns) {
    const cell = element("div", "cell", name);
    cell.title = name;
    cells.append(cell);
  }
  const numbers = element("div", "numbers");
  numbers.append(element("span", "", "loss"));
  row.append(element("div", "id", "id"), cells, numbers);
  return row;
}

function tileOf(item, columns) {
  const tile = element("div", "tile");
  tile.setAttribute("role", "option");
  tile.tabIndex = -1;
  tile.dataset.id = item.id;
  tile.title = item.id;
  const media = element("div", "media");
  if (item.src) {
    const picture = element("img");
    picture.loading = "lazy";
    picture.decoding = "async";
    picture.draggable = false;
    picture.alt = "";
    picture.src = item.src;
    media.append(picture);
  }
  tile.append(media);
  if (item.text) tile.append(element("p", "text", item.text));
  tile.append(element("div", item.src || item.text ? "id" : "id alone", item.id));
  if (columns.length) tile.append(cellsOf(columns, item.cells));
  const outcomes = element("div", "outcomes");
  if (item.label !== null) outcomes.append(element("span", "label", item.label));
  if (item.prediction !== null) {
    outcomes.append(element("span", "arrow", "→"));
    outcomes.append(element("span", item.wrong ? "wrong" : "right", item.prediction));
  }
  const numbers = element("div", "numbers");
  numbers.append(element("span", "loss", item.loss));
  if (item.weight) numbers.append(element("span", "weight", item.weight));
  tile.append(outcomes, numbers, element("div", "tags"));
  return tile;
}

function sheetOf() {
  const sheet = element("dialog", "sheet");
  sheet.setAttribute("aria-label", "Keys");
  const list = element("dl", "all");
  const assigned = element("dl", "assigned");
  const close = element("button", "close", "Close");
  close.addEventListener("click", () => sheet.close());
  sheet.append(element("h3", "", "Keys"), list, element("h3", "tags", "Tags"), assigned, close);
  return sheet;
}

// Asks for the name of the tag that a digit is to set.
function namerOf(done) {
  const namer = element("dialog", "sheet namer");
  const form = element("form");
  const label = element("label");
  const said = element("span");
  const box = element("input");
  box.type = "text";
  box.maxLength = 80;
  box.required = true;
  box.autocomplete = "off";
  label.append(said, box);
  const make = element("button", "close make", "Make it and tag");
  const cancel = element("button", "close", "Cancel");
  cancel.type = "button";
  cancel.addEventListener("click", () => namer.close());
  form.append(label, make, cancel);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = box.value.trim();
    if (!name) return;
    namer.close();
    done(namer.dataset.digit, name);
  });
  namer.append(form);
  namer.addEventListener("keydown", (event) => event.stopPropagation());
  namer.ask = (digit) => {
    namer.dataset.digit = digit;
    namer.setAttribute("aria-label", `Name the tag of key ${digit}`);
    said.textContent = `Key ${digit} has no tag yet. The name of a new tag:`;
    box.value = "";
    namer.showModal();
    box.focus();
  };
  return namer;
}

class Gallery {
  constructor(parent) {
    this.head = parent.querySelector(".head");
    this.grid = parent.querySelector(".grid");
    this.sheet = sheetOf();
    this.namer = namerOf((digit, name) => this.name(digit, name));
    parent.append(this.sheet, this.namer);
    this.tiles = [];
    this.picked = new Set();
    this.base = null; // what was picked before a range was begun, and where it began
    this.at = 0;
    this.key = null;
    this.data = null;
    this.channel = null;
    this.turning = null;
    this.held = [];
    this.opens = Date.now();
    this.calls = 0;
    this.watch = () => this.showTags();
    this.grid.addEventListener("click", (event) => this.clicked(event));
    this.grid.addEventListener("dblclick", (event) => this.doubled(event));
    this.grid.addEventListener("keydown", (event) => this.pressed(event));
    this.grid.addEventListener("focusin", (event) => {
      const index = this.tiles.indexOf(this.tileFrom(event));
      if (index >= 0) this.settle(index);
      window.errorscopeActive = this;
    });
    for (const dialog of [this.sheet, this.namer]) {
      dialog.addEventListener("close", () => this.focus(this.at));
    }
    this.outside = (event) => this.pressedOutside(event);
    this.skipped = (event) => this.skipTo(event);
  }

  tileFrom(event) {
    return event.target.closest && event.target.closest(".tile");
  }

  update(data, send) {
    this.send = send;
    const had = this.data;
    this.data = data;
    const channel = data.tagging ? channelOf(data.gallery) : null;
    if (this.channel && channel !== this.channel) this.channel.watchers.delete(this.watch);
    this.channel = channel;
    if (channel) {
      channel.watchers.add(this.watch);
      channel.act = (digit, off) => this.tag(digit, off);
      channel.answer = (word) => this.answer(word);
      channel.turnTo = (page) => this.turnTo(page);
      if (channel.page !== data.page || channel.pages !== data.pages) {
        channel.page = data.page;
        channel.pages = data.pages;
        channel.tell();
      }
    }
    document.addEventListener("keydown", this.outside);
    document.addEventListener("click", this.skipped);
    if (this.key !== data.key) this.rebuild(data, had);
    const marks = {
      texts: data.texts, pictures: data.pictures, columned: data.columns.length,
      unnamed: data.items.every((item) => item.label === null && item.prediction === null),
      untagged: !data.tagging, answering: data.answering, still: data.still,
    };
    const look = [data.density, ...Object.keys(marks).filter((name) => marks[name])].join(" ");
    this.grid.className = `grid ${look}`;
    this.head.className = `head ${look}`;
    this.grid.setAttribute("aria-label", data.label);
    this.showTags();
    this.showPicked();
  }

  rebuild(data, had) {
    const dropped = this.picked.size > 0;
    clearTimeout(this.picking);
    const inside = this.grid.contains(this.grid.getRootNode().activeElement);
    const back = had && had.page > data.page && this.turning;
    this.key = data.key;
    this.picked = new Set();
    this.base = null;
    this.tiles = data.items.map((item) => tileOf(item, data.columns));
    this.head.replaceChildren(...(data.columns.length ? [headOf(data.columns)] : []));
    if (data.answering) for (const tile of this.tiles) tile.append(this.answersOf(tile));
    this.grid.replaceChildren(...this.tiles);
    this.settle(back ? this.tiles.length - 1 : 0);
    if (inside || this.turning) this.focus(this.at);
    else if (data.answering && isIdle()) {
      // The round before went away under the hands of whoever answers: keys go on here.
      window.errorscopeActive = this;
      if (had || window.errorscopeAnswering) this.focus(this.at);
    }
    if (dropped) this.send("picked", []);
    if (this.turning) {
      clearTimeout(this.turning);
      this.turning = null;
      const held = this.held;
      this.held = [];
      for (const press of held) this.act(press);
    }
  }

  settle(index) {
    for (const tile of this.tiles) tile.tabIndex = -1;
    this.at = Math.max(0, Math.min(index, this.tiles.length - 1));
    if (this.tiles[this.at]) this.tiles[this.at].tabIndex = 0;
  }

  focus(index) {
    if (!this.tiles.length) return;
    this.settle(index);
    this.tiles[this.at].focus({ preventScroll: true });
    this.tiles[this.at].scrollIntoView({ block: "nearest" });
  }

  get columns() {
    const top = this.tiles[0].offsetTop;
    const second = this.tiles.findIndex((tile) => tile.offsetTop !== top);
    return second < 0 ? this.tiles.length : second;
  }

  // Another page; keys pressed until it is there wait for it.
  turn(by) {
    return this.turnTo(this.data.page + by);
  }

  turnTo(to) {
    if (!(to >= 1 && to <= this.data.pages) || to === this.data.page) return false;
    clearTimeout(this.turning);
    const ask = () => {
      this.opens += 1;
      this.send("turned", { to, count: this.opens });
      this.turning = setTimeout(ask, TURN_MS);
    };
    ask();
    return true;
  }

  move(by, range) {
    const to = this.at + by;
    if (range) {
      if (!this.base) this.base = { from: this.at, picked: new Set(this.picked) };
    } else {
      this.base = null;
      if (to >= this.tiles.length && by === 1 && this.turn(1)) return;
      if (to < 0 && by === -1 && this.turn(-1)) return;
    }
    if (to < 0 || to >= this.tiles.length) return;
    this.focus(to);
    if (range) this.pickRange(this.base, to);
  }

  pickRange(base, to) {
    const [low, high] = base.from < to ? [base.from, to] : [to, base.from];
    this.picked = new Set(base.picked);
    for (let i = low; i <= high; i += 1) this.picked.add(this.tiles[i].dataset.id);
    this.sendPicked();
  }

  toggle(index) {
    const id = this.tiles[index].dataset.id;
    this.base = null;
    if (!this.picked.delete(id)) this.picked.add(id);
    this.sendPicked();
  }

  pick(ids) {
    this.base = null;
    this.picked = new Set(ids);
    this.sendPicked();
  }

  sendPicked() {
    if (this.data.still) this.picked.clear();
    this.showPicked();
    clearTimeout(this.picking);
    this.picking = setTimeout(() => this.send("picked", [...this.picked]), PICK_MS);
  }

  open(index) {
    if (this.data.still) return;
    const id = this.tiles[index].dataset.id;
    this.opens += 1;
    const request = { id, count: this.opens };
    if (this.channel && this.channel.open) this.channel.open(request);
    else this.send("opened", request);
  }

  // Tag what is picked when it is several or the one in focus, else the one in focus, and go on.
  tag(digit, off) {
    const channel = this.channel;
    if (!channel || !this.tiles.length) return;
    const name = channel.keys[digit];
    if (channel.locked) {
      channel.say(channel.locked);
      return;
    }
    if (!name) {
      if (off) channel.say(`Key ${digit} has no tag to take off.`);
      else this.namer.ask(digit);
      return;
    }
    const here = this.tiles[this.at].dataset.id;
    const wanted = this.picked.size > 1 ? [...this.picked] : [here];
    const ids = wanted.filter((id) => channel.has(id, name) === off);
    if (ids.length) {
      channel.push({ kind: off ? "untag" : "tag", bundle: this.data.bundle, ids, tag: name, digit });
    }
    if (wanted.length === 1) {
      if (this.picked.delete(here)) this.sendPicked();
      this.move(1, false);
    }
  }

  // A digit gets a tag by this name, and sets it. A tag that has a digit keeps that one.
  name(digit, name) {
    const { channel } = this;
    const known = Object.entries(channel.keys).find(([, tag]) => tag === name);
    if (!known) channel.named[digit] = name;
    this.tag(known ? known[0] : digit, false);
  }

  answersOf(tile) {
    const row = element("div", "answers");
    for (const [key, [name, words]] of Object.entries(ANSWERS)) {
      const button = element("button", name);
      button.type = "button";
      button.tabIndex = -1;
      button.title = this.data.locked || `Key ${key}: ${name === "skip" ? "it cannot be said" : words}`;
      button.disabled = Boolean(this.data.locked);
      button.append(element("kbd", "", key), element("span", "", name));
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        this.settle(this.tiles.indexOf(tile));
        this.answer(name);
      });
      row.append(button);
    }
    return row;
  }

  // Say whether the example in focus belongs, and go on to the next that has no answer.
  answer(name) {
    if (!this.tiles.length || !this.channel) return;
    if (this.channel.locked) {
      this.channel.say(this.channel.locked);
      return;
    }
    window.errorscopeAnswering = true;
    const { id } = this.tiles[this.at].dataset;
    // Where it is sent late, after a reload, another question or round may be on screen.
    const { question, chances } = this.data.answering;
    const chance = chances[id] ?? null;
    this.channel.push({
      kind: "answer", bundle: this.data.bundle, ids: [id], tag: name, question, chance,
    });
    const open = (index) => !this.channel.tagsOf(this.tiles[index].dataset.id).length;
    const order = this.tiles.map((_, step) => (this.at + 1 + step) % this.tiles.length);
    const next = order.find(open);
    this.focus(next === undefined ? this.at : next);
  }

  act(press) {
    if (this.turning) {
      this.held.push(press);
      return true;
    }
    if (!this.tiles.length) return false;
    const { key, ctrl, shift, digit, off } = press;
    if (ctrl) {
      if (key !== "a" && key !== "A") return false;
      this.pick(this.tiles.map((tile) => tile.dataset.id));
      return true;
    }
    if (this.data.answering && !/^(Arrow|Home$|End$)/.test(key)) {
      if (key.toLowerCase() in ANSWERS) this.answer(ANSWERS[key.toLowerCase()][0]);
      else if (key === "u" || key === "U") {
        this.channel.push({ kind: key === "U" ? "redo" : "undo", bundle: this.data.bundle });
      } else if (key === "?") this.showSheet();
      else return false;
      return true;
    }
    const wide = this.data.density === "rows" ? 1 : this.columns;
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide };
    if (key in moves) this.move(moves[key], shift);
    else if (key === "Home") this.move(-this.at, shift);
    else if (key === "End") this.move(this.tiles.length - 1 - this.at, shift);
    else if (key === "PageDown") return this.turn(1);
    else if (key === "PageUp") return this.turn(-1);
    else if (key === " " && this.data.opening) this.open(this.at);
    else if (key === " ") this.toggle(this.at);
    else if (key === "Enter") this.open(this.at);
    else if (key === "Escape" && this.picked.size) this.pick([]);
    else if (key === "Escape") document.dispatchEvent(new CustomEvent("errorscope:clear"));
    else if (this.channel && digit) this.tag(digit, off);
    else if (this.channel && (key === "u" || key === "U")) {
      this.channel.push({ kind: key === "U" ? "redo" : "undo", bundle: this.data.bundle });
    } else if (key === "t") return typeTag(() => this.focus(this.at));
    else if (key === "?") this.showSheet();
    else return false;
    return true;
  }

  pressed(event) {
    if (event.altKey || !this.tileFrom(event)) return;
    if (this.act(pressOf(event))) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  // Keys pressed while nothing has the focus go to the gallery that had it last.
  pressedOutside(event) {
    const active = window.errorscopeActive;
    if (!isIdle() || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (isTyping(event) || document.querySelector("[role=dialog]")) return;
    if (active && active !== this && active.grid.isConnected) return;
    const press = pressOf(event);
    const known = this.data.answering ? "ynsYNSuU?" : "uU?";
    if (!(press.digit || known.includes(press.key)) || !this.channel) return;
    if (press.key !== "?" && active !== this) return;
    if (this.act(press)) event.preventDefault();
  }

  // The link at the head of the page leads to the first gallery on it.
  skipTo(event) {
    const { opening, still } = this.data;
    if (event.defaultPrevented || opening || still || !event.target.closest?.('a[href="#examples"]')) return;
    if (!this.tiles.length || !this.grid.isConnected) return;
    event.preventDefault();
    this.focus(this.at);
  }

  clicked(event) {
    const tile = this.tileFrom(event);
    if (!tile || event.detail > 1 || this.data.still) return;
    const from = this.at;
    const index = this.tiles.indexOf(tile);
    this.focus(index);
    if (this.data.answering) return;
    if (this.data.opening) this.open(index);
    else if (event.shiftKey) this.pickRange({ from, picked: new Set(this.picked) }, index);
    else this.toggle(index);
  }

  doubled(event) {
    const tile = this.tileFrom(event);
    if (!tile || this.data.opening || this.data.answering) return;
    const index = this.tiles.indexOf(tile);
    this.toggle(index); // the first click of the two picked it; opening leaves picks as they were
    this.open(index);
  }

  showPicked() {
    for (const tile of this.tiles) {
      const on = this.picked.has(tile.dataset.id);
      tile.classList.toggle("picked", on);
      tile.setAttribute("aria-selected", String(on));
    }
  }

  showTags() {
    for (const tile of this.tiles) {
      const tags = this.channel ? this.channel.tagsOf(tile.dataset.id) : [];
      const said = JSON.stringify(tags);
      if (tile.dataset.tags === said) continue;
      tile.dataset.tags = said;
      const holder = tile.querySelector(".tags");
      holder.replaceChildren(...tagChips(tags));
      holder.title = tags.map((tag) => tag.name).join(", ");
    }
  }

  showSheet() {
    const { answering } = this.data;
    const lines = (answering ? ANSWER_SHEET : SHEET).flatMap(([key, meaning]) => [
      element("dt", "", key), element("dd", "", meaning),
    ]);
    this.sheet.querySelector(".all").replaceChildren(...lines);
    for (const part of this.sheet.querySelectorAll(".tags, .assigned")) part.hidden = answering;
    const keys = Object.entries((this.channel && this.channel.keys) || {});
    const rows = keys.flatMap(([digit, name]) => [element("dt", "", digit), element("dd", "", name)]);
    const none = [element("dt", "", "–"), element("dd", "", "No key has a tag yet. Press one to name its tag.")];
    this.sheet.querySelector(".assigned").replaceChildren(...(rows.length ? rows : none));
    this.sheet.showModal();
  }

  leave() {
    document.removeEventListener("keydown", this.outside);
    document.removeEventListener("click", this.skipped);
    clearTimeout(this.turning);
    if (this.channel) this.channel.watchers.delete(this.watch);
  }
}

function isIdle() {
  return !document.activeElement || document.activeElement === document.body;
}

function pressOf(event) {
  return {
    key: event.key,
    ctrl: event.ctrlKey || event.metaKey,
    shift: event.shiftKey,
    digit: digitOf(event),
    off: takesOff(event),
  };
}

// Type a name into the tag box; what is chosen with Enter, or given up with Esc, leads back.
function typeTag(back) {
  const box = document.querySelector(".st-key-tag_name input");
  if (!box) return false;
  const end = () => {
    box.removeEventListener("keyup", ends);
    box.removeEventListener("blur", leaves);
  };
  const ends = (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    end();
    back();
  };
  // The box loses the focus for a moment whenever its list opens.
  const leaves = () => setTimeout(() => document.activeElement === box || end(), 500);
  box.addEventListener("keyup", ends);
  box.addEventListener("blur", leaves);
  box.focus();
  return true;
}

export default function ({ data, parentElement, setStateValue }) {
  let gallery = states.get(parentElement);
  if (!gallery) {
    gallery = new Gallery(parentElement);
    states.set(parentElement, gallery);
  }
  gallery.update(data, setStateValue);
  const call = (gallery.calls += 1);
  return () => call === gallery.calls && gallery.leave(); // only the latest call may clean up
}
