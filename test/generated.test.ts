import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { generated } from "../tools/generated.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

test.each(Object.entries(generated()))(
  "%s is what its table says (else: npm run generate)",
  (path, text) => {
    expect(readFileSync(join(root, path), "utf8")).toBe(text);
  },
);
