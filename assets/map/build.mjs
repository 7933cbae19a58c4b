// Bundles src/ into dist/map.js. The first line names the sources it was made from, for a test.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const folder = new URL(".", import.meta.url);
const hash = createHash("sha256");
for (const name of readdirSync(new URL("src/", folder)).filter((one) => one.endsWith(".js")).sort()) {
  hash.update(readFileSync(new URL("src/" + name, folder)));
}
hash.update(readFileSync(new URL("package.json", folder)));
await build({
  absWorkingDir: folder.pathname,
  entryPoints: ["src/map.js"],
  outfile: "dist/map.js",
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "none",
  banner: {
    js: `// sources ${hash.digest("hex")}\n`
      + "// Contains d3-zoom and what it needs, copyright Mike Bostock, ISC; d3-ease also Robert Penner, BSD.",
  },
});
