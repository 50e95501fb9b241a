import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { painter } from "./paint.ts";
import { CommandFailed, type Terminal } from "./terminal.ts";

export interface ConfigFile {
  /** For messages: the file's name, `stdin` for standard input. */
  readonly name: string;
  readonly source: string;
  readonly mediaType: "application/json" | "application/yaml";
}

/** Reads a config file, or standard input for `-`. @throws CommandFailed when it cannot be read */
export async function readConfigFile(terminal: Terminal, file: string): Promise<ConfigFile> {
  if (file === "-")
    return { name: "stdin", source: await terminal.readInput(), mediaType: "application/yaml" };
  const mediaType = extname(file) === ".json" ? "application/json" : "application/yaml";
  try {
    return { name: file, source: readFileSync(file, "utf8"), mediaType };
  } catch (cause) {
    throw new CommandFailed(
      `Cannot read ${file}: ${(cause as NodeJS.ErrnoException).code ?? "failed"}`,
      { cause },
    );
  }
}

/** A place in a config that is wrong. */
export interface ConfigProblem {
  readonly pointer: string;
  readonly message: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

/** Prints every problem as `FILE:line:column pointer message`, which editors and CI understand. */
export function printProblems(
  terminal: Terminal,
  name: string,
  problems: readonly ConfigProblem[],
  consequence: string,
): void {
  const paint = painter(terminal, terminal.stdout);
  for (const { pointer, message, line, column } of problems) {
    const place = [name, line, column].filter((part) => part !== undefined).join(":");
    terminal.stdout.write(`${place} ${paint("grey", pointer || "/")} ${message}\n`);
  }
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  terminal.stderr.write(`${name}: ${count}, ${consequence}\n`);
}
