// The map: points, regions, a lasso and a box; tells the page what was drawn, in map coordinates.

import { fetched } from "./bytes.js";
import { createCamera, STEPS } from "./camera.js";
import { count, element, icon } from "./dom.js";
import { createDrawing } from "./drawing.js";
import { createGrid, countInside } from "./grid.js";
import { showLegend } from "./legend.js";
import { createContours, drawOverlay } from "./overlay.js";
import { createPoints, drawingOrder } from "./points.js";
import { createPreview } from "./preview.js";

const REACH = 10; // pixels from the pointer within which an example is meant
const COUNTED = 250_000; // more points than this are not counted while somebody draws
const PICTURE_MARGIN = 0.02; // as drawn by the server

const TOOLS = [
  ["lasso", "Lasso (L)", "M10 4c4 0 7 1.8 7 4.5S14 13 10 13 3 11.200 3 8.500 6 4 10 4M6 12.500c-1.500.5-2 2-1 3s.5 2-.5 2.500"],
  ["box", "Box (B)", "M4 4h12v12H4z"],
  ["pan", "Move the view (V)", "M10 2.500v15M2.500 10h15M10 2.500l-2 2M10 2.500l2 2M10 17.500l-2-2M10 17.500l2-2M2.500 10l2-2M2.500 10l2 2M17.500 10l-2-2M17.500 10l-2 2"],
];
const OPERATIONS = [
  ["add", "Add to the selection (Shift)", "M6 13H3V3h10v3M13 9.500v7M9.500 13h7"],
  ["remove", "Take away from the selection (Alt)", "M6 13H3V3h10v3M9.500 13h7"],
];
const ACTIONS = [
  ["fit", "Show everything (0)", "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4"],
  ["clear", "Clear the selection (Esc)", "M5 5l10 10M15 5L5 15"],
];

const KEYS = [
  ["L, B, V", "lasso, box, move the view"],
  ["Shift, Alt", "held while drawing: add, take away"],
  ["Enter", "select what is in view"],
  ["Esc", "clear the selection"],
  ["← → ↑ ↓", "move the view"],
  ["+, −, 0", "closer, farther, everything"],
  ["?", "this sheet"],
];

const maps = new WeakMap();

function build(root) {
  const parts = {
    bar: element("div", "head"),
    tools: element("div", "tools"),
    status: element("div", "status"),
    hint: element("div", "hint"),
    stage: element("div", "stage"),
    points: element("canvas", "points"),
    overlay: element("canvas", "overlay"),
    preview: element("div", "preview"),
    keys: element("div", "keys"),
    veil: element("div", "veil", "Loading the map"),
    legend: element("div", "legend"),
  };
  parts.points.setAttribute("aria-hidden", "true");
  parts.overlay.setAttribute("aria-hidden", "true");
  parts.tools.setAttribute("role", "toolbar");
  parts.tools.setAttribute("aria-label", "Ways to select on the map");
  parts.status.setAttribute("role", "status");
  parts.preview.hidden = true;
  parts.keys.hidden = true;
  parts.keys.setAttribute("role", "note");
  parts.keys.setAttribute("aria-label", "Keys of the map");
  parts.legend.hidden = true;
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  // Tools and words have a line of their own above the points; only an open legend lies over them.
  parts.bar.append(parts.tools, parts.status, parts.hint);
  parts.stage.append(parts.points, parts.overlay, parts.preview, parts.keys, parts.veil);
  root.replaceChildren(parts.bar, parts.stage, parts.legend);
  return parts;
}

/** One byte a point from two planes of bits: selected, then set aside by the filters. */
function statesOf(bytes, n) {
  const states = new Uint8Array(n);
  if (!bytes) return states;
  const planes = new Uint8Array(bytes);
  const half = Math.ceil(n / 8);
  for (let at = 0; at < half; at++) {
    const selected = planes[at], aside = planes[half + at];
    if (!selected && !aside) continue;
    for (let bit = 0; bit < 8 && 8 * at + bit < n; bit++) {
      states[8 * at + bit] = ((selected >> bit) & 1) | (((aside >> bit) & 1) << 1);
    }
  }
  return states;
}

class PointMap {
  constructor(root, base) {
    this.root = root;
    this.base = base;
    this.parts = build(root);
    this.mode = "lasso";
    this.sticky = "new";
    this.only = -1;
    this.folded = null; // as the page asks, until somebody folds or opens it
    this.narrow = root.clientWidth < 480; // on a phone the map comes first
    this.number = 0;
    this.pending = [];
    this.contours = [];
    this.shape = null;
    this.hovered = -1;
    this.pinned = -1;
    this.drawn = 0;
    this.shown = {};
    this.points = createPoints(this.parts.points);
    this.points?.watch(() => this.redraw());
    this.camera = createCamera(this.parts.overlay, {
      mayDrag: () => this.mode === "pan",
      onMove: () => {
        this.unhover();
        this.redraw();
      },
    });
    this.preview = createPreview(this.parts.preview, {
      close: () => this.unpin(),
      refused: () => this.missed(new Error("403")),
    });
    this.drawing = createDrawing(this.parts.overlay, {
      mode: () => this.mode,
      sticky: () => this.sticky,
      change: (shape) => {
        this.shape = shape;
        this.unhover();
        this.root.classList.add("drawing");
        this.redraw(true);
      },
      abandon: () => {
        this.shape = null;
        this.root.classList.remove("drawing");
        this.tell();
        this.redraw(true);
      },
      finish: (shape, operation) => this.finish(shape, operation),
      click: (place) => this.click(place),
    });
    this.buttons();
    this.listen();
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.parts.stage);
    this.resize();
  }

  buttons() {
    this.tool = {};
    const group = (entries, act) => {
      const holder = element("div", "group");
      for (const [name, title, path] of entries) {
        const button = element("button", "tool");
        button.type = "button";
        button.title = title;
        button.setAttribute("aria-label", title);
        button.dataset.tool = name;
        button.append(icon(path));
        button.addEventListener("click", () => act(name));
        holder.append(button);
        this.tool[name] = button;
      }
      this.parts.tools.append(holder);
    };
    group(TOOLS, (name) => this.setMode(name));
    group(OPERATIONS, (name) => {
      this.sticky = this.sticky === name ? "new" : name;
      this.tell();
    });
    group(ACTIONS, (name) => (name === "fit" ? this.camera.fit() : this.clear()));
  }

  listen() {
    const { overlay } = this.parts;
    overlay.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch" || this.drawing.busy || event.buttons) return;
      const box = overlay.getBoundingClientRect();
      this.hover([event.clientX - box.left, event.clientY - box.top]);
    });
    overlay.addEventListener("pointerleave", () => this.unhover());
    // A pointer that was held while it left, or left the window, is not told to the canvas.
    this.elsewhere = (event) => {
      if (!event.composedPath().includes(overlay)) this.unhover();
    };
    document.addEventListener("pointermove", this.elsewhere, { passive: true });
    document.documentElement.addEventListener("pointerleave", this.elsewhere);
    window.addEventListener("blur", this.elsewhere);
    // Esc clears the selection wherever the page has no other use for it.
    this.cleared = (event) => {
      const free = event.type !== "keydown" || (event.key === "Escape" && event.target === document.body);
      if (free && this.data && this.root.isConnected) this.clear();
    };
    document.addEventListener("keydown", this.cleared);
    document.addEventListener("errorscope:clear", this.cleared);
    overlay.addEventListener("dblclick", () => this.camera.fit());
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.target.closest?.("button") && ["Enter", " "].includes(event.key)) return;
    const step = 60;
    const acts = {
      ArrowLeft: () => this.camera.panBy(step, 0),
      ArrowRight: () => this.camera.panBy(-step, 0),
      ArrowUp: () => this.camera.panBy(0, step),
      ArrowDown: () => this.camera.panBy(0, -step),
      "+": () => this.camera.zoomBy(1.5),
      "=": () => this.camera.zoomBy(1.5),
      "-": () => this.camera.zoomBy(1 / 1.5),
      0: () => this.camera.fit(),
      l: () => this.setMode("lasso"),
      b: () => this.setMode("box"),
      v: () => this.setMode("pan"),
      "?": () => this.help(),
      Enter: () => this.selectView(event),
      Escape: () => this.escape(),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const command = (event.ctrlKey || event.metaKey || event.altKey) && event.key !== "Enter";
    if (!act || command) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  }

  setMode(name) {
    this.mode = name;
    this.drawing.stop();
    this.tell();
  }

  /** The sheet of keys, shown and put away by the same key. */
  help() {
    const { keys } = this.parts;
    keys.hidden = !keys.hidden;
    if (keys.childElementCount) return;
    for (const [key, words] of KEYS) keys.append(element("kbd", "", key), element("span", "", words));
  }

  escape() {
    if (!this.parts.keys.hidden) return this.help();
    if (this.drawing.busy) return this.drawing.stop();
    this.sticky = "new";
    this.unpin();
    this.clear();
    this.tell();
  }

  clear() {
    if (this.data.selected || this.pending.length) this.send({ kind: "clear", op: "new", points: [] });
  }

  selectView(event) {
    const operation = event.altKey || event.ctrlKey ? "remove" : event.shiftKey ? "add" : this.sticky;
    const { clientWidth: width, clientHeight: height } = this.parts.overlay;
    this.finish({ kind: "box", points: [[0, 0], [width, height]] }, operation);
  }

  finish(shape, operation) {
    if (!this.parts.veil.hidden) return this.drawing.stop();
    this.shape = { ...shape, operation, sent: true };
    this.root.classList.remove("drawing");
    this.send({ kind: shape.kind, op: operation, points: shape.points.map((at) => this.toMap(at)) });
    this.redraw(true);
  }

  /** From pixels to map coordinates; nine digits are finer than any screen. */
  toMap([x, y]) {
    const [u, v] = this.camera.toLattice(x, y);
    const [x0, x1, y0, y1] = this.data.bounds;
    return [
      Number((x0 + (u / STEPS) * (x1 - x0)).toPrecision(12)),
      Number((y0 + (v / STEPS) * (y1 - y0)).toPrecision(12)),
    ];
  }

  click(place) {
    if (this.data.picture) {
      return this.send({ kind: "pin", op: "new", row: null, points: [this.toMap(place)] });
    }
    const row = this.nearest(place);
    if (row < 0 || row === this.pinned) return this.unpin();
    this.pinned = row;
    this.hovered = -1;
    this.showCard(row, true);
    this.send({ kind: "pin", op: "new", row, points: [] });
    this.redraw(true);
  }

  unpin() {
    if (this.pinned < 0) return;
    this.pinned = -1;
    this.preview.hide();
    this.redraw(true);
  }

  send(gesture) {
    this.number = Math.max(this.number, this.data.done) + 1;
    this.pending.push({ ...gesture, number: this.number, map: this.data.map });
    this.tellPage("gestures", [...this.pending]);
  }

  nearest([x, y]) {
    if (!this.shown.grid) return -1;
    const usable = (row) => this.drawnHere(row);
    const reach = Math.max(REACH, this.pointSize());
    return this.shown.grid(
      ...this.camera.toLattice(x, y), this.camera.perX, this.camera.perY, reach, usable,
    );
  }

  /** Whether a row is on the map at all: filters may have set it aside, and hidden it. */
  drawnHere(row) {
    const { state } = this.shown;
    return !(state && this.data.hide && state[row] & 2);
  }

  hover(place) {
    if (this.pinned >= 0) return;
    const row = this.nearest(place);
    if (row === this.hovered) return;
    this.hovered = row;
    if (row < 0) this.preview.hide();
    else this.showCard(row, false);
    this.parts.overlay.classList.toggle("over", row >= 0);
    this.redraw(true);
  }

  unhover() {
    if (this.hovered < 0) return;
    this.hovered = -1;
    this.parts.overlay.classList.remove("over");
    if (this.pinned < 0) this.preview.hide();
    this.redraw(true); // without its ring
  }

  showCard(row, pinned) {
    if (!this.data.items) return;
    const prefix = new URL(this.data.items, this.base).href;
    this.preview.show(prefix, row, this.screenOf(row), this.size(), pinned);
  }

  place(row) {
    const { places } = this.shown;
    return places && row >= 0 ? [places[2 * row], places[2 * row + 1]] : null;
  }

  screenOf(row) { return this.camera.toScreen(...this.place(row)); }

  size() { return [this.parts.overlay.clientWidth, this.parts.overlay.clientHeight]; }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.parts.stage;
    if (!width || !height) return;
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of [this.parts.points, this.parts.overlay]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.camera.resize(width, height);
    this.redraw();
  }

  /** Diameter in pixels: smaller the more points there are, larger the closer the view. */
  pointSize() {
    const n = Math.max(1, this.data?.n || 1);
    const base = Math.min(7, Math.max(1.7, 7 - 1.5 * Math.log10(n / 300)));
    return Math.min(14, base * this.camera.scale ** 0.45);
  }

  opacity() {
    const n = Math.max(1, this.data?.n || 1);
    const base = Math.min(0.9, Math.max(0.2, 1.55 - 0.215 * Math.log10(n)));
    return Math.min(0.9, base * Math.max(1, this.camera.scale) ** 0.35);
  }

  redraw(overlayOnly = false) {
    if (!overlayOnly) this.stale = true;
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = null;
      if (!this.data) return;
      if (this.stale) this.drawPoints();
      this.stale = false;
      if (this.shape && !this.shape.sent) this.countShape();
      drawOverlay(this.parts.overlay, {
        camera: this.camera,
        contours: this.contours,
        chosen: this.data.chosen,
        theme: { ...this.data.theme, font: getComputedStyle(this.root).fontFamily },
        shape: this.shape,
        hovered: this.place(this.hovered),
        pinned: this.place(this.pinned),
        ratio: this.ratio,
        size: this.pointSize(),
      });
      if (this.pinned >= 0) this.preview.move(this.screenOf(this.pinned), this.size());
    });
  }

  /** How many points the shape holds so far; the page counts exactly, on unrounded positions. */
  countShape() {
    const { places } = this.shown;
    if (!places || this.data.n > COUNTED) return;
    const corners = this.shape.points.map(([x, y]) => this.camera.toLattice(x, y));
    const inside = countInside(places, this.shape.kind, corners, (row) => this.drawnHere(row));
    this.parts.hint.textContent = `about ${count(inside)} inside`;
  }

  drawPoints() {
    if (this.data.picture) return this.drawPicture();
    if (!this.points || !this.shown.order) return;
    const { context, accent } = this.data.theme;
    this.points.draw({
      view: this.camera.view(),
      size: this.pointSize() * this.ratio,
      rim: Math.min(1.5, 0.9 + 0.1 * this.pointSize()) * this.ratio,
      opacity: this.opacity(),
      only: this.only,
      selecting: this.shown.selecting,
      context,
      accent,
    });
    this.counted();
  }

  drawPicture() {
    const { picture } = this.shown;
    if (!picture) return;
    const context = this.parts.picture.getContext("2d");
    const share = PICTURE_MARGIN / (1 - 2 * PICTURE_MARGIN);
    const [x0, y0] = this.camera.toScreen(-share * STEPS, (1 + share) * STEPS);
    const [x1, y1] = this.camera.toScreen((1 + share) * STEPS, -share * STEPS);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.parts.picture.width, this.parts.picture.height);
    context.drawImage(picture, x0, y0, x1 - x0, y1 - y0);
    this.counted();
  }

  /** For whoever waits until the map is drawn. */
  counted() {
    this.drawn += 1;
    this.root.dataset.drawn = String(this.drawn);
    this.root.dataset.showing = this.showing || "";
  }

  /** Whether the legend shows no more than its button. */
  get legendFolded() {
    return this.folded ?? (this.narrow || Boolean(this.data.legend?.folded));
  }

  fold() {
    this.folded = !this.legendFolded;
    this.tell();
  }

  highlight(code) {
    this.only = this.only === code ? -1 : code;
    this.reorder();
    this.tell();
    this.redraw();
  }

  reorder() {
    const { codes, state } = this.shown;
    if (!codes || !this.points) return;
    const byCode = Boolean(this.data.legend && !this.data.legend.kinds);
    const sorted = drawingOrder(codes, state, {
      byCode, hide: this.data.hide, only: this.only, aside: this.data.aside,
    });
    this.shown.order = sorted.order;
    this.shown.selecting = sorted.selecting;
    this.points.set({ order: sorted.order });
  }

  async update(component) {
    const { data, setStateValue } = component;
    this.tellPage = setStateValue;
    const before = this.data;
    this.data = data;
    this.pending = this.pending.filter((one) => one.number > data.done);
    if (this.shape?.sent && !this.pending.length) this.shape = null;
    if (before && before.map !== data.map) {
      this.hovered = this.pinned = -1;
      this.preview.hide();
      this.shape = null;
      this.camera.fit(); // a place on another layout means nothing here
      this.drawing.stop();
      // What is still on screen is the old layout: nothing can be drawn until the new one is.
      this.parts.veil.hidden = false;
    }
    if (JSON.stringify(before?.legend?.kinds?.map((one) => one.name)) !==
        JSON.stringify(data.legend?.kinds?.map((one) => one.name))) this.only = -1;
    if (before && Boolean(before.legend?.folded) !== Boolean(data.legend?.folded)) this.folded = null;
    this.root.style.height = data.height + "px";
    this.root.setAttribute("aria-label", data.label);
    this.tell();
    this.redraw(true);
    if (!this.points && !data.picture) {
      this.parts.veil.textContent = "This browser has no WebGL 2: the server draws the map";
      setStateValue("webgl", false);
      return;
    }
    try {
      await (data.picture ? this.takePicture(data) : this.takePoints(data));
      if (this.data !== data) return; // a newer update is on its way
      this.parts.veil.hidden = true;
      if (this.hovered >= 0 && !this.drawnHere(this.hovered)) this.unhover();
      this.showing = [data.points, data.codes, data.state, data.picture]
        .map((one) => (one ? one.split("/").pop().slice(0, 8) : "-")).join(" ");
      this.redraw();
    } catch (error) {
      if (this.data === data) this.missed(error);
    }
  }

  /** Bytes the server no longer keeps are offered again on the page's next run. */
  missed(error) {
    this.misses = (this.misses || 0) + 1;
    if (this.misses > 3) {
      this.parts.veil.hidden = false;
      this.parts.veil.textContent = "The map could not be loaded. Reload the page.";
      return;
    }
    this.tellPage("missing", String(error.message).slice(0, 20) + " " + Date.now());
  }

  async takePoints(data) {
    const get = (address) => (address ? fetched(address, this.base) : null);
    const [points, codes, state, contours] = await Promise.all(
      [data.points, data.codes, data.state, data.contours].map(get),
    );
    if (this.data !== data) return;
    this.misses = 0;
    const fresh = {};
    if (this.shown.points !== points) {
      fresh.places = new Uint16Array(points);
      this.shown.grid = null;
      const build = () => {
        if (this.shown.points === points) this.shown.grid = createGrid(fresh.places);
      };
      if (window.requestIdleCallback) requestIdleCallback(build, { timeout: 500 });
      else setTimeout(build);
    }
    if (this.shown.codesFrom !== codes) fresh.codes = new Uint8Array(codes);
    if (this.shown.stateFrom !== state || fresh.places) {
      fresh.state = statesOf(state, points.byteLength / 4);
    }
    if (this.palette !== data.palette.join()) fresh.palette = data.palette;
    this.palette = data.palette.join();
    this.points.set(fresh);
    this.shown = { ...this.shown, ...fresh, points, codesFrom: codes, stateFrom: state };
    const ordering = JSON.stringify([
      data.hide, data.aside, data.legend && !data.legend.kinds, this.only,
    ]);
    if (fresh.codes || fresh.state || this.ordering !== ordering) this.reorder();
    this.ordering = ordering;
    this.takeContours(contours);
  }

  async takePicture(data) {
    const [bytes, contours] = await Promise.all(
      [data.picture, data.contours].map((address) => (address ? fetched(address, this.base) : null)),
    );
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    if (this.data !== data) return;
    this.misses = 0;
    if (!this.parts.picture) {
      this.parts.picture = element("canvas", "points");
      this.parts.points.replaceWith(this.parts.picture);
      this.points?.end();
      this.points = null;
      this.parts.points = this.parts.picture;
      this.resize();
    }
    this.shown = { picture };
    this.takeContours(contours);
  }

  takeContours(bytes) {
    const { text } = this.data.theme;
    if (this.contoursFrom === bytes && this.contoursOn === text) return;
    this.contoursFrom = bytes;
    this.contoursOn = text;
    this.contours = bytes ? createContours(JSON.parse(new TextDecoder().decode(bytes)), text) : [];
  }

  /** Buttons, legend and the line below the map. */
  tell() {
    for (const [name] of TOOLS) this.tool[name].setAttribute("aria-pressed", String(this.mode === name));
    for (const [name] of OPERATIONS) {
      this.tool[name].setAttribute("aria-pressed", String(this.sticky === name));
    }
    this.parts.overlay.dataset.mode = this.mode;
    const { data } = this;
    if (!data) return;
    this.tool.clear.disabled = !data.selected;
    showLegend(this.parts.legend, data, this);
    const told = data.selected
      ? `${count(data.selected)} of ${count(data.n)} selected`
      : `${count(data.n)} examples`;
    if (this.parts.status.textContent !== told) this.parts.status.textContent = told;
    this.parts.hint.textContent = [
      data.picture ? "No WebGL 2 here: drawn by the server." : "",
      data.selected ? "Shift adds, Alt removes, Esc clears" : "Draw to select, scroll to zoom, click to pin, ? for keys",
    ].filter(Boolean).join(" ");
  }

  end() {
    cancelAnimationFrame(this.asked);
    this.watcher.disconnect();
    document.removeEventListener("pointermove", this.elsewhere);
    document.documentElement.removeEventListener("pointerleave", this.elsewhere);
    window.removeEventListener("blur", this.elsewhere);
    document.removeEventListener("keydown", this.cleared);
    document.removeEventListener("errorscope:clear", this.cleared);
    this.preview.hide();
    this.camera.end();
    this.drawing.end();
    this.points?.end();
  }
}

export function update(component, base) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".map");
  let map = maps.get(parentElement);
  if (map && map.root !== root) {
    map.end();
    map = null;
  }
  if (!map) {
    root.style.height = component.data.height + "px";
    map = new PointMap(root, base);
    maps.set(parentElement, map);
  }
  map.update(component);
}

export function remove(parentElement) {
  maps.get(parentElement)?.end();
  maps.delete(parentElement);
}
