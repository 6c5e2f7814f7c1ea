// Builds the page: one file with its script and its style, allowed by their hashes and by nothing else.
//
//   node build.mjs            writes ../py_image_dedup/report/page.html
//   node build.mjs --check    compares it with what would be written

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../py_image_dedup/report/page.html");

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [here(entry)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: ["chrome120", "firefox120", "safari17"],
    charset: "ascii",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return outputFiles[0].text.trim();
}

const hash = (text) => createHash("sha256").update(text).digest("base64");

// What would end the element early must not be in it; in strings and expressions this is the same.
const script = (await bundle("src/app.tsx")).replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const style = await bundle("src/style.css");
const template = await readFile(here("src/page.html"), "utf8");
const page = template
  .replace("@SCRIPT@", () => hash(script))
  .replace("@STYLE@", () => hash(style))
  .replace("@CSS@", () => style)
  .replace("@JS@", () => script);

if (process.argv.includes("--check")) {
  if ((await readFile(target, "utf8")) !== page) {
    console.error("py_image_dedup/report/page.html is not what frontend/ builds: run make page and commit it");
    process.exit(1);
  }
} else {
  await writeFile(target, page);
  console.log(`${target}: ${page.length} characters`);
}
