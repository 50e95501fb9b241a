import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import type { AuditRecord } from "@tocsin/shared/contract";

/** How long calls of a kind are counted together, in milliseconds. */
const windowMs: Milliseconds = 60_000;
/** Kinds that are told apart at once, and addresses that one number names. */
const maxKinds = 500;
const maxAddresses = 8;

interface Kind {
  /** How many were written one by one. */
  written: number;
  count: number;
  first: number;
  last: AuditRecord | undefined;
  readonly addresses: Map<string, number>;
}

/**
 * Of calls that come again and again the first few of a minute are written one by one, the rest as a number when the minute is over:
 * whoever guesses tokens, or a service that starts over and over, must not push the orders of months out of the audit.
 */
export class Repeats implements Disposable {
  readonly #clock: Clock;
  readonly #write: (record: AuditRecord) => void;
  readonly #kinds = new Map<string, Kind>();
  #cancel: Cancel | undefined;

  constructor(clock: Clock, write: (record: AuditRecord) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  /** @returns whether it is to be written by itself; else it is counted */
  admits(record: AuditRecord, budget: number): boolean {
    this.#cancel ??= this.#clock.after(windowMs, () => this.flush());
    const kind = this.#kindOf(record);
    if (kind.written < budget) {
      kind.written += 1;
      return true;
    }
    if (kind.count === 0) kind.first = record.at;
    kind.count += 1;
    kind.last = record;
    const from = record.from ?? "";
    if (kind.addresses.has(from) || kind.addresses.size < maxAddresses)
      kind.addresses.set(from, (kind.addresses.get(from) ?? 0) + 1);
    return false;
  }

  /** Writes the numbers, and begins anew. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const kinds = [...this.#kinds];
    this.#kinds.clear();
    for (const [name, { count, first, last, addresses }] of kinds) {
      if (last === undefined) continue;
      const mixed = name === "" ? { who: "several", action: "several" } : {};
      this.#write({ ...summary(last, count, first, addresses), ...mixed });
    }
  }

  [Symbol.dispose](): void {
    this.flush();
  }

  #kindOf({ who, action, outcome, code }: AuditRecord): Kind {
    // What strangers do is told apart by how it was refused alone.
    const words = who === "unknown" ? [who, code] : [who, action, outcome, code];
    const wanted = words.join(" ");
    const name = this.#kinds.has(wanted) || this.#kinds.size < maxKinds ? wanted : "";
    const known = this.#kinds.get(name);
    if (known !== undefined) return known;
    const made: Kind = { written: 0, count: 0, first: 0, last: undefined, addresses: new Map() };
    this.#kinds.set(name, made);
    return made;
  }
}

/** What all of them have in common, and from where they came. */
function summary(
  last: AuditRecord,
  count: number,
  since: number,
  addresses: ReadonlyMap<string, number>,
): AuditRecord {
  const { target, request, agent, from, sequence, epoch, operation, applied, reason, ...common } =
    last;
  void [target, request, agent, sequence, epoch, operation, applied, reason];
  if (count === 1) return last;
  const [only] = addresses.keys();
  if (addresses.size === 1) return { ...common, ...(only === "" ? {} : { from }), count, since };
  const named = [...addresses].map(([address, times]) => `${address} (${times})`).join(", ");
  return { ...common, target: { addresses: named }, count, since };
}
