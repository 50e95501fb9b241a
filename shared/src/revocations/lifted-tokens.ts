import type { Fingerprint } from "./generation.ts";
import type { Generations } from "./generations.ts";
import { always, namespaces, type Marks } from "./marks.ts";
import { tokenName } from "./names.ts";

/**
 * Tokens and sessions that were lifted, and may have been revoked again. They stay among the fingerprints; what became of them since is in
 * a register of each. There are hardly ever any.
 */
export class LiftedTokens {
  readonly #generations: Generations;
  readonly #marks: Marks;
  /** Their names by both halves of their fingerprint, under each key. Undefined: to be made anew. */
  #names: Map<number, Map<number, string>> | undefined;

  constructor(generations: Generations, marks: Marks) {
    this.#generations = generations;
    this.#marks = marks;
  }

  /** Something was lifted: one more, when it is a token or session. */
  heard(name: string, namespace: string | undefined): void {
    if (this.#names === undefined || namespace !== namespaces.lifted) return;
    const [issuer, id] = JSON.parse(name) as [string, string];
    for (const { fingerprint } of this.#fingerprints(issuer, id))
      remember(this.#names, fingerprint, name);
  }

  /** Nobody knows which ones were lifted, or there are other keys. */
  changed(): void {
    this.#names = undefined;
  }

  /** Whether it counts again, although its fingerprint is there. */
  has(issuer: string, id: string): boolean {
    const name = tokenName(issuer, id);
    return this.#marks.knows(name, namespaces.lifted) && !this.#marks.has(name, namespaces.lifted);
  }

  /** A token was revoked. @param at in Unix milliseconds. @returns whether it had been lifted before, and is not any more */
  revokeAgain(token: Fingerprint, expiresAt: number, at: number): boolean {
    const name = this.#all().get(token.high)?.get(token.low);
    return name !== undefined && this.#marks.add(name, namespaces.lifted, always, expiresAt, at);
  }

  /**
   * Has each of them remembered for as long as its fingerprint is: that may come from somebody who keeps it longer, and without the
   * lifting it would be a revocation again.
   */
  keepUp(): void {
    for (const name of this.#marks.names(namespaces.lifted)) {
      const [issuer, id] = JSON.parse(name) as [string, string];
      for (const { tokens, fingerprint } of this.#fingerprints(issuer, id))
        this.#marks.keep(
          name,
          namespaces.lifted,
          tokens.expiryOf(fingerprint.high, fingerprint.low),
        );
    }
  }

  *#fingerprints(issuer: string, id: string) {
    for (const generation of this.#generations)
      yield { tokens: generation.tokens, fingerprint: generation.fingerprint(issuer, id) };
  }

  #all(): ReadonlyMap<number, ReadonlyMap<number, string>> {
    if (this.#names !== undefined) return this.#names;
    const found = new Map<number, Map<number, string>>();
    for (const name of this.#marks.names(namespaces.lifted)) {
      const [issuer, id] = JSON.parse(name) as [string, string];
      for (const { fingerprint } of this.#fingerprints(issuer, id))
        remember(found, fingerprint, name);
    }
    return (this.#names = found);
  }
}

function remember(
  names: Map<number, Map<number, string>>,
  { high, low }: Fingerprint,
  name: string,
): void {
  const among = names.get(high);
  if (among === undefined) names.set(high, new Map([[low, name]]));
  else among.set(low, name);
}
