import type { Clock, WallTime } from "@tocsin/shared";
import type { ApiKeyId } from "@tocsin/shared/api-keys";

/** How exact it is, in seconds. */
const exactness = 60;

/**
 * When each API key was used last, as heartbeats of proxies tell. In memory: after a restart of this node a key counts as unused until
 * it is used again.
 */
export class LastUsed {
  readonly #clock: Clock;
  readonly #isKnown: (id: ApiKeyId) => boolean;
  readonly #heard = new Map<ApiKeyId, WallTime>();
  /** Unix seconds. */
  readonly since: number;

  /** @param isKnown others are not remembered, so that the memory is bounded whatever is said */
  constructor(clock: Clock, isKnown: (id: ApiKeyId) => boolean) {
    this.#clock = clock;
    this.#isKnown = isKnown;
    this.since = Math.ceil(clock.wall() / 1_000);
  }

  hear(ids: readonly ApiKeyId[]): void {
    const now = this.#clock.wall();
    for (const id of ids) if (this.#isKnown(id)) this.#heard.set(id, now);
  }

  /** Unix seconds, to the minute. */
  of(id: ApiKeyId): number | undefined {
    const at = this.#heard.get(id);
    return at === undefined ? undefined : Math.floor(at / 1_000 / exactness) * exactness;
  }
}
