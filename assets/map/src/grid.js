// The point next to the pointer: rows sorted into 256 x 256 cells of the lattice, once per layout.

export function createGrid(places) {
  const n = places.length / 2;
  const starts = new Uint32Array(65537);
  const cell = (i) => ((places[2 * i + 1] >> 8) << 8) | (places[2 * i] >> 8);
  for (let i = 0; i < n; i++) starts[cell(i) + 1]++;
  for (let at = 1; at < starts.length; at++) starts[at] += starts[at - 1];
  const rows = new Uint32Array(n);
  const next = starts.slice();
  for (let i = 0; i < n; i++) rows[next[cell(i)]++] = i;

  /** The nearest usable row to (x, y), in lattice steps; pixels per step and reach in pixels. */
  return function nearest(x, y, perX, perY, reach, usable) {
    const clamp = (value) => Math.max(0, Math.min(255, value >> 8));
    const left = clamp(x - reach / perX), right = clamp(x + reach / perX);
    const low = clamp(y - reach / perY), high = clamp(y + reach / perY);
    let best = -1;
    let least = reach * reach;
    for (let row = low; row <= high; row++) {
      for (let at = starts[(row << 8) | left]; at < starts[((row << 8) | right) + 1]; at++) {
        const i = rows[at];
        const dx = (places[2 * i] - x) * perX, dy = (places[2 * i + 1] - y) * perY;
        const away = dx * dx + dy * dy;
        if (away <= least && usable(i)) {
          best = i;
          least = away;
        }
      }
    }
    return best;
  };
}

/** Points inside a shape given in lattice steps: a box by two corners, else an outline (even-odd). */
export function countInside(places, kind, corners, usable) {
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
  const left = Math.min(...xs), right = Math.max(...xs);
  const low = Math.min(...ys), high = Math.max(...ys);
  let inside = 0;
  for (let i = 0; i < places.length / 2; i++) {
    const x = places[2 * i], y = places[2 * i + 1];
    if (x < left || x > right || y < low || y > high || !usable(i)) continue;
    let odd = kind === "box";
    if (!odd) {
      for (let at = 0, last = corners.length - 1; at < corners.length; last = at++) {
        if (ys[at] <= y !== ys[last] <= y &&
            x < ((xs[last] - xs[at]) * (y - ys[at])) / (ys[last] - ys[at]) + xs[at]) odd = !odd;
      }
    }
    if (odd) inside += 1;
  }
  return inside;
}
