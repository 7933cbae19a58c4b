// Shared by the modules of one gallery: keystrokes on their way, and what the server said last.
//
// Actions are numbered under a name drawn at random, and all that are not acknowledged are sent
// again until they are. Those a closed or reloaded tab left behind are sent by the next one under
// their old operation names, which the server does only once.

const PATIENCE_MS = 1500;
const ANSWERS = { y: ["yes", "belongs"], n: ["no", "does not belong"], s: ["skip", "skipped"] };
const LEFT = "errorscope-queue:";

class Channel {
  constructor(key) {
    this.key = key;
    this.instance = randomName();
    this.next = 1;
    this.sent = 0;
    this.items = [];
    this.said = { tags: {}, keys: {}, acknowledged: 0 };
    this.note = "";
    this.named = {}; // tags given to digits here, until the server says them too
    this.watchers = new Set();
    this.send = null;
    this.open = null;
    this.act = null;
    this.answer = null;
    this.turnTo = null;
    this.page = 1;
    this.pages = 1;
    this.waiting = null;
    for (const item of this.left()) this.items.push({ ...item, n: this.next++ });
  }

  left() {
    try {
      return JSON.parse(sessionStorage.getItem(LEFT + this.key)) || [];
    } catch {
      return [];
    }
  }

  keep() {
    try {
      if (this.items.length) sessionStorage.setItem(LEFT + this.key, JSON.stringify(this.items));
      else sessionStorage.removeItem(LEFT + this.key);
    } catch {
      // Storage may be off or full; the queue in memory is what counts.
    }
  }

  // Why nothing may be changed from this screen; empty where it may.
  get locked() {
    return this.said.locked || "";
  }

  push(action) {
    if (this.locked) {
      this.say(this.locked);
      return;
    }
    const n = this.next++;
    this.items.push({ n, operation: `${this.instance}-${n}`, ...action });
    this.note = "";
    this.keep();
    this.flush();
    this.tell();
  }

  flush() {
    if (!this.send || !this.items.length || this.waiting) return;
    this.sent += 1; // so that a queue sent again is not taken for the same state
    this.waiting = setTimeout(() => {
      this.waiting = null;
      this.flush();
    }, PATIENCE_MS);
    this.send({ instance: this.instance, sent: this.sent, items: this.items });
  }

  hear(said) {
    this.said = said;
    for (const digit of Object.keys(said.keys)) delete this.named[digit];
    if (said.problem) this.named = {};
    if (said.instance === this.instance) {
      this.items = this.items.filter((item) => item.n > said.acknowledged);
      clearTimeout(this.waiting);
      this.waiting = null;
      this.keep();
    }
    this.flush();
    this.tell();
  }

  say(note) {
    this.note = note;
    this.tell();
  }

  // Digit -> tag, as the server says, with what was just named here.
  get keys() {
    return { ...this.named, ...this.said.keys };
  }

  tell() {
    for (const watcher of this.watchers) watcher();
  }

  // The tags of an example as they will be: [{name, state: "kept" | "coming" | "going"}].
  tagsOf(id) {
    const found = new Map((this.said.tags[id] || []).map((name) => [name, "kept"]));
    for (const item of this.items) {
      if (!item.ids || !item.ids.includes(id)) continue;
      if (item.kind === "answer") {
        found.clear();
        found.set(Object.values(ANSWERS).find(([name]) => name === item.tag)[1], "coming");
      } else if (item.kind === "tag" && found.get(item.tag) !== "kept") found.set(item.tag, "coming");
      else if (item.kind === "untag" && found.has(item.tag)) found.set(item.tag, "going");
    }
    return [...found].map(([name, state]) => ({ name, state }));
  }

  has(id, tag) {
    return this.tagsOf(id).some((one) => one.name === tag && one.state !== "going");
  }
}

function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
    byte.toString(16).padStart(2, "0")).join("");
}

function channelOf(key) {
  const channels = (window.errorscopeChannels ??= new Map());
  if (!channels.has(key)) channels.set(key, new Channel(key));
  return channels.get(key);
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Whether a keystroke is meant for a box somebody types in, however deep in a shadow it is.
function isTyping(event) {
  return event.composedPath().some((node) =>
    node instanceof HTMLElement &&
    (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName) ||
      node.getAttribute("role") === "textbox" || node.getAttribute("role") === "combobox"));
}

function digitOf(event) {
  if (/^[1-9]$/.test(event.key)) return event.key;
  const found = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
  return found ? found[1] : null;
}

// Whether a digit takes the tag off: Shift with it, on keyboards where Shift does not make the digit.
function takesOff(event) {
  return event.shiftKey && !/^[1-9]$/.test(event.key);
}

function tagChips(tags) {
  return tags.map(({ name, state }) => element("span", `tag ${state}`, name));
}
