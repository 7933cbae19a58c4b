// Sends files one after the other, each as the body of one request, so that the server can write
// them to disk as they arrive. Tells the page once all are there.

const states = new WeakMap();

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1) + " MB";
}

function send(file, url, onProgress, state) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    state.request = request;
    request.open("PUT", url);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () =>
      request.status === 200 ? resolve() : reject(new Error(request.responseText || "refused"));
    request.onerror = () => reject(new Error("the connection broke off"));
    request.onabort = () => reject(new Error("cancelled"));
    request.send(file);
  });
}

export default function ({ data, parentElement, setStateValue }) {
  const input = parentElement.querySelector("input");
  const bar = parentElement.querySelector("progress");
  const status = parentElement.querySelector(".status");
  const stop = parentElement.querySelector(".stop");
  let state = states.get(parentElement);
  if (!state) {
    state = { request: null };
    states.set(parentElement, state);
    stop.addEventListener("click", () => state.request && state.request.abort());
    input.addEventListener("change", async () => {
      const files = [...input.files];
      if (!files.length) return;
      const total = files.reduce((sum, file) => sum + file.size, 0);
      input.disabled = true;
      bar.hidden = stop.hidden = false;
      let before = 0;
      try {
        for (const file of files) {
          if (file.size > state.data.cap) {
            throw new Error(file.name + " is larger than the " + megabytes(state.data.cap) + " this server takes");
          }
          const url = "upload/" + state.data.ticket + "?name=" + encodeURIComponent(file.name);
          await send(file, new URL(url, state.base), (loaded) => {
            bar.value = (before + loaded) / Math.max(1, total);
            status.textContent = megabytes(before + loaded) + " of " + megabytes(total) + " sent";
          }, state);
          before += file.size;
        }
        status.textContent = megabytes(total) + " sent. Importing.";
        state.tell("sent", { ticket: state.data.ticket, count: files.length });
      } catch (error) {
        status.textContent = "Not sent: " + error.message + ". Choose the files again.";
        input.disabled = false;
        input.value = "";
      }
      bar.hidden = stop.hidden = true;
    });
  }
  if (state.data && state.data.ticket !== data.ticket) {
    input.disabled = false;
    input.value = "";
    status.textContent = "";
  }
  state.data = data;
  state.tell = setStateValue;
  // The page's own address may end in a page name; routes hang below the folder it is in.
  state.base = new URL(".", window.location.href.split("?")[0]);
}
