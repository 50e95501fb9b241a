/** How many invalidations came before: what was fetched at one version is not touched by those. */
export type Version = number;

/**
 * What was invalidated, and when, as far as anything may be remembered from before.
 *
 * Whoever fetches something notes {@link version} *before* it asks, and keeps what it gets with that number. It counts as long as
 * nothing of what it is about was invalidated after that: an invalidation deletes nothing, costs the same whatever is remembered,
 * and cannot be undone by an answer that was on its way.
 *
 * Versions count in this process. Sequences would do in one epoch of the journal; in the next they are small again.
 */
export class Invalidations {
  readonly #maxCount: number;
  #version: Version = 1;
  /** Everything from before is stale. */
  #floor: Version = 1;
  /** By user: the version that the last invalidation made. */
  #young = new Map<string, Version>();
  #old = new Map<string, Version>();
  /** The version at which the young half began. */
  #youngSince: Version = 1;
  readonly #listeners = new Set<(user: string | undefined) => void>();

  /** @param maxCount users whose invalidations are held apart, at most; beyond that what is older is stale for all. Default 100 000. */
  constructor(maxCount = 100_000) {
    this.#maxCount = maxCount;
  }

  /** Another number: something was invalidated. */
  get version(): Version {
    return this.#version;
  }

  /** Users whose invalidations are held apart. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /**
   * Calls back with each user who is forgotten, at once: whoever let somebody in by what was known can ask again. Undefined: everybody.
   *
   * @returns how to stop it
   */
  onForgotten(listener: (user: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Whatever was remembered about a user until now is stale. */
  forgetUser(user: string): void {
    if (this.#young.size >= this.#maxCount / 2) this.#age();
    this.#version += 1;
    this.#young.set(user, this.#version);
    this.#old.delete(user);
    for (const listener of this.#listeners) listener(user);
  }

  /** Whatever was remembered until now is stale: it was ordered, or nobody can tell what was. */
  forgetAll(): void {
    this.#version += 1;
    this.#floor = this.#version;
    this.#youngSince = this.#version;
    this.#young.clear();
    this.#old.clear();
    for (const listener of this.#listeners) listener(undefined);
  }

  /** Whether what is known about a user since a version still counts. */
  holds(user: string, since: Version): boolean {
    if (since === this.#version) return true;
    return (
      since >= this.#floor && since >= (this.#young.get(user) ?? this.#old.get(user) ?? this.#floor)
    );
  }

  /** The older half is not told apart any more. */
  #age(): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#floor = this.#youngSince;
    this.#youngSince = this.#version;
  }
}
