// Copies a Plotly chart of this page as SVG or PNG; saves it as a file where there is no clipboard.
// The chart is found by the class Streamlit gives to a widget's key.

function drawingOf(plot, background) {
  const box = plot.getBoundingClientRect();
  const width = Math.round(box.width);
  const height = Math.round(box.height);
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("xmlns", space);
  drawing.setAttribute("xmlns:xlink", "http://www.w3.org/1999/xlink");
  drawing.setAttribute("width", width);
  drawing.setAttribute("height", height);
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const ground = document.createElementNS(space, "rect");
  ground.setAttribute("width", width);
  ground.setAttribute("height", height);
  ground.setAttribute("fill", background);
  drawing.append(ground);
  for (const layer of plot.querySelectorAll("svg.main-svg")) {
    for (const part of layer.cloneNode(true).childNodes) {
      if (part.nodeType === Node.ELEMENT_NODE) drawing.append(part.cloneNode(true));
    }
  }
  for (const layer of drawing.querySelectorAll(".dragcover, .nsewdrag, .hoverlayer, .modebar")) {
    layer.remove();
  }
  return { text: new XMLSerializer().serializeToString(drawing), width, height };
}

function pngOf(drawing) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * drawing.width;
      canvas.height = 2 * drawing.height;
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/png");
    };
    picture.onerror = () => reject(new Error("no picture"));
    picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(drawing.text);
  });
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function take(kind, data, say) {
  const plot = document.querySelector(`.st-key-${CSS.escape(data.chart)} .js-plotly-plot`);
  if (!plot) {
    say("The chart is still being drawn.");
    return;
  }
  const background = getComputedStyle(document.querySelector(".stApp")).backgroundColor;
  const drawing = drawingOf(plot, background);
  const svg = new Blob([drawing.text], { type: "image/svg+xml" });
  try {
    if (kind === "SVG") await navigator.clipboard.writeText(drawing.text);
    else await navigator.clipboard.write([new ClipboardItem({ "image/png": pngOf(drawing) })]);
    say(`${kind} copied`);
  } catch {
    // No permission, or a page that is not served securely: a file is as good.
    save(kind === "SVG" ? svg : await pngOf(drawing), `${data.name}.${kind.toLowerCase()}`);
    say(`${kind} saved`);
  }
}

export default function ({ data, parentElement }) {
  const tools = parentElement.querySelector(".tools");
  const said = document.createElement("span");
  said.className = "said";
  said.setAttribute("role", "status");
  const buttons = ["PNG", "SVG"].map((kind) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Copy ${kind}`;
    button.onclick = () => take(kind, data, (words) => { said.textContent = words; });
    return button;
  });
  tools.replaceChildren(...buttons, said);
}
