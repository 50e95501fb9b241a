/**
 * What a journal's table holds, on disk: the last good state as a whole, and after it, entry by entry, its tail.
 *
 * Each thing that must come to the disk has a number. An entry comes there by its line in the tail, a table that was loaded only
 * as a whole. What is to be acknowledged waits until everything up to then is there.
 */
import { mkdir } from "node:fs/promises";
import { messageOf, once } from "@tocsin/shared";
import type { Cancel, Clock, Log, Milliseconds, WallTime } from "@tocsin/shared";
import type { Entry, JournalName, Sequence } from "@tocsin/shared/journal";
import { writeLastGood, type Position, type Standing } from "./last-good.ts";
import { textOf, type LastLine, type PendingLine } from "./pending-lines.ts";
import { currentLine, entryLine, removeTail } from "./tail.ts";
import type { Restored } from "./restore.ts";
import { TailWriter } from "./tail-writer.ts";
import { Waiting } from "./waiting.ts";

export interface KeptStateOptions {
  readonly directory: string;
  readonly journal: JournalName;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the table stood when it was loaded from this directory. */
  readonly restored: Position | undefined;
  /** Whether that took a tail, which is to become part of the whole. */
  readonly tail: Restored["tail"];
  /** Number of the first file of the tail. */
  readonly nextTail: number;
  /** Where the table stands now; undefined while there is nothing that could be called good. */
  readonly standing: () => Standing | undefined;
  /** What is in the table: all that is in force now, and maybe what comes while it is written down. */
  readonly parts: () => Iterable<Uint8Array>;
}

/** A whole state is written when the tail is a fourth of it, within these bounds. */
const tailBytes = { least: 4 * 1024 * 1024, most: 16 * 1024 * 1024 } as const;
/** What may wait for a disk that is too slow. */
const maxPendingLength = 32 * 1024 * 1024;
/** After a load others may follow at once. */
const afterLoadMs: Milliseconds = 20;
const afterRestoreMs: Milliseconds = 1_000;
const retryMs = { first: 1_000, most: 30_000 } as const;

export class KeptState implements AsyncDisposable {
  readonly #options: KeptStateOptions;
  readonly #tail: TailWriter;
  readonly #waiting: Waiting;
  #timer: Cancel | undefined;
  #writing: Promise<void> | undefined;
  #pumping: Promise<void> | undefined;
  #rotations: ((next: number) => void)[] = [];
  #pending: PendingLine[] = [];
  #pendingLength = 0;
  #history = 1;
  /** What the last line on disk, or the whole state, stands for. */
  #last: LastLine | undefined;
  /** Number of the last thing that must come to the disk. */
  #due = 0;
  /** The last thing that is not in the tail and never will be. */
  #missing = 0;
  /** The last thing that the whole state has. */
  #covered = 0;
  /** The last thing that the tail has. */
  #written: { readonly number: number; readonly position: Position } | undefined;
  #wholeBytes = 0;
  /** The tail cannot be written; until a whole state could be, nothing is. */
  #paused = false;
  #trouble: string | undefined;
  #retryMs: Milliseconds = retryMs.first;
  #closed = false;

  constructor(options: KeptStateOptions) {
    const { restored, tail, nextTail, clock, log, journal } = options;
    this.#options = options;
    this.#waiting = new Waiting({ clock, log, journal }, restored);
    this.#tail = new TailWriter({
      ...options,
      next: nextTail,
      onSyncFailed: (error) => this.#fail(error),
    });
    if (restored !== undefined) this.#last = { history: this.#history, position: restored };
    if (tail === "whole") this.#schedule(afterRestoreMs);
    // A restart would not come by it to what is written behind it.
    if (tail === "damaged") this.loaded();
  }

  /** Why not everything can be kept; undefined: it can. */
  get trouble(): string | undefined {
    return this.#trouble ?? this.#waiting.trouble;
  }

  /** Where a restart would begin, at least, while that can be told; else where the table stands. */
  position(): Position | undefined {
    const standing = this.#options.standing();
    const kept = this.#waiting.kept;
    if (standing === undefined || this.#waiting.has(this.#due) || this.#isHopeless) return standing;
    return { epoch: standing.epoch, applied: kept?.epoch === standing.epoch ? kept.applied : 0 };
  }

  /**
   * An entry is in force.
   *
   * @param before where the table stood until then
   */
  applied(sequence: Sequence, entry: Entry, before: Position): void {
    if (this.#closed) return;
    this.#due += 1;
    const text = entryLine(sequence, entry);
    if (this.#paused || this.#pendingLength + text.length > maxPendingLength) {
      this.#lack();
      if (!this.#paused) this.#schedule(0);
      return;
    }
    this.#push(text, before, { epoch: before.epoch, applied: sequence });
  }

  /** The table was replaced, or added to otherwise than by entries. */
  loaded(): void {
    if (this.#closed) return;
    this.#due += 1;
    this.#lack();
    this.#schedule(afterLoadMs);
  }

  /** The table had all that there is to have. */
  current(at: WallTime): void {
    const standing = this.#options.standing();
    if (this.#closed || standing === undefined || this.#paused || this.#lacks) return;
    this.#push(currentLine(at), standing, standing);
  }

  /** Runs when all that has happened until now is kept; or at once, or after a while, when it cannot be. */
  whenKept(run: () => void): void {
    if (this.#isHopeless) run();
    else this.#waiting.add(this.#due, run, this.#lacks ? "whole" : "line");
  }

  readonly [Symbol.asyncDispose] = once(async () => {
    this.#closed = true;
    this.#timer?.();
    await this.#writing;
    await this.#pumping;
    if (this.#due > this.#covered) await this.#write();
    this.#waiting.release();
    await this.#tail[Symbol.asyncDispose]();
  });

  get #isHopeless(): boolean {
    return this.#trouble !== undefined && this.#lacks;
  }

  /** Something is neither in the tail nor in a whole state. */
  get #lacks(): boolean {
    return this.#missing > this.#covered;
  }

  /** What is due now can only be kept as part of a whole state. */
  #lack(): void {
    this.#missing = this.#due;
    this.#history += 1;
  }

  #push(text: string, before: Position, after: Position): void {
    const { epoch, applied } = before;
    this.#pending.push({
      number: this.#due,
      text,
      before: { epoch, applied },
      after: { epoch: after.epoch, applied: after.applied },
      history: this.#history,
    });
    this.#pendingLength += text.length;
    this.#pump();
  }

  #pump(): void {
    this.#pumping ??= this.#writeLines().finally(() => {
      this.#pumping = undefined;
      if (this.#pending.length > 0 || this.#rotations.length > 0) this.#pump();
    });
  }

  /** Writes what is pending, all of one turn at once. */
  async #writeLines(): Promise<void> {
    await Promise.resolve();
    while (this.#pending.length > 0 || this.#rotations.length > 0) {
      for (const resolve of this.#rotations.splice(0)) resolve(this.#tail.rotate());
      const lines = this.#pending;
      const last = lines.at(-1);
      if (last === undefined) continue;
      this.#pending = [];
      this.#pendingLength = 0;
      try {
        await this.#tail.append(textOf(lines, this.#last, this.#tail.fresh));
        this.#last = { history: last.history, position: last.after };
        this.#written = { number: last.number, position: last.after };
        this.#tellWritten();
      } catch (error) {
        this.#missing = Math.max(this.#missing, last.number);
        this.#last = undefined;
        this.#history += 1;
        this.#paused = true;
        this.#fail(error);
      }
    }
    const limit = Math.max(tailBytes.least, Math.min(tailBytes.most, this.#wholeBytes / 4));
    if (this.#tail.bytes > limit) this.#schedule(0);
  }

  /** What is in the tail is kept when nothing is lacking that it builds on. */
  #tellWritten(): void {
    if (!this.#lacks && this.#written !== undefined)
      this.#waiting.keep(this.#written.number, this.#written.position);
  }

  #schedule(delayMs: Milliseconds): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#writing === undefined) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#writing = this.#tryWhole();
    await this.#writing;
    this.#writing = undefined;
    if (this.#trouble !== undefined) this.#schedule(this.#delay());
    // Meanwhile it was loaded again; or it is to be known where it stands.
    else if (this.#lacks) this.#schedule(afterLoadMs);
  }

  async #tryWhole(): Promise<void> {
    const { directory, journal, clock, log, parts } = this.#options;
    if (this.#options.standing() === undefined) return;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      // From here on lines go to a new file: with the whole state the ones before have served their time.
      const next = await this.#rotate();
      this.#paused = false;
      const standing = this.#options.standing()!;
      const through = this.#due;
      if (this.#last?.history !== this.#history)
        this.#last = { history: this.#history, position: standing };
      this.#wholeBytes = await writeLastGood(directory, {
        ...standing,
        journal,
        parts: parts(),
        savedAt: clock.wall(),
      });
      this.#covered = through;
      this.#waiting.keep(through, standing);
      this.#tellWritten();
      await removeTail(directory, journal, next);
      if (this.#lacks) return;
      if (this.#trouble !== undefined) log.info({ journal }, "last good state is written again");
      this.#trouble = undefined;
      this.#retryMs = retryMs.first;
    } catch (error) {
      this.#fail(error);
    }
  }

  #rotate(): Promise<number> {
    return new Promise((resolve) => {
      this.#rotations.push(resolve);
      this.#pump();
    });
  }

  #delay(): Milliseconds {
    const delayMs = this.#retryMs;
    this.#retryMs = Math.min(retryMs.most, delayMs * 2);
    return delayMs;
  }

  /** Goes on without the disk, and says so. */
  #fail(error: unknown): void {
    const { journal, directory, log } = this.#options;
    const cause = messageOf(error);
    if (this.#trouble !== cause)
      log.warn({ journal, directory, cause }, "last good state not written");
    this.#trouble = cause;
    if (this.#isHopeless) this.#waiting.release();
    if (this.#writing === undefined) this.#schedule(this.#delay());
  }
}
