import { AddressBlocks } from "./address-blocks.ts";
import { namespaces, type Marks } from "./marks.ts";

/** What is revoked until a moment, and not for what was issued before one. */
const those: ReadonlySet<string | undefined> = new Set([
  namespaces.client,
  namespaces.signingKey,
  namespaces.apiKey,
  namespaces.address,
]);

/** What has an end itself: clients, keys and addresses. It ends when the time is told, and is forgotten much later. */
export class Temporary {
  readonly addresses = new AddressBlocks();
  /** Grows whenever another address may be shut out than before, or let in. */
  addressVersion = 0;
  #now = 0;
  #nextEnd = Infinity;

  /** As it was told last, in Unix seconds. */
  get now(): number {
    return this.#now;
  }

  /** A name is revoked until then, in Unix seconds; -1: not any more. */
  changed(name: string, namespace: string | undefined, until: number): void {
    if (!those.has(namespace)) return;
    if (until >= this.#now) this.#nextEnd = Math.min(this.#nextEnd, until);
    if (namespace !== namespaces.address) return;
    this.addressVersion += 1;
    if (until < 0) this.addresses.delete(name);
    else this.addresses.set(name, until);
  }

  /** @returns whether one of them may have ended, or, where a clock was put back, begun again */
  pass(now: number, marks: Marks): boolean {
    const isAsBefore = now >= this.#now && now <= this.#nextEnd;
    this.#now = now;
    if (isAsBefore) return false;
    this.addressVersion += 1;
    this.#nextEnd = Infinity;
    for (const namespace of those)
      for (const until of marks.moments(namespace))
        if (until >= now) this.#nextEnd = Math.min(this.#nextEnd, until);
    return true;
  }
}
