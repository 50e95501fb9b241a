#!/usr/bin/env node
// The door to the command, plain JavaScript for any Node from 18 on: where this Node is too old for the sources, the project's own runs them.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as module from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const leastNode = 24;
const here = fileURLToPath(import.meta.url);

/** The Node that was installed along with this package. */
function projectNode() {
  const name = process.platform === "win32" ? "node.exe" : "node";
  for (let folder = dirname(here); folder !== dirname(folder); folder = dirname(folder)) {
    const node = join(folder, "node_modules", ".bin", name);
    if (existsSync(node)) return node;
  }
  return undefined;
}

function runUnder(node) {
  const child = spawn(node, [here, ...process.argv.slice(2)], { stdio: "inherit" });
  // Told to stop, it drains; this process waits for it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`cannot run ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}

if (Number(process.versions.node.split(".")[0]) >= leastNode) {
  // What was compiled once is loaded from disk the next time.
  module.enableCompileCache?.();
  await import("../src/main.ts");
} else {
  const node = projectNode();
  if (node === undefined) {
    process.stderr.write(
      `tocsin needs Node ${leastNode} or newer, and this is ${process.version}. In the checkout, npm install brings one along.\n`,
    );
    process.exit(1);
  }
  runUnder(node);
}
