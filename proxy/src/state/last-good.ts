/**
 * The last good state of each journal on disk, so that a restart while the bus is away begins with it.
 *
 * A file is the SHA-256 of the rest in hexadecimal, a header in JSON, and the payload, with a new line after the first and the second.
 * It is written aside and renamed; what is damaged, cut short or somebody else's is refused whole. What came after it stands in its
 * tail (tail.ts).
 */
import { createHash } from "node:crypto";
import { open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "@tocsin/shared";
import type { Log, WallTime } from "@tocsin/shared";
import type { Epoch, JournalName, Sequence } from "@tocsin/shared/journal";

/** Where a table stands. */
export interface Standing {
  readonly epoch: Epoch;
  readonly applied: Sequence;
  /** When it was last known to be current, by this machine's wall clock; absent: never. */
  readonly currentAt?: WallTime | undefined;
}

export type Position = Pick<Standing, "epoch" | "applied">;

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
/** Bytes that are written at once, at least: a large table comes in many small parts. */
const writtenAtOnce = 256 * 1024;

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

/** What to write. */
export interface Writing extends Standing {
  readonly journal: JournalName;
  /** The payload, in parts that are taken one after the other, with time between them. */
  readonly parts: Iterable<Uint8Array>;
  readonly savedAt: WallTime;
}

/**
 * Replaces a journal's last good state; when it resolves, the new one outlasts a power failure.
 *
 * @returns how many bytes it has
 * @throws what the file system says; then the one before is untouched
 */
export async function writeLastGood(directory: string, writing: Writing): Promise<number> {
  const path = lastGoodPath(directory, writing.journal);
  const aside = `${path}.tmp`;
  try {
    const bytes = await writeAside(aside, writing);
    await rename(aside, path);
    await syncDirectory(directory);
    return bytes;
  } catch (error) {
    // On a full disk half a file is in the way of everything else.
    await rm(aside, { force: true }).catch(() => {});
    throw error;
  }
}

/** A new name outlasts a power failure when its directory has been written. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

async function writeAside(path: string, writing: Writing): Promise<number> {
  // It holds the issuers' secrets, and who was signed out.
  await using file = await open(path, "w", 0o600);
  await file.chmod(0o600);
  const hash = createHash("sha256");
  let length = 0;
  let waiting: Uint8Array[] = [];
  let waitingLength = 0;
  const flush = async () => {
    const bytes = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
    hash.update(bytes);
    await writeAll(file, bytes, digestLength + 1 + length);
    length += bytes.byteLength;
    waiting = [];
    waitingLength = 0;
  };
  for (const part of withHeader(writing)) {
    waiting.push(part);
    waitingLength += part.byteLength;
    if (waitingLength >= writtenAtOnce) await flush();
  }
  await flush();
  // Known last, and stands first.
  await writeAll(file, Buffer.from(`${hash.digest("hex")}\n`), 0);
  await file.sync();
  return digestLength + 1 + length;
}

function* withHeader(writing: Writing): Generator<Uint8Array> {
  const { journal, epoch, applied, currentAt, savedAt } = writing;
  const header: z.infer<typeof Header> = {
    format,
    journal,
    epoch,
    applied,
    ...(currentAt === undefined ? {} : { currentAt }),
    savedAt,
  };
  yield Buffer.from(`${JSON.stringify(header)}\n`);
  yield* writing.parts;
}

/** The system may take only a part of what it is given. */
export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position: number | null,
): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(
      bytes,
      done,
      bytes.byteLength - done,
      position === null ? null : position + done,
    );
    done += bytesWritten;
  }
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
