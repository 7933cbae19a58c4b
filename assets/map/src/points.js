// All points in one draw call: positions as two uint16, colour and state as one byte each, and the
// order in which to draw them. WebGL 2, nothing but the browser.

const VERTEX = `#version 300 es
layout(location = 0) in vec2 place;
layout(location = 1) in uint code;
layout(location = 2) in uint state;
uniform sampler2D palette;
uniform vec4 view;
uniform vec4 context;
uniform float size;
uniform float rim;
uniform float opacity;
uniform int only;
uniform bool selecting;
flat out vec4 ink;
flat out float radius;
flat out float ringed;
void main() {
  bool chosen = (state & 1u) != 0u;
  bool aside = (state & 2u) != 0u;
  ink = texelFetch(palette, ivec2(int(code), 0), 0);
  float alpha = opacity;
  ringed = 0.0;
  float across = size;
  if (aside) {
    ink = context;
    alpha *= 0.3;
  } else if (only >= 0 && int(code) != only) {
    ink = context;
    alpha *= 0.45;
  } else if (selecting && !chosen) {
    ink = context;
    alpha *= 0.7;
  } else if (chosen) {
    alpha = min(1.0, 1.6 * opacity);
    across = size + 1.4 * rim;
    ringed = rim;
  }
  if (!chosen && ink.rgb == context.rgb) alpha *= 0.7; // context, whatever code it has
  ink = vec4(ink.rgb, 1.0) * alpha;
  radius = 0.5 * across;
  gl_Position = vec4(place * view.xy + view.zw, 0.0, 1.0);
  gl_PointSize = across + 1.0;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 accent;
uniform float rim;
flat in vec4 ink;
flat in float radius;
flat in float ringed;
out vec4 colour;
void main() {
  float away = length(gl_PointCoord - 0.5) * (2.0 * radius + 1.0);
  float inside = clamp(radius + 0.5 - away, 0.0, 1.0);
  if (inside <= 0.0) discard;
  float outer = ringed > 0.0 ? clamp(away - (radius - ringed) + 0.5, 0.0, 1.0) : 0.0;
  colour = mix(ink, vec4(accent.rgb, 1.0) * ink.a, outer) * inside;
}`;

export function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

/** Rows in drawing order: set aside, then context, then colours, then selected; rarest on top. */
export function drawingOrder(codes, state, { byCode, hide, only, aside }) {
  const n = codes.length;
  const rank = new Uint16Array(256);
  if (byCode) rank.forEach((_, code) => { rank[code] = code; });
  else {
    const counts = new Uint32Array(256);
    for (let i = 0; i < n; i++) counts[codes[i]]++;
    [...counts.keys()].sort((a, b) => counts[b] - counts[a] || a - b)
      .forEach((code, at) => { rank[code] = at; });
  }
  let selecting = false;
  if (state && aside) for (let i = 0; i < n && !selecting; i++) selecting = (state[i] & 1) === 1;
  const layer = new Uint16Array(n);
  const starts = new Uint32Array(2 + 512 + 1);
  for (let i = 0; i < n; i++) {
    const bits = state ? state[i] : 0;
    let at = 2 + rank[codes[i]];
    if (bits & 2) at = 0;
    else if (only >= 0 && codes[i] !== only) at = 1;
    else if (bits & 1) at += 256;
    else if (selecting) at = 1;
    layer[i] = at;
    starts[at + 1]++;
  }
  for (let at = 1; at < starts.length; at++) starts[at] += starts[at - 1];
  const first = hide ? starts[1] : 0;
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[starts[layer[i]]++] = i;
  return { order: hide ? order.subarray(first) : order, selecting };
}

/** Draws into a canvas; null where the browser has no WebGL 2. */
export function createPoints(canvas) {
  const gl = canvas.getContext("webgl2", {
    alpha: true, antialias: false, depth: false, premultipliedAlpha: true,
  });
  if (!gl) return null;
  let program, uniforms, buffers, texture;
  let count = 0;
  let kept = {};

  function shader(kind, source) {
    const made = gl.createShader(kind);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    return made;
  }

  function setUp() {
    program = gl.createProgram();
    gl.attachShader(program, shader(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, shader(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      if (gl.isContextLost()) return;
      throw new Error("The map's shaders were refused: " + gl.getProgramInfoLog(program));
    }
    gl.useProgram(program);
    uniforms = Object.fromEntries(
      ["view", "context", "accent", "size", "rim", "opacity", "only", "selecting"].map((name) => [
        name, gl.getUniformLocation(program, name),
      ]),
    );
    buffers = ["place", "code", "state", "order"].map(() => gl.createBuffer());
    texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    }
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  function upload({ places, codes, state, palette, order }) {
    if (places) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[0]);
      gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(0);
      gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    }
    [[1, codes], [2, state]].forEach(([slot, bytes]) => {
      if (!bytes) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[slot]);
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
      gl.enableVertexAttribArray(slot);
      gl.vertexAttribIPointer(slot, 1, gl.UNSIGNED_BYTE, 0, 0);
    });
    if (order) {
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers[3]);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
      count = order.length;
    }
    if (palette) {
      const texels = new Uint8Array(256 * 4);
      palette.forEach((colour, at) => texels.set([...rgb(colour), 255], 4 * at));
      gl.texImage2D(
        gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels,
      );
    }
  }

  const lost = (event) => event.preventDefault();
  const restored = (redraw) => () => {
    setUp();
    upload(kept);
    redraw();
  };
  setUp();
  return {
    /** Any of places, codes, state, palette, order; what is left out stays. */
    set(given) {
      kept = { ...kept, ...given };
      if (!gl.isContextLost()) upload(given);
    },
    draw({ view, size, rim, opacity, only, selecting, context, accent }) {
      if (gl.isContextLost()) return;
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform4f(uniforms.view, ...view);
      gl.uniform4f(uniforms.context, ...rgb(context).map((part) => part / 255), 1);
      gl.uniform4f(uniforms.accent, ...rgb(accent).map((part) => part / 255), 1);
      gl.uniform1f(uniforms.size, size);
      gl.uniform1f(uniforms.rim, rim);
      gl.uniform1f(uniforms.opacity, opacity);
      gl.uniform1i(uniforms.only, only);
      gl.uniform1i(uniforms.selecting, selecting ? 1 : 0);
      if (count) gl.drawElements(gl.POINTS, count, gl.UNSIGNED_INT, 0);
    },
    watch(redraw) {
      canvas.addEventListener("webglcontextlost", lost);
      canvas.addEventListener("webglcontextrestored", restored(redraw));
    },
    end() {
      const extension = gl.getExtension("WEBGL_lose_context");
      if (extension) extension.loseContext();
    },
  };
}
