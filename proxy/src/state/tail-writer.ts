import { open, type FileHandle } from "node:fs/promises";
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { JournalName } from "@tocsin/shared/journal";
import { syncDirectory, writeAll } from "./last-good.ts";
import { tailPath } from "./tail.ts";

export interface TailWriterOptions {
  readonly directory: string;
  readonly journal: JournalName;
  readonly clock: Clock;
  /** Number of the first file. */
  readonly next: number;
  /** What was written may not outlast a power failure. */
  readonly onSyncFailed: (error: unknown) => void;
}

/** How long a power failure may reach back, in milliseconds. A process that is killed loses nothing that was written. */
const syncMs: Milliseconds = 1_000;

/** Appends to a tail, one call after the other. */
export class TailWriter implements AsyncDisposable {
  readonly #options: TailWriterOptions;
  #file: FileHandle | undefined;
  #next: number;
  #bytes = 0;
  #isNew = false;
  #due: Cancel | undefined;
  #syncing: Promise<void> | undefined;
  #closing: Promise<unknown> = Promise.resolve();

  constructor(options: TailWriterOptions) {
    this.#options = options;
    this.#next = options.next;
  }

  /** Whether what is appended next begins a file. */
  get fresh(): boolean {
    return this.#file === undefined;
  }

  /** Length of the present file. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * When it resolves, the process may be killed.
   *
   * @throws what the file system says; what came before is untouched, and a part of this may be there. The next call begins a file.
   */
  async append(text: string): Promise<void> {
    try {
      this.#file ??= await this.#open();
      const bytes = Buffer.from(text);
      await writeAll(this.#file, bytes, null);
      this.#bytes += bytes.byteLength;
    } catch (error) {
      this.#due?.();
      this.#due = undefined;
      this.rotate();
      throw error;
    }
    this.#due ??= this.#options.clock.after(syncMs, () => {
      this.#due = undefined;
      this.#syncing ??= this.#sync().finally(() => {
        this.#syncing = undefined;
      });
    });
  }

  /** Ends the present file. @returns the number of the next one, which has all that is appended from now on */
  rotate(): number {
    const isDue = this.#due !== undefined;
    this.#due?.();
    this.#due = undefined;
    const file = this.#file;
    const syncing = this.#syncing;
    this.#file = undefined;
    this.#bytes = 0;
    if (file !== undefined)
      this.#closing = Promise.all([this.#closing, syncing]).then(() => this.#close(file, isDue));
    return this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.rotate();
    await this.#closing;
  }

  /** What comes after it does not wait for this. */
  async #close(file: FileHandle, isDue: boolean): Promise<void> {
    try {
      await using closing = file;
      if (isDue) await closing.datasync();
    } catch (error) {
      this.#options.onSyncFailed(error);
    }
  }

  async #open(): Promise<FileHandle> {
    const { directory, journal } = this.#options;
    const path = tailPath(directory, journal, this.#next);
    this.#next += 1;
    const file = await open(path, "a", 0o600);
    this.#isNew = true;
    return file;
  }

  async #sync(): Promise<void> {
    try {
      await this.#file?.datasync();
      if (this.#isNew) await syncDirectory(this.#options.directory);
      this.#isNew = false;
    } catch (error) {
      this.#options.onSyncFailed(error);
    }
  }
}
