import { spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";

/** A Node of this machine that is too old to run the sources, as many services still use; undefined when there is none. */
export const oldNode = (process.env["PATH"] ?? "")
  .split(delimiter)
  .concat("/usr/bin", "/usr/local/bin")
  .filter((directory) => !directory.includes("node_modules"))
  .map((directory) => join(directory, "node"))
  .find((node) => {
    const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
    const major = Number(/^v(\d+)\./.exec(stdout ?? "")?.[1] ?? Infinity);
    return major >= 20 && major < 24;
  });
