/**
 * Writes the pages and files that come from tables: run `npm run generate` after changing a table.
 * A test generates them again and fails on a difference.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generated } from "./generated.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
for (const [path, text] of Object.entries(generated())) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  process.stderr.write(`${path}\n`);
}
