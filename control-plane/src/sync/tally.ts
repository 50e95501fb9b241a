import type { Clock, Milliseconds, NodeName } from "@tocsin/shared";
import type { Ack, Applied, JournalReport, MissingProxy } from "@tocsin/shared/contract";
import {
  journals,
  type Epoch,
  type JournalName,
  type OperationId,
  type Sequence,
} from "@tocsin/shared/journal";
import type { HeardProxy, Proxies } from "./proxies.ts";

/** Where the entries of an order stand. */
export interface Standing {
  readonly epoch: Epoch;
  /** Of its entries, ascending; at least one. */
  readonly sequences: readonly Sequence[];
}

export interface TallyOptions {
  readonly journal: JournalName;
  /** The operations of the order's entries. */
  readonly operations: ReadonlySet<OperationId>;
  readonly proxies: Proxies;
  readonly clock: Clock;
  /** Told when a proxy is known to have applied it, with the time since the order was given. */
  readonly onApplied?: (afterMs: Milliseconds) => void;
}

interface Early {
  readonly operation: OperationId;
  readonly ack: Ack;
  readonly proxy: NodeName;
  readonly at: Milliseconds;
}

interface Word {
  readonly at: Milliseconds;
  /** The process that gave it, as far as it is known. */
  readonly boot: string | undefined;
  /** Why it refused. */
  readonly error: string | undefined;
}

/** Time between two looks at who is still there, in milliseconds: a proxy that goes away says nothing. */
const lookEveryMs: Milliseconds = 500;

/**
 * Who has applied one order, and when.
 *
 * A proxy that has applied up to a sequence has applied everything before it, but what it refused: so any acknowledgement and any
 * heartbeat of it counts, and none that is lost matters. What a process has said counts for that process alone.
 */
export class Tally {
  readonly #options: TallyOptions;
  readonly #start: Milliseconds;
  readonly #words = new Map<NodeName, Word>();
  /**
   * Proxies that were there when the order was given or came later, and have not given their word: that one of them falls silent does
   * not make it unimportant.
   */
  readonly #wordless: Set<NodeName>;
  /** Acknowledgements that came before we knew what to compare them with; of other orders the last of each proxy. */
  readonly #early = new Map<string, Early>();
  #standing: Standing | undefined;
  #wake: () => void = () => {};

  constructor(options: TallyOptions) {
    this.#options = options;
    this.#start = options.clock.monotonic();
    this.#wordless = new Set(options.proxies.live().map(({ heartbeat }) => heartbeat.proxy));
  }

  /** The order is in the journal. Called again when the journal has begun another history that holds it. */
  stands(standing: Standing): void {
    const moved = this.#standing !== undefined && this.#standing.epoch !== standing.epoch;
    this.#standing = standing;
    // Of a log nothing is ever taken back on a proxy; a keyed journal is replaced, and has to be acknowledged anew.
    if (moved && journals[this.#options.journal].keep === "last-per-key")
      for (const proxy of this.#words.keys()) this.#forget(proxy);
    for (const early of this.#early.values()) this.#note(early);
    this.#early.clear();
    // An order that is repeated may be in force already, and who acknowledged a later one has said so.
    const { proxies, journal, clock } = this.#options;
    for (const heard of proxies.live()) {
      this.heard(heard);
      const { proxy } = heard.heartbeat;
      const ack = proxies.lastAcknowledged(proxy, journal);
      if (ack !== undefined) this.#note({ operation: "", ack, proxy, at: clock.monotonic() });
    }
    this.#wake();
  }

  acknowledged(operation: OperationId, ack: Ack, proxy: NodeName): void {
    if (ack.journal !== this.#options.journal) return;
    const early = { operation, ack, proxy, at: this.#options.clock.monotonic() };
    if (this.#standing !== undefined) return this.#note(early);
    const own = this.#options.operations.has(operation);
    this.#early.set(own ? `${operation} ${proxy}` : proxy, early);
  }

  /** A heartbeat repeats what is applied, which heals a lost acknowledgement. */
  heard({ heartbeat }: HeardProxy): void {
    const standing = this.#standing;
    if (!this.#words.has(heartbeat.proxy)) this.#wordless.add(heartbeat.proxy);
    if (standing === undefined) return;
    const { proxy, boot, journals: reports } = heartbeat;
    const before = this.#words.get(proxy);
    // A proxy that started anew has what it says, not what another process of that name said.
    if (before?.boot !== undefined && before.boot !== boot) this.#forget(proxy);
    const report = reports[this.#options.journal];
    if (report.epoch !== standing.epoch || report.applied < standing.sequences.at(-1)!) return;
    const error = refusedBy(report, standing.sequences);
    if (error === undefined) return;
    this.#put(proxy, error === false ? undefined : error);
  }

  /** Resolves when nobody is left to wait for, the time is up, or it has been looked at for a while. @returns true: look again */
  async settled(until: Milliseconds): Promise<boolean> {
    const { clock, proxies } = this.#options;
    const leftMs = until - clock.monotonic();
    // Who fell silent is missing, and not waited for: nothing tells when it comes back.
    if (leftMs <= 0 || !this.#someMissing((proxy) => proxies.isLive(proxy))) return false;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(Math.min(leftMs, lookEveryMs), resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    return true;
  }

  applied(): Applied {
    const done: [NodeName, Word][] = [];
    const refused: MissingProxy[] = [];
    for (const [proxy, word] of this.#words) {
      if (word.error === undefined) done.push([proxy, word]);
      else refused.push({ proxy, ...this.#lastSeen(proxy), error: word.error });
    }
    done.sort(([, a], [, b]) => a.at - b.at);
    const last = done.at(-1);
    const missing = [
      ...refused,
      ...[...this.#missing()].map((proxy) => ({
        proxy,
        ...this.#lag(proxy),
        ...this.#lastSeen(proxy),
      })),
    ];
    return {
      expected: done.length + missing.length,
      count: done.length,
      ms: last === undefined ? 0 : round(last[1].at - this.#start),
      ...(last === undefined ? {} : { slowest: last[0] }),
      missing,
    };
  }

  #note({ operation, ack, proxy, at }: Early): void {
    const { epoch, sequences } = this.#standing!;
    if (ack.epoch !== epoch) return;
    const own = this.#options.operations.has(operation);
    if (own && ack.error !== undefined) return this.#put(proxy, ack.error, at);
    if (ack.applied < sequences.at(-1)!) return;
    if (own && sequences.length === 1) return this.#put(proxy, undefined, at);
    const refused = refusedIn(ack.refused, sequences);
    if (refused === undefined) return;
    this.#put(proxy, refused ? "it refused the entry" : undefined, at);
  }

  #put(proxy: NodeName, error: string | undefined, at = this.#options.clock.monotonic()): void {
    const before = this.#words.get(proxy);
    // The first word counts: when it was applied, and why it was refused.
    if (before !== undefined && (before.error !== undefined || error === undefined)) return;
    const boot = this.#options.proxies.get(proxy)?.heartbeat.boot;
    this.#words.set(proxy, { at, boot, error });
    this.#wordless.delete(proxy);
    if (error === undefined) this.#options.onApplied?.(at - this.#start);
    this.#wake();
  }

  #forget(proxy: NodeName): void {
    this.#words.delete(proxy);
    this.#wordless.add(proxy);
  }

  *#missing(): Generator<NodeName> {
    const { journal, proxies } = this.#options;
    for (const name of this.#wordless) {
      const heard = proxies.get(name);
      if (heard === undefined || heard.heartbeat.leaving === true) continue;
      // A proxy without any snapshot serves nobody, and has everything before it begins.
      if (heard.heartbeat.journals[journal].epoch !== undefined) yield name;
    }
  }

  /** Looks no further than the first: it is asked after each word, and there may be thousands to come. */
  #someMissing(matches: (proxy: NodeName) => boolean): boolean {
    for (const proxy of this.#missing()) if (matches(proxy)) return true;
    return false;
  }

  #lag(name: NodeName): { lag?: number } {
    const { epoch, sequences } = this.#standing!;
    const report = this.#options.proxies.get(name)?.heartbeat.journals[this.#options.journal];
    if (report === undefined || report.epoch !== epoch) return {};
    return { lag: Math.max(0, sequences.at(-1)! - report.applied) };
  }

  #lastSeen(name: NodeName): { lastSeenMs?: number } {
    const heard = this.#options.proxies.get(name);
    if (heard === undefined) return {};
    return { lastSeenMs: Math.round(this.#options.clock.monotonic() - heard.at) };
  }
}

/** Whether one of the sequences was refused: why, or false, or undefined where the report does not tell. */
function refusedBy(
  { poisoned }: JournalReport,
  sequences: readonly Sequence[],
): string | false | undefined {
  if (poisoned === undefined) return false;
  if (sequences.includes(poisoned.sequence)) return poisoned.error;
  const known = poisoned.count === 1 ? [poisoned.sequence] : poisoned.recent;
  const refused = refusedIn(known, sequences, poisoned.count > (known?.length ?? 0));
  if (refused === undefined) return sequences[0]! > poisoned.sequence ? false : undefined;
  return refused ? "it refused the entry" : false;
}

/** The most that is told of what was refused; where there are so many there may be more. */
const refusedTold = 16;

/** @returns undefined when it is not known: what was refused long ago is not told any more */
function refusedIn(
  refused: readonly Sequence[] | undefined,
  sequences: readonly Sequence[],
  more = (refused?.length ?? 0) >= refusedTold,
): boolean | undefined {
  if (refused === undefined) return undefined;
  if (refused.some((sequence) => sequences.includes(sequence))) return true;
  return more && sequences[0]! < (refused[0] ?? 0) ? undefined : false;
}

const round = (milliseconds: Milliseconds) => Math.round(milliseconds * 100) / 100;
