// From lattice steps to pixels and back; wheel, pinch and drag move the view (d3-zoom).

import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";

const PAD = 14;
export const STEPS = 65535;

export function createCamera(target, { mayDrag, onMove }) {
  let width = 1, height = 1;
  let now = zoomIdentity;
  const behaviour = zoom()
    .scaleExtent([0.7, 64])
    .filter((event) => {
      if (event.type === "wheel") return !event.altKey;
      if (event.type === "dblclick") return false;
      if (event.type === "touchstart") return mayDrag() || event.touches.length > 1;
      return event.button === 1 || (event.button === 0 && mayDrag());
    })
    .on("zoom", (event) => {
      now = event.transform;
      onMove();
    });
  const chosen = select(target).call(behaviour).on("dblclick.zoom", null);
  const innerX = () => Math.max(1, width - 2 * PAD), innerY = () => Math.max(1, height - 2 * PAD);
  return {
    get scale() { return now.k; },
    /** Pixels per lattice step. */
    get perX() { return (now.k * innerX()) / STEPS; },
    get perY() { return (now.k * innerY()) / STEPS; },
    resize(toWidth, toHeight) {
      const fresh = width === 1;
      const moved = fresh
        ? zoomIdentity
        : zoomIdentity.translate((now.x * toWidth) / width, (now.y * toHeight) / height).scale(now.k);
      width = toWidth;
      height = toHeight;
      behaviour.extent([[0, 0], [width, height]])
        .translateExtent([[-0.6 * width, -0.6 * height], [1.6 * width, 1.6 * height]]);
      chosen.property("__zoom", moved);
      now = moved;
    },
    toScreen(x, y) {
      return [
        now.applyX(PAD + (x / STEPS) * innerX()),
        now.applyY(height - PAD - (y / STEPS) * innerY()),
      ];
    },
    toLattice(x, y) {
      return [
        ((now.invertX(x) - PAD) / innerX()) * STEPS,
        ((height - PAD - now.invertY(y)) / innerY()) * STEPS,
      ];
    },
    /** Scale and offset from places in [0, 1] to clip space. */
    view() {
      return [
        (2 * now.k * innerX()) / width,
        (2 * now.k * innerY()) / height,
        (2 * now.applyX(PAD)) / width - 1,
        1 - (2 * now.applyY(height - PAD)) / height,
      ];
    },
    matrix() { // from lattice steps to pixels, for paths
      const [x, y] = this.toScreen(0, 0);
      return new DOMMatrix([this.perX, 0, 0, -this.perY, x, y]);
    },
    zoomBy(factor) { chosen.call(behaviour.scaleBy, factor); },
    panBy(x, y) { chosen.call(behaviour.translateBy, x / now.k, y / now.k); },
    fit() { chosen.call(behaviour.transform, zoomIdentity); },
    end() { chosen.on(".zoom", null); },
  };
}
