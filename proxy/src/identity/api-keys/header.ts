import { ambiguousCredential } from "@tocsin/shared";
import type { Presented } from "../identity.ts";

/** The field that carries API keys. */
export class KeyHeader {
  /** In lower case; letters, digits and hyphens. */
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /**
   * Takes the field out of what goes on to the upstream, in every spelling.
   *
   * @returns its value; undefined when it is not there
   * @throws Refusal bad-request when there is more than one, or one that others would read in another way
   */
  take(head: Presented["head"]): string | undefined {
    const { passing, hopByHop } = head;
    const name = this.#name;
    // Taken out by the client's own word, it would be as if nothing had been shown (RFC 9110 §7.6.1).
    if (hopByHop?.has(name)) throw ambiguous(`Connection names ${name}`);
    let at = -1;
    for (let index = 0; index + 1 < passing.length; index += 2) {
      const field = passing[index]!;
      if (field.length !== name.length || !this.#is(field)) continue;
      if (at >= 0) throw ambiguous(`more than one ${name} field`);
      if (field.toLowerCase() !== name)
        throw ambiguous(`${name} is spelled in a way that only some servers understand`);
      at = index;
    }
    return at < 0 ? undefined : passing.splice(at, 2)[1];
  }

  /** The name in any case, and with other characters for hyphens: `X_Api_Key` is the same to CGI (RFC 3875 §4.1.18). */
  #is(field: string): boolean {
    return field === this.#name || field.toLowerCase().replace(/[^a-z0-9]/g, "-") === this.#name;
  }
}

const ambiguous = (detail: string) => ambiguousCredential("api-key-repeated", detail);
