// Fetched content by its hash, the last part of its address: what was fetched once is not again.

const KEPT_BYTES = 96 * 2 ** 20;
const kept = new Map();

export function fetched(address, base) {
  const name = address.split("/").pop();
  if (kept.has(name)) {
    const found = kept.get(name);
    kept.delete(name);
    kept.set(name, found); // the most recently used one is last
    return found.bytes;
  }
  const entry = { size: 0, bytes: null };
  entry.bytes = fetch(new URL(address, base)).then(async (response) => {
    if (!response.ok) throw new Error(String(response.status));
    const bytes = await response.arrayBuffer();
    entry.size = bytes.byteLength;
    let total = 0;
    for (const one of kept.values()) total += one.size;
    for (const [old, one] of kept) {
      if (total <= KEPT_BYTES || old === name) break;
      kept.delete(old);
      total -= one.size;
    }
    return bytes;
  });
  entry.bytes.catch(() => kept.delete(name));
  kept.set(name, entry);
  return entry.bytes;
}
