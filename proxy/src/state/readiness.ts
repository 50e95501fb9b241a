import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import { journalNames, type JournalName } from "@tocsin/shared/journal";

export interface Ready {
  readonly ok: boolean;
  /** What is missing. */
  readonly reasons: readonly string[];
}

/**
 * Whether there is a snapshot of every journal.
 *
 * One from the bus counts at once. One from disk counts when the bus has had `graceMs` to bring a newer one: what was ordered just
 * before a crash may not have reached the disk.
 */
export class Readiness implements Disposable {
  readonly #synced = new Set<JournalName>();
  readonly #restored = new Set<JournalName>();
  readonly #onReady: () => void;
  readonly #cancel: Cancel;
  #graceOver = false;
  #wasReady = false;

  /** @param onReady called when everything is there for the first time */
  constructor(clock: Clock, graceMs: Milliseconds, onReady: () => void) {
    this.#onReady = onReady;
    this.#cancel = clock.after(graceMs, () => {
      this.#graceOver = true;
      this.#tell();
    });
  }

  /** A snapshot came from disk. */
  restored(journal: JournalName): void {
    this.#restored.add(journal);
  }

  /** A snapshot came from the bus. */
  synced(journal: JournalName): void {
    this.#synced.add(journal);
    this.#tell();
  }

  now(): Ready {
    const reasons: string[] = [];
    for (const journal of journalNames) {
      if (this.#synced.has(journal)) continue;
      if (!this.#restored.has(journal)) reasons.push(`${journal}: no snapshot yet`);
      else if (!this.#graceOver) reasons.push(`${journal}: waiting for news since the last run`);
    }
    return { ok: reasons.length === 0, reasons };
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  #tell(): void {
    if (this.#wasReady || !this.now().ok) return;
    this.#wasReady = true;
    this.#onReady();
  }
}
