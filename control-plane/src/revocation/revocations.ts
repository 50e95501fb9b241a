/** Taking credentials back: orders into the revocations journal. */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Clock, Log, Milliseconds } from "@tocsin/shared";
import {
  BatchRevocation,
  LiftingEntry,
  protocolVersion,
  Revocation,
  type Config,
  type OrderAnswer,
  type RevocationItem,
  type RevocationPage,
  type RevocationsChecked,
  type RevocationTarget,
} from "@tocsin/shared/contract";
import { JournalUnavailable, type Journal, type OperationId } from "@tocsin/shared/journal";
import { z } from "zod";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import { Declined, type ProblemPlace } from "../problem.ts";
import { unconfirmed } from "../declined-of.ts";
import type { Orders, Part } from "../sync/orders.ts";
import { batchStarts } from "./batches.ts";
import { entryOf, type EntryTerms, type ReducedItem } from "./entries.ts";
import { findLiftable } from "./liftable.ts";
import { pageOf, type PageQuery } from "./listing.ts";
import { operationKey, partOperation, revocationId } from "./operation.ts";
import { invalid, withLine, type ReadOrder } from "./read-order.ts";
import { allReduced, reduced } from "./reduce.ts";
import { TokenReader } from "./token.ts";

export interface RevocationsOptions {
  readonly orders: Orders;
  readonly config: CurrentConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Journal;
  /** When something was revoked or lifted last, as far as this node knows, in Unix milliseconds. */
  readonly lastChange: (target: RevocationTarget) => number;
  /** The same of liftings alone. */
  readonly liftedAt: (target: RevocationTarget | Revocation) => number;
}

export interface LiftOptions {
  readonly reason?: string | undefined;
  /** Named by the sender, who may repeat it. */
  readonly operation?: OperationId | undefined;
  readonly waitMs: Milliseconds;
}

/** Entries that are made in one go. */
const slice = 500;

type Many = Extract<ReadOrder, { kind: "many" }>;

export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #tokens: TokenReader;

  constructor(options: RevocationsOptions) {
    this.#options = options;
    this.#tokens = new TokenReader(options.clock, options.log);
  }

  /**
   * @param onReduced hears what a token is reduced to, where it is an order of one
   * @throws Declined when the order makes no sense, or its operation is used; 503 naming the operation when the journal is away
   */
  async revoke(
    order: ReadOrder,
    waitMs: Milliseconds,
    onReduced?: (item: ReducedItem) => void,
  ): Promise<OrderAnswer> {
    return order.kind === "one"
      ? this.#one(order.item, order.operation, waitMs, onReduced)
      : this.#many(order, waitMs);
  }

  /** Refuses whatever {@link revoke} would refuse, and changes nothing. @throws Declined as {@link revoke} does */
  async check(order: ReadOrder): Promise<RevocationsChecked> {
    const now = this.#options.config.now();
    if (order.kind === "one") {
      const item = await reduced(order.item, this.#tokens, now, "refuse");
      entryOf(item, "", undefined, this.#terms(now));
      return { valid: true, count: 1, revocations: [item] };
    }
    const items = await allReduced(order.items, this.#tokens, now, order.lines);
    await this.#entries(items, "", order);
    return { valid: true, count: items.length, revocations: items };
  }

  async #one(
    item: RevocationItem,
    named: OperationId | undefined,
    waitMs: Milliseconds,
    onReduced?: (item: ReducedItem) => void,
  ): Promise<OrderAnswer> {
    const operation = named ?? randomUUID();
    const now = this.#options.config.now();
    const known = await reduced(item, this.#tokens, now, "refuse");
    onReduced?.(known);
    const entry = entryOf(known, operation, undefined, this.#terms(now));
    const body = JSON.stringify(entry);
    // Only who has named an operation can repeat it; one key each for the others would be a burden on the store.
    const part: Part =
      named === undefined
        ? { entry: { key: entry.kind, body }, operation }
        : { entry: { key: operationKey(named), body }, operation, expected: 0 };
    return this.#place(operation, [part], 1, waitMs);
  }

  /** Everything is checked before anything is appended. */
  async #many(order: Many, waitMs: Milliseconds): Promise<OrderAnswer> {
    const operation = order.operation ?? randomUUID();
    const now = this.#options.config.now();
    const items = await allReduced(order.items, this.#tokens, now, order.lines);
    const entries = await this.#entries(items, operation, order);
    const starts = batchStarts(items);
    const parts = starts.map((start, index): Part => {
      const batch: BatchRevocation = {
        v: protocolVersion,
        kind: "batch",
        items: entries.slice(start, starts[index + 1]),
      };
      const id = partOperation(operation, index);
      const entry = { key: operationKey(id), body: JSON.stringify(batch) };
      return { entry, operation: id, expected: 0 };
    });
    const answer = await this.#place(operation, parts, items.length, waitMs);
    return { ...answer, count: items.length };
  }

  async #entries(
    items: readonly ReducedItem[],
    operation: OperationId,
    { lines, partOf }: Many,
  ): Promise<Revocation[]> {
    const terms = this.#terms(this.#options.config.now());
    const entries: Revocation[] = [];
    const errors: ProblemPlace[] = [];
    for (const [place, item] of items.entries()) {
      try {
        entries.push(entryOf(item, operation, { place, partOf }, terms));
      } catch (error) {
        if (!(error instanceof Declined) || error.errors === undefined) throw error;
        for (const { pointer, message } of error.errors) {
          const whole = { pointer: `/revocations/${place}${pointer}`, message };
          errors.push(withLine(whole, lines?.[place]));
        }
      }
      if ((place + 1) % slice === 0) await setImmediate();
    }
    if (errors.length > 0) throw invalid(errors);
    return entries;
  }

  /**
   * Has something count again that was revoked: an order of its own, behind all that was ordered about it before.
   *
   * @param id of the revocation
   * @throws Declined 404 when there is none of this id, 409 when it is not in force any more, 503 as {@link revoke}
   */
  async lift(
    id: string,
    { reason, operation: named, waitMs }: LiftOptions,
  ): Promise<OrderAnswer & { readonly lifted: RevocationTarget }> {
    const { clock, journal, lastChange } = this.#options;
    const operation = named ?? randomUUID();
    const by = revocationId(operation, undefined, JSON.stringify([id, reason]));
    const { target, lastAt, expiresAt } = await findLiftable(journal, id, {
      by,
      now: clock.wall() / 1000,
    });
    const entry: LiftingEntry = {
      v: protocolVersion,
      kind: "lifting",
      id: by,
      // Behind all that it lifts, also where that was ordered by a clock that is ahead, and has not come here yet.
      at: Math.max(clock.wall(), lastChange(target) + 1, lastAt + 1),
      lifts: id,
      target,
      expiresAt,
      ...(reason === undefined ? {} : { reason }),
    };
    const body = JSON.stringify(entry);
    const part: Part =
      named === undefined
        ? { entry: { key: entry.kind, body }, operation }
        : { entry: { key: operationKey(named), body }, operation, expected: 0 };
    return { ...(await this.#place(operation, [part], 1, waitMs)), lifted: target };
  }

  /** What is revoked, oldest first. @throws Declined 503 when the journal cannot be read */
  async list(query: PageQuery): Promise<RevocationPage> {
    const { journal, clock, liftedAt } = this.#options;
    try {
      return await pageOf(journal, clock, query, liftedAt);
    } catch (cause) {
      if (!(cause instanceof JournalUnavailable)) throw cause;
      throw new Declined(503, "journal-unavailable", "The journal cannot be read now", { cause });
    }
  }

  #terms(config: Config): EntryTerms {
    const { clock, lastChange } = this.#options;
    return { config, clock, lastChange };
  }

  async #place(
    operation: OperationId,
    parts: readonly Part[],
    revocations: number,
    waitMs: Milliseconds,
  ): Promise<OrderAnswer> {
    let durable = 0;
    try {
      return await this.#options.orders.placeAll({
        journal: "revocations",
        operation,
        parts,
        same: (recorded, { entry }) => idsOf(recorded) === idsOf(entry.body),
        waitMs,
        onDurable: (count) => (durable = count),
      });
    } catch (error) {
      if (!(error instanceof JournalUnavailable)) throw error;
      const before =
        durable === 0
          ? undefined
          : parts.slice(0, durable).flatMap(({ entry }) => idsOf(entry.body).split(" ")).length;
      throw unconfirmed(
        error,
        operation,
        before === undefined ? undefined : { before, revocations },
      );
    }
  }
}

/** What an entry revokes and by which order, see `revocationId`. */
function idsOf(body: string): string {
  const value: unknown = JSON.parse(body);
  const batch = BatchRevocation.safeParse(value);
  if (batch.success) return batch.data.items.map(({ id }) => id).join(" ");
  const one = z.union([Revocation, LiftingEntry]).safeParse(value);
  return one.success ? one.data.id : "";
}
