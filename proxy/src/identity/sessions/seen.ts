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

/** So many are held. */
const maxFound = 20_000;
const maxUnknown = 2_000;

/** Sessions that were looked up lately, bounded. */
export class SeenSessions {
  readonly #found = new Map<SessionId, Seen>();
  /** Apart: whoever makes up ids pushes out nobody's session. */
  readonly #unknown = new Map<SessionId, Seen>();
  /** By the whole value of a cookie whose secret was found to be right: the usual request costs one look, and no hash. */
  readonly #byCookie = new Map<string, Seen>();

  get(sid: SessionId): Seen | undefined {
    return this.#found.get(sid) ?? this.#unknown.get(sid);
  }

  /** @returns undefined when the secret of this very text has to be looked at */
  proven(cookie: string): Seen | undefined {
    return this.#byCookie.get(cookie);
  }

  put(sid: SessionId, seen: Seen): void {
    this.#found.delete(sid);
    this.#unknown.delete(sid);
    if (seen.found === undefined) putLast(this.#unknown, sid, seen, maxUnknown);
    else putLast(this.#found, sid, seen, maxFound);
  }

  /** The secret in this cookie is that of the session. */
  prove(cookie: string, seen: Seen): void {
    putLast(this.#byCookie, cookie, seen, maxFound);
  }

  clear(): void {
    this.#found.clear();
    this.#unknown.clear();
    this.#byCookie.clear();
  }
}

/** The one that was put first goes first; what is put again is the last one again, so what is used stays. */
function putLast(seen: Map<string, Seen>, key: string, value: Seen, atMost: number): void {
  seen.delete(key);
  if (seen.size >= atMost) seen.delete(seen.keys().next().value!);
  seen.set(key, value);
}
