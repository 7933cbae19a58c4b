// What the colours say: kinds with counts that follow the selection, or a scale of numbers.

import { count, element, icon } from "./dom.js";

function kindsOf(legend, palette, state) {
  const list = element("ul", "kinds");
  for (const kind of legend.kinds) {
    const row = element("li");
    const button = element("button", "kind");
    button.type = "button";
    button.title = kind.name;
    button.setAttribute("aria-pressed", String(state.only === kind.code));
    const swatch = element("span", "swatch");
    swatch.style.backgroundColor = palette[kind.code];
    const counts = kind.held === kind.total
      ? count(kind.total)
      : count(kind.held) + " / " + count(kind.total);
    button.append(swatch, element("span", "name", kind.name), element("span", "counts", counts));
    button.addEventListener("click", () => state.highlight(kind.code));
    row.append(button);
    list.append(row);
  }
  return list;
}

function scaleOf(legend, palette) {
  const scale = element("div", "scale");
  scale.setAttribute("role", "img");
  scale.setAttribute(
    "aria-label", `Colour scale of ${legend.title}, from ${legend.low} to ${legend.high}`,
  );
  const bar = element("div", "bar");
  const colours = palette.slice(0, legend.steps);
  bar.style.backgroundImage =
    `linear-gradient(to right, ${(colours.length > 1 ? colours : [...colours, ...colours]).join(", ")})`;
  const ends = element("div", "ends");
  ends.append(element("span", "", legend.low), element("span", "", legend.high));
  scale.append(element("div", "title", legend.title), bar, ends);
  return scale;
}

export function showLegend(holder, data, state) {
  const told = JSON.stringify([data.legend, data.palette, state.only, state.legendFolded]);
  if (holder.dataset.told === told) return;
  holder.dataset.told = told;
  const { legend } = data;
  holder.hidden = !legend || (legend.kinds && !legend.kinds.length);
  if (holder.hidden) return holder.replaceChildren();
  const folded = state.legendFolded;
  const root = holder.getRootNode();
  const focused = [...holder.querySelectorAll("button")].indexOf(root.activeElement);
  const fold = element("button", "fold", "Legend");
  fold.type = "button";
  fold.setAttribute("aria-expanded", String(!folded));
  fold.setAttribute("aria-label", folded ? "Show the legend" : "Fold the legend");
  fold.title = fold.getAttribute("aria-label");
  fold.append(icon(folded ? "M6 8l4 4 4-4" : "M6 12l4-4 4 4"));
  fold.addEventListener("click", () => state.fold());
  const shown = legend.kinds ? kindsOf(legend, data.palette, state) : scaleOf(legend, data.palette);
  holder.classList.toggle("folded", folded);
  holder.replaceChildren(fold, ...(folded ? [] : [shown]));
  if (focused >= 0) holder.querySelectorAll("button")[focused]?.focus();
}
