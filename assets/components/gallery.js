// A page of examples: pictures or texts with their true and predicted label, loss, weight and tags.
// Click or space picks an example, Enter or a double click opens it, arrow keys move.
// Data never becomes markup: every string goes in through textContent or alt.

const states = new WeakMap();

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function tileOf(item) {
  const tile = element("div", "tile");
  tile.setAttribute("role", "option");
  tile.tabIndex = -1;
  tile.dataset.id = item.id;
  tile.title = item.id;
  if (item.src) {
    const picture = element("img");
    picture.src = item.src;
    picture.alt = item.alt;
    picture.loading = "lazy";
    tile.append(picture);
  } else if (item.text) {
    tile.append(element("p", "text", item.text));
  } else {
    tile.append(element("p", "id", item.id));
  }
  if (item.label !== null) {
    tile.append(element("div", "outcome", item.label));
    if (item.prediction !== null) {
      const name = "outcome " + (item.wrong ? "wrong" : "right");
      tile.append(element("div", name, "→ " + item.prediction));
    }
  }
  const numbers = element("div", "numbers");
  numbers.append(element("span", "", item.loss));
  if (item.weight) numbers.append(element("span", "weight", item.weight));
  tile.append(numbers, element("div", "tags"));
  return tile;
}

function showTags(tile, tags) {
  const holder = tile.querySelector(".tags");
  holder.replaceChildren(...tags.map((tag) => element("span", "tag", tag)));
}

function showPicked(state) {
  for (const tile of state.tiles) {
    const on = state.picked.has(tile.dataset.id);
    tile.classList.toggle("picked", on);
    tile.setAttribute("aria-selected", String(on));
  }
}

function columnsOf(state) {
  const top = state.tiles[0].offsetTop;
  const second = state.tiles.findIndex((tile) => tile.offsetTop !== top);
  return second < 0 ? state.tiles.length : second;
}

export default function ({ data, parentElement, setStateValue }) {
  const grid = parentElement.querySelector(".grid");
  let state = states.get(parentElement);
  if (!state) {
    state = { key: null, tiles: [], picked: new Set(), send: null };
    states.set(parentElement, state);

    const tileFrom = (event) => event.target.closest && event.target.closest(".tile");
    const toggle = (tile) => {
      const id = tile.dataset.id;
      if (!state.picked.delete(id)) state.picked.add(id);
      showPicked(state);
      state.send("picked", [...state.picked]);
    };
    const open = (tile) => {
      state.opens += 1;
      state.send("opened", { id: tile.dataset.id, count: state.opens });
    };
    const focus = (index) => {
      if (index < 0 || index >= state.tiles.length) return;
      for (const tile of state.tiles) tile.tabIndex = -1;
      state.tiles[index].tabIndex = 0;
      state.tiles[index].focus();
    };
    state.opens = Date.now();
    grid.addEventListener("click", (event) => {
      const tile = tileFrom(event);
      if (!tile || event.detail > 1) return;
      focus(state.tiles.indexOf(tile));
      toggle(tile);
    });
    grid.addEventListener("dblclick", (event) => {
      const tile = tileFrom(event);
      if (!tile) return;
      toggle(tile); // the first click of the two picked it; opening leaves picks as they were
      open(tile);
    });
    grid.addEventListener("keydown", (event) => {
      const tile = tileFrom(event);
      if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
      const at = state.tiles.indexOf(tile);
      const moves = {
        ArrowRight: 1, ArrowLeft: -1, ArrowDown: columnsOf(state), ArrowUp: -columnsOf(state),
      };
      if (event.key in moves) focus(at + moves[event.key]);
      else if (event.key === " ") toggle(tile);
      else if (event.key === "Enter") open(tile);
      else if (event.key === "Escape" && state.picked.size) {
        state.picked.clear();
        showPicked(state);
        state.send("picked", []);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
  state.send = setStateValue;
  if (state.key !== data.key) {
    const had = state.picked.size > 0;
    state.key = data.key;
    state.picked = new Set();
    state.tiles = data.items.map(tileOf);
    if (state.tiles.length) state.tiles[0].tabIndex = 0;
    grid.classList.toggle("texts", data.texts);
    grid.setAttribute("aria-label", data.label);
    grid.replaceChildren(...state.tiles);
    if (had) setStateValue("picked", []);
  }
  data.items.forEach((item, index) => showTags(state.tiles[index], item.tags));
  showPicked(state);
}
