/** How many connections each client address holds. */
export class Crowd {
  readonly #counts = new Map<string, number>();

  /** One more. @returns how many it holds then */
  enter(address: string): number {
    const group = groupOf(address);
    const count = (this.#counts.get(group) ?? 0) + 1;
    this.#counts.set(group, count);
    return count;
  }

  leave(address: string): void {
    const group = groupOf(address);
    const count = (this.#counts.get(group) ?? 0) - 1;
    if (count > 0) this.#counts.set(group, count);
    else this.#counts.delete(group);
  }
}

/** An IPv4 address by itself; of an IPv6 address its /64, because a single client has all of that (RFC 4291 §2.5.4). */
function groupOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const front = head === "" ? [] : head.split(":");
  if (tail === undefined) return front.slice(0, 4).map(plain).join(":");
  const back = tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => "0");
  return [...front, ...zeros, ...back].slice(0, 4).map(plain).join(":");
}

function plain(group: string): string {
  return group.replace(/^0+(?=.)/, "").toLowerCase();
}
