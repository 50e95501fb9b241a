/**
 * What was applied since the last good state was written: one line for each entry, appended before the entry is acknowledged. A
 * process that is killed loses nothing of it.
 *
 * `<CRC-32 of the rest, 8 hexadecimal digits> <JSON>`, one of
 *
 * - `["base", epoch, applied]`: what follows was applied on a table that stood there
 * - `["entry", sequence, key, body]`
 * - `["current", wall time]`: nothing was lacking then
 *
 * A tail is in numbered files, the last one being written: when a whole state has been written, those before it are removed.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { messageOf } from "@tocsin/shared";
import type { Log, WallTime } from "@tocsin/shared";
import type { Entry, Epoch, JournalName, Recorded, Sequence } from "@tocsin/shared/journal";
import type { Standing } from "./last-good.ts";

const Line = z.union([
  z.tuple([z.literal("base"), z.string().min(1).max(64), z.int().min(0)]),
  z.tuple([z.literal("entry"), z.int().min(1), z.string(), z.string()]),
  z.tuple([z.literal("current"), z.number()]),
]);
type Line = z.infer<typeof Line>;

const newline = 0x0a;
const checksumLength = 8;

export function baseLine(epoch: Epoch, applied: Sequence): string {
  return encode(["base", epoch, applied]);
}

export function entryLine(sequence: Sequence, { key, body }: Entry): string {
  return encode(["entry", sequence, key, body]);
}

export function currentLine(at: WallTime): string {
  return encode(["current", at]);
}

function encode(line: Line): string {
  const text = JSON.stringify(line);
  return `${crc32(text).toString(16).padStart(checksumLength, "0")} ${text}\n`;
}

export function tailPath(directory: string, journal: JournalName, number: number): string {
  return join(directory, `${journal}.tail-${number}`);
}

/** Numbers of the files of a tail, ascending. */
async function numbersIn(directory: string, journal: JournalName): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return names
    .map((name) => /^([a-z]+)\.tail-([1-9][0-9]{0,14})$/.exec(name))
    .filter((found) => found?.[1] === journal)
    .map((found) => Number(found![2]))
    .toSorted((one, other) => one - other);
}

/** Removes the files before a number. @throws what the file system says */
export async function removeTail(
  directory: string,
  journal: JournalName,
  before: number,
): Promise<void> {
  for (const number of await numbersIn(directory, journal))
    if (number < before) await rm(tailPath(directory, journal, number), { force: true });
}

export interface ReadTail {
  /** Entries beyond the last good state, in order. */
  readonly entries: readonly Recorded[];
  /** Where a table stands that has them. Undefined: there is no last good state. */
  readonly standing: Standing | undefined;
  /**
   * Entries that were applied on a state which never came to the disk. They are in force wherever an entry is in force whatever
   * came before it.
   */
  readonly loose: readonly Recorded[];
  /** A part of it could not be believed; nothing that is written behind it would be. */
  readonly damaged: boolean;
  /** The next file is to have this number. */
  readonly next: number;
}

/**
 * Reads what came after a last good state.
 *
 * A last line that was not written to its end is cut off: it was never acknowledged. From a damaged line on nothing is believed, and
 * the log says so.
 *
 * @param standing where the last good state stands; undefined: there is none, and nothing to build on
 * @throws what the file system says
 */
export async function readTail(
  directory: string,
  journal: JournalName,
  standing: Standing | undefined,
  log: Log,
): Promise<ReadTail> {
  const numbers = await numbersIn(directory, journal);
  const next = (numbers.at(-1) ?? 0) + 1;
  if (standing === undefined) return { entries: [], standing, loose: [], damaged: false, next };
  const reading = new Reading(standing);
  let damaged = false;
  for (const number of numbers) {
    const path = tailPath(directory, journal, number);
    try {
      reading.take(await readFile(path));
    } catch (error) {
      log.error(
        { journal, path, applied: reading.standing.applied, cause: messageOf(error) },
        "last good state: the tail is refused from here on",
      );
      damaged = true;
      break;
    }
  }
  const { entries, loose } = reading;
  return { entries, standing: reading.standing, loose, damaged, next };
}

class Reading {
  readonly entries: Recorded[] = [];
  readonly loose: Recorded[] = [];
  standing: Standing;
  /** Of what the lines build on. */
  #epoch: Epoch = "";
  /** Whether that is what was read before. */
  #isLinked = false;

  constructor(standing: Standing) {
    this.standing = standing;
  }

  /** @throws Error at a line that is damaged */
  take(bytes: Buffer): void {
    this.#isLinked = false;
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(newline, at);
      // The process ended in the middle of it.
      if (end < 0) return;
      const line = decode(bytes.subarray(at, end));
      if (line === undefined) throw new Error(`damaged: the line at byte ${at}`);
      this.#follow(line);
      at = end + 1;
    }
  }

  #follow(line: Line): void {
    const { epoch, applied } = this.standing;
    switch (line[0]) {
      case "base":
        this.#epoch = line[1];
        this.#isLinked = line[1] === epoch && line[2] <= applied;
        return;
      case "entry": {
        const [, sequence, key, body] = line;
        const entry = { epoch: this.#epoch, sequence, key, body };
        if (!this.#isLinked) return void this.loose.push(entry);
        if (sequence <= applied) return;
        this.entries.push(entry);
        this.standing = { ...this.standing, applied: sequence };
        return;
      }
      case "current":
        if (this.#isLinked)
          this.standing = {
            ...this.standing,
            currentAt: Math.max(this.standing.currentAt ?? 0, line[1]),
          };
        return;
      default:
        line satisfies never;
    }
  }
}

function decode(bytes: Buffer): Line | undefined {
  const rest = bytes.subarray(checksumLength + 1);
  const checksum = crc32(rest).toString(16).padStart(checksumLength, "0");
  if (bytes.toString("latin1", 0, checksumLength + 1) !== `${checksum} `) return undefined;
  const line = Line.safeParse(JSON.parse(rest.toString()));
  return line.success ? line.data : undefined;
}
