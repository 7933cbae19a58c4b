// Loads the map's bundle once and hands every update on to it. The bundle has an address of its own,
// so that an update of the page does not carry it again.

const MOST_TRIES = 3;
const modules = new Map();
let failed = 0;
const waiting = new WeakMap();

// The page's own address may end in a page name; routes hang below the folder it is in.
const base = () => new URL(".", window.location.href.split(/[?#]/)[0]);

export default function (component) {
  const { data, parentElement } = component;
  const name = data.module.split("/").pop();
  waiting.set(parentElement, component);
  if (!modules.has(name)) {
    const address = new URL(data.module, base());
    if (data.again) address.search = "?" + encodeURIComponent(data.again); // not the failed one
    modules.set(name, import(address));
  }
  modules.get(name).then(
    (module) => {
      const latest = waiting.get(parentElement);
      if (latest === component) module.update(latest, base());
    },
    () => {
      modules.delete(name);
      failed += 1;
      if (failed > MOST_TRIES) {
        parentElement.querySelector(".map").textContent =
          "The map could not be loaded. Reload the page.";
        return;
      }
      // The page runs again and offers what the server no longer kept.
      component.setStateValue("missing", name + " " + Date.now());
    },
  );
  return () => {
    waiting.delete(parentElement);
    if (modules.has(name)) modules.get(name).then((module) => module.remove(parentElement), () => {});
  };
}
