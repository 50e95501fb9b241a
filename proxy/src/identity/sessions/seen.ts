import type { Milliseconds } from "@tocsin/shared";
import type { SessionId } from "@tocsin/shared/sessions";
import type { Verified } from "../admission.ts";

/** What the store said of a session. */
export interface Seen {
  /** Until then it is gone by, on the monotonic clock. */
  readonly freshUntil: Milliseconds;
  /** Absent: there is none of that id. */
  readonly found: FoundSession | undefined;
  /** There was one the last time. */
  readonly wasThere: boolean;
}

export interface FoundSession {
  readonly secretHash: string;
  readonly verified: Verified;
  /** How long it may be idle from now on, when somebody shows its secret; undefined: that is well known to the store. */
  touchMs: Milliseconds | undefined;
}

/** Sessions that were looked up lately, bounded: the one that was put first goes first. */
export class SeenSessions {
  readonly #maxCount: number;
  #sessions = new Map<SessionId, Seen>();

  /** @param maxCount Default 50 000. */
  constructor(maxCount = 50_000) {
    this.#maxCount = maxCount;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(sid: SessionId): Seen | undefined {
    return this.#sessions.get(sid);
  }

  put(sid: SessionId, seen: Seen): void {
    // As the last one again: what is used stays.
    this.#sessions.delete(sid);
    if (this.#sessions.size >= this.#maxCount)
      this.#sessions.delete(this.#sessions.keys().next().value!);
    this.#sessions.set(sid, seen);
  }

  clear(): void {
    this.#sessions = new Map();
  }
}
