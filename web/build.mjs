/**
 * Build the page: node build.mjs [--model web/model] [--out web/dist]
 *
 * The model's folder holds what accent/page/export.py wrote. Every file of the page lies beside index.html, so that any
 * static host serves it, from any path.
 */

import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: join(here, "model") },
    out: { type: "string", default: join(here, "dist") },
  },
});
const MODEL = ["ear.onnx", "grade.onnx", "ear.json", "readings.json"];
const BROWSERS = ["chrome99", "edge99", "firefox114", "safari16.4"]; // what they lack is written otherwise, or fails
const MAX_FILE = 25 * 2 ** 20; // bytes: what static hosts take
const MAX_TOTAL = 25 * 2 ** 20; // over the wire, compressed
const RUNTIME = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

for (const name of MODEL) {
  if (!existsSync(join(options.model, name)))
    fail(`${options.model}: no ${name}. Run 'make web', which exports the model`);
}
rmSync(options.out, { recursive: true, force: true });
mkdirSync(options.out, { recursive: true });

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "esm",
  target: BROWSERS,
  outdir: options.out,
  legalComments: "none",
  logLevel: "warning",
  loader: { ".woff2": "file" },
  assetNames: "[name]",
};
await build({
  ...common,
  entryPoints: {
    main: "src/main.ts",
    worker: "src/engine/worker.ts",
    "network-worker": "src/engine/network-worker.ts",
    "recorder-worklet": "src/audio/recorder-worklet.ts",
  },
});
await build({ ...common, entryPoints: { main: "src/styles.css" } });

copyFileSync(join(here, RUNTIME), join(options.out, "ort.wasm"));
copyFileSync(join(here, "index.html"), join(options.out, "index.html"));
for (const name of MODEL) copyFileSync(join(options.model, name), join(options.out, name));
for (const name of readdirSync(join(here, "static"))) copyFileSync(join(here, "static", name), join(options.out, name));
writeFileSync(join(options.out, "licences.txt"), licences());

const files = readdirSync(options.out).sort();
const hash = createHash("sha256");
for (const file of files) hash.update(file).update(readFileSync(join(options.out, file)));
await build({
  ...common,
  entryPoints: { sw: "src/sw.ts" },
  define: {
    FILES: JSON.stringify([".", ...files]),
    VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)),
  },
});

let total = 0;
for (const file of [...files, "sw.js"]) {
  const path = join(options.out, file);
  const { size } = statSync(path);
  if (size > MAX_FILE) fail(`${file}: ${megabytes(size)} MB, and static hosts take 25. Set train.width lower`);
  total += gzipSync(readFileSync(path)).length;
}
if (total > MAX_TOTAL) fail(`${options.out}: ${megabytes(total)} MB compressed, at most 25. Set train.width lower`);
console.log(`${options.out}: ${files.length + 1} files, ${megabytes(total)} MB over the wire`);

function megabytes(bytes) {
  return (bytes / 2 ** 20).toFixed(1);
}

/** The licence of every package that the page holds something of. */
function licences() {
  const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  return Object.keys(dependencies)
    .sort()
    .map((name) => {
      const folder = join(here, "node_modules", name);
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${license}`;
      return `${name} ${version}\n\n${text}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}
