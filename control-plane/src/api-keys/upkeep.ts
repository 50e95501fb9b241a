import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import type { ApiKeyEntry } from "@tocsin/shared/contract";
import type { Leader } from "../leader/leader.ts";
import type { State } from "../sync/state.ts";
import type { ApiKeys } from "./api-keys.ts";
import { credentialOf, revoked, secondsOf, withoutFormer } from "./entry.ts";

/** How often it is looked, in milliseconds. A revocation is remembered for a day at least. */
const everyMs: Milliseconds = 5_000;

export interface UpkeepOptions {
  readonly keys: ApiKeys;
  readonly state: Pick<State, "revocations" | "onCatalogue">;
  readonly leader: Pick<Leader, "leading">;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Writes down in its entry that a key was taken back, by whatever order: one about the key, or one about its principal. Revocations are
 * forgotten when every token that they could mean has expired, and a key need not expire.
 */
export class Upkeep implements Disposable {
  readonly #options: UpkeepOptions;
  readonly #stop: () => void;
  /** The revocations that were looked at, and whether the keys have changed since. */
  #version = -1;
  #changed = true;
  #running = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    options.state.onCatalogue((changed) => {
      if (changed.some(({ value }) => value.kind === "api-key")) this.#changed = true;
    });
    this.#stop = options.clock.every(everyMs, () => void this.#look());
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  async #look(): Promise<void> {
    const { keys, state, leader, log } = this.#options;
    const { version } = state.revocations.set;
    if (this.#running || !leader.leading) return;
    if (version === this.#version && !this.#changed) return;
    this.#running = true;
    this.#changed = false;
    try {
      // What is written meanwhile moves to the end, and is looked at again.
      for (const entry of keys.entries()) {
        if (!leader.leading) return;
        if (this.#after(entry) === undefined) continue;
        await keys.mark(entry.id, (present) => this.#after(present));
        log.info({ apiKey: entry.id }, "API key marked as revoked");
      }
      this.#version = version;
    } catch (error) {
      this.#changed = true;
      log.warn({ cause: messageOf(error) }, "revoked keys cannot be marked yet");
    } finally {
      this.#running = false;
    }
  }

  /** What the entry should be, by the revocations; undefined: as it is. */
  #after(entry: ApiKeyEntry): ApiKeyEntry | undefined {
    if (entry.revokedAt !== undefined) return undefined;
    const { set } = this.#options.state.revocations;
    const [newest, former] = entry.secrets;
    if (set.has(credentialOf(entry, newest!)))
      return revoked(entry, secondsOf(this.#options.clock));
    if (former !== undefined && set.has(credentialOf(entry, former))) return withoutFormer(entry);
    return undefined;
  }
}
