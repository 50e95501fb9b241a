/**
 * The last good state of each journal on disk, so that a restart while the bus is away begins with it.
 *
 * A file is the SHA-256 of the rest in hexadecimal, a header in JSON, and the payload, with a new line after the first and the second.
 * It is written aside and renamed; what is damaged, cut short or somebody else's is refused whole.
 */
import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf, once } from "@tocsin/shared";
import type { Cancel, Clock, Log, Milliseconds, WallTime } from "@tocsin/shared";
import type { Epoch, JournalName, Sequence } from "@tocsin/shared/journal";

/** Where a table stands. */
export interface Standing {
  readonly epoch: Epoch;
  readonly applied: Sequence;
  /** When it was last known to be current, by this machine's wall clock; absent: never. */
  readonly currentAt?: WallTime | undefined;
}

/** Where a table stands, and what is in it. */
export interface Snapshot extends Standing {
  readonly payload: Uint8Array;
}

const format = 1;

const Header = z.strictObject({
  format: z.literal(format),
  journal: z.string(),
  epoch: z.string().min(1).max(64),
  applied: z.int().min(0),
  currentAt: z.number().optional(),
  savedAt: z.number(),
});

const newline = 0x0a;
const digestLength = 64;

export function lastGoodPath(directory: string, journal: JournalName): string {
  return join(directory, `${journal}.last-good`);
}

/** @returns undefined when there is none, or none that can be believed; the log says which */
export async function readLastGood(
  directory: string,
  journal: JournalName,
  log: Log,
): Promise<Snapshot | undefined> {
  const path = lastGoodPath(directory, journal);
  try {
    return decode(await readFile(path), journal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    log.error({ journal, path, cause: messageOf(error) }, "last good state refused");
    return undefined;
  }
}

export interface LastGoodOptions {
  readonly directory: string;
  readonly journal: JournalName;
  readonly clock: Clock;
  readonly log: Log;
  /** Time from the first change to the write that holds it. */
  readonly delayMs: () => Milliseconds;
  /** What to write; undefined while there is nothing that could be called good. */
  readonly snapshot: () => Snapshot | undefined;
}

/** Writes a journal's last good state some time after it has changed, and once more at the end. */
export class LastGood implements AsyncDisposable {
  readonly #options: LastGoodOptions;
  #timer: Cancel | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(options: LastGoodOptions) {
    this.#options = options;
  }

  /** The table has changed. */
  changed(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = this.#options.clock.after(this.#options.delayMs(), () => {
      this.#timer = undefined;
      // One that is on its way may hold less than there is now.
      if (this.#writing === undefined) void this.#write();
      else this.changed();
    });
  }

  readonly [Symbol.asyncDispose] = once(async () => {
    this.#closed = true;
    this.#timer?.();
    await this.#writing;
    await this.#write();
  });

  async #write(): Promise<void> {
    this.#writing = this.#try();
    await this.#writing;
    this.#writing = undefined;
  }

  async #try(): Promise<void> {
    const { directory, journal, clock, log, snapshot } = this.#options;
    const path = lastGoodPath(directory, journal);
    try {
      const good = snapshot();
      if (good === undefined) return;
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeAside(path, encode(good, journal, clock.wall()));
    } catch (error) {
      log.warn({ journal, path, cause: messageOf(error) }, "last good state not written");
      this.changed();
    }
  }
}

async function writeAside(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const aside = `${path}.tmp`;
  // It holds the issuers' secrets, and who was signed out.
  await using file = await open(aside, "w", 0o600);
  await file.chmod(0o600);
  await file.writev([...parts]);
  await file.sync();
  await rename(aside, path);
}

function encode(good: Snapshot, journal: JournalName, savedAt: WallTime): Uint8Array[] {
  const { epoch, applied, currentAt, payload } = good;
  const header: z.infer<typeof Header> = {
    format,
    journal,
    epoch,
    applied,
    ...(currentAt === undefined ? {} : { currentAt }),
    savedAt,
  };
  const line = Buffer.from(`${JSON.stringify(header)}\n`);
  const digest = createHash("sha256").update(line).update(payload).digest("hex");
  return [Buffer.from(`${digest}\n`), line, payload];
}

/** @throws Error that says what is wrong with the file */
function decode(bytes: Buffer, journal: JournalName): Snapshot {
  const rest = bytes.subarray(digestLength + 1);
  const digest = createHash("sha256").update(rest).digest("hex");
  if (bytes[digestLength] !== newline || bytes.toString("latin1", 0, digestLength) !== digest)
    throw new Error("damaged: the checksum does not fit");
  const end = rest.indexOf(newline);
  const header = Header.parse(JSON.parse(rest.toString("utf8", 0, end)));
  if (header.journal !== journal) throw new Error(`this is the file of ${header.journal}`);
  const { epoch, applied, currentAt } = header;
  return { epoch, applied, currentAt, payload: rest.subarray(end + 1) };
}
