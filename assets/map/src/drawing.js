// The lasso and the box: what the pointer draws, in pixels, until it is let go.

const SHORT = 4; // a drag shorter than this is a click
const STEP = 2.5; // corners of a lasso are at least this far apart
const MOST = 900; // corners sent at most

export function operationOf(event, sticky) {
  if (event.altKey || event.ctrlKey || event.metaKey) return "remove";
  if (event.shiftKey) return "add";
  return sticky;
}

function thinned(points) {
  if (points.length <= MOST) return points;
  const every = points.length / MOST;
  return Array.from({ length: MOST }, (_, at) => points[Math.floor(at * every)]);
}

/** Calls start(), change(shape), finish(shape, operation), click(point) and abandon(). */
export function createDrawing(target, { mode, sticky, change, finish, click, abandon }) {
  let pointer = null;
  let shape = null;
  let begun = null;
  const place = (event) => {
    const box = target.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
  const stop = () => {
    pointer = shape = begun = null;
    abandon();
  };
  const listeners = {
    pointerdown(event) {
      if (pointer !== null) return stop(); // a second finger: this is a pinch, not a lasso
      if (event.button !== 0) return;
      pointer = event.pointerId;
      begun = { at: place(event), event, operation: operationOf(event, sticky()) };
      if (mode() === "pan") return;
      target.setPointerCapture(pointer);
    },
    pointermove(event) {
      if (event.pointerId !== pointer || !begun || mode() === "pan") return;
      const at = place(event);
      if (!shape) {
        if (far(at, begun.at) < SHORT) return;
        shape = { kind: mode(), points: [begun.at], operation: begun.operation };
      }
      if (shape.kind === "box") shape.points = [begun.at, at];
      else {
        for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) {
          const next = place(one);
          if (far(next, shape.points[shape.points.length - 1]) >= STEP) shape.points.push(next);
        }
        if (far(at, shape.points[shape.points.length - 1]) >= STEP) shape.points.push(at);
      }
      shape.operation = operationOf(event, begun.operation);
      change(shape);
    },
    pointerup(event) {
      if (event.pointerId !== pointer) return;
      const drawn = shape;
      const from = begun;
      pointer = shape = begun = null;
      if (!drawn) {
        if (from && far(place(event), from.at) < SHORT) click(from.at);
        return abandon();
      }
      const enough = drawn.points.length >= (drawn.kind === "box" ? 2 : 3);
      if (!enough) return abandon();
      finish({ ...drawn, points: thinned(drawn.points) }, drawn.operation);
    },
    pointercancel(event) {
      if (event.pointerId === pointer) stop();
    },
  };
  for (const [name, listener] of Object.entries(listeners)) target.addEventListener(name, listener);
  return {
    get busy() { return shape !== null; },
    stop,
    end() {
      for (const [name, listener] of Object.entries(listeners)) {
        target.removeEventListener(name, listener);
      }
    },
  };
}
