// What lies over the points: contours of regions with their numbers, the shape being drawn, and
// rings around the example under the pointer and the pinned one.

const LINE = { 0.5: 2, 0.8: 1.25 };

export function createContours(regions, towards) {
  return regions.map((region) => ({
    ...region,
    line: mixed(region.colour, towards, 0.35),
    paths: region.levels.map((level) => {
      const path = new Path2D();
      for (const line of level.lines) {
        for (let at = 0; at < line.length; at += 2) {
          if (at) path.lineTo(line[at], line[at + 1]);
          else path.moveTo(line[0], line[1]);
        }
        path.closePath();
      }
      return { share: level.share, path };
    }),
  }));
}

/** A colour moved towards another: lines stand out from points of the same colour. */
function mixed(colour, other, share) {
  const part = (text, at) => parseInt(text.slice(at, at + 2), 16);
  const parts = [1, 3, 5].map((at) => Math.round((1 - share) * part(colour, at) + share * part(other, at)));
  return `rgb(${parts.join(", ")})`;
}

function luminance(colour) {
  const parts = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}

const HIGH = 20;
const widthOf = (region) => Math.max(HIGH, 12 + 7 * region.number.length);

function badge(context, { region, x, y, wide, high }, theme) {
  context.beginPath();
  context.roundRect(x - wide / 2, y - high / 2, wide, high, high / 2);
  context.fillStyle = region.colour;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = theme.paper;
  context.stroke();
  context.fillStyle = luminance(region.colour) > 0.18 ? "#111315" : "#ffffff";
  context.fillText(region.number, x, y + 0.5);
}

function overlaps(a, b) {
  return Math.abs(a.x - b.x) < (a.wide + b.wide) / 2 && Math.abs(a.y - b.y) < (a.high + b.high) / 2;
}

function ring(context, [x, y], radius, theme, colour) {
  for (const [width, style] of [[4, theme.paper], [2, colour]]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  }
}

function outline(context, shape, theme) {
  const path = new Path2D();
  if (shape.kind === "box") {
    const [[x0, y0], [x1, y1]] = shape.points;
    path.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  } else {
    shape.points.forEach(([x, y], at) => (at ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  context.save();
  context.fillStyle = theme.accent;
  context.globalAlpha = shape.operation === "remove" ? 0.04 : 0.1;
  context.fill(path, "evenodd");
  context.globalAlpha = shape.sent ? 0.5 : 1;
  context.lineWidth = 1.75;
  context.strokeStyle = theme.accent;
  context.setLineDash(shape.operation === "remove" ? [5, 4] : []);
  context.stroke(path);
  context.restore();
}

export function drawOverlay(
  canvas, { camera, contours, chosen, theme, shape, hovered, pinned, ratio, size },
) {
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineJoin = "round";
  const matrix = camera.matrix();
  // The chosen region comes last and keeps both lines; beside it the others step back.
  const ordered = [...contours].sort((a, b) => chosen.includes(a.number) - chosen.includes(b.number));
  for (const region of ordered) {
    const back = chosen.length > 0 && !chosen.includes(region.number);
    for (const { share, path } of region.paths) {
      const outer = share >= 0.8;
      if (back && outer) continue;
      const placed = new Path2D();
      placed.addPath(path, matrix);
      const width = (LINE[share] || 1.5) - (back ? 0.6 : 0);
      context.setLineDash([]);
      context.globalAlpha = outer ? 0.45 : 0.75;
      context.lineWidth = width + 2.5;
      context.strokeStyle = theme.paper;
      context.stroke(placed);
      context.globalAlpha = back ? 0.75 : outer ? 0.8 : 1;
      context.setLineDash(outer ? [4, 3] : []);
      context.lineWidth = width;
      context.strokeStyle = region.line;
      context.stroke(placed);
    }
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
  context.font = `600 12px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  // The chosen region's number keeps its place, the others make room; it is drawn last, on top.
  const put = [];
  for (const region of [...ordered].reverse()) {
    if (!region.anchor) continue;
    const spot = { region, wide: widthOf(region), high: HIGH };
    [spot.x, spot.y] = camera.toScreen(...region.anchor);
    for (let tries = 0; tries < 6; tries++) {
      const met = put.find((other) => overlaps(spot, other));
      if (!met) break;
      spot.x = met.x + (met.wide + spot.wide) / 2 + 2;
    }
    put.push(spot);
  }
  for (const spot of put.reverse()) badge(context, spot, theme);
  if (hovered) ring(context, camera.toScreen(...hovered), size / 2 + 3, theme, theme.text);
  if (pinned) ring(context, camera.toScreen(...pinned), size / 2 + 4, theme, theme.accent);
  if (shape) outline(context, shape, theme);
}
