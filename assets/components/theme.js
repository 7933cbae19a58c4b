// Tells the page when the reader's theme changes, so that what the server coloured is coloured anew.
// The probe takes the theme's ground as its colour; its transition ends when that has changed.

const told = new WeakMap();

function isDark(probe) {
  const parts = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  return parts[0] + parts[1] + parts[2] < 384;
}

export default function ({ data, parentElement, setStateValue }) {
  const probe = parentElement.querySelector(".probe");
  const tell = () => {
    const dark = isDark(probe);
    // Once for each change: a page that goes on saying otherwise is not asked again and again.
    if (dark === data.dark || told.get(probe) === dark) return;
    told.set(probe, dark);
    setStateValue("dark", dark);
  };
  if (told.get(probe) === data.dark) told.delete(probe);
  probe.ontransitionend = tell;
  tell();
}
