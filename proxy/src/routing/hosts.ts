/** How many Host values are remembered; a stranger who invents more costs time, not memory. */
const rememberedAtMost = 1_000;

/**
 * Which hosts are served, out of `listen.hosts`: names and addresses, `*.domain` for everything below a domain. Ports and case
 * do not matter. Without a list every host is served.
 */
export function hostList(hosts: readonly string[] | undefined): (host: string) => boolean {
  if (hosts === undefined) return () => true;
  const exact = new Set<string>();
  const suffixes: string[] = [];
  for (const host of hosts) {
    const lower = host.toLowerCase();
    if (lower.startsWith("*.")) suffixes.push(lower.slice(1));
    else exact.add(lower);
  }
  const remembered = new Map<string, boolean>();
  return (host) => {
    const known = remembered.get(host);
    if (known !== undefined) return known;
    const name = nameOf(host);
    const served =
      exact.has(name) ||
      suffixes.some((suffix) => name.length > suffix.length && name.endsWith(suffix));
    if (remembered.size < rememberedAtMost) remembered.set(host, served);
    return served;
  };
}

/** A `Host` value without its port, in lower case. */
function nameOf(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
}

/** Something for each host pattern. The most specific first: the name itself, then `*.domain` from the longest on, then the rest. */
export class HostTable<Value> {
  readonly #exact = new Map<string, Value>();
  #wildcards: { readonly suffix: string; readonly value: Value }[] = [];
  /** What is there for every host. */
  readonly rest: Value;
  readonly #remembered = new Map<string, readonly Value[]>();
  readonly #onlyRest: readonly Value[];

  constructor(rest: Value) {
    this.rest = rest;
    this.#onlyRest = [rest];
  }

  /** What stands at a pattern; made when nothing does yet. */
  at(pattern: string, make: () => Value): Value {
    const lower = pattern.toLowerCase();
    if (!lower.startsWith("*.")) {
      const known = this.#exact.get(lower);
      if (known !== undefined) return known;
      const value = make();
      this.#exact.set(lower, value);
      return value;
    }
    const suffix = lower.slice(1);
    const known = this.#wildcards.find((wildcard) => wildcard.suffix === suffix);
    if (known !== undefined) return known.value;
    const value = make();
    this.#wildcards = [...this.#wildcards, { suffix, value }].toSorted(
      (a, b) => b.suffix.length - a.suffix.length,
    );
    return value;
  }

  /** Everything for a `Host` value, the most specific first. */
  of(host: string): readonly Value[] {
    if (this.#exact.size === 0 && this.#wildcards.length === 0) return this.#onlyRest;
    const known = this.#remembered.get(host);
    if (known !== undefined) return known;
    const name = nameOf(host);
    const exact = this.#exact.get(name);
    const values = [
      ...(exact === undefined ? [] : [exact]),
      ...this.#wildcards
        .filter(({ suffix }) => name.length > suffix.length && name.endsWith(suffix))
        .map(({ value }) => value),
      this.rest,
    ];
    if (this.#remembered.size < rememberedAtMost) this.#remembered.set(host, values);
    return values;
  }
}
