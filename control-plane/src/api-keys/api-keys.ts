/** API keys: made, rotated, taken back. The catalogue holds them; of a secret nobody but its owner has more than the hash. */
import { randomUUID } from "node:crypto";
import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import { freshKey, type ApiKeyId } from "@tocsin/shared/api-keys";
import {
  catalogueKeys,
  type ApiKeyEntry,
  type ApiKeyMade,
  type ApiKeyRevoked,
  type ApiKeyView,
  type NewApiKey,
  type OrderAnswer,
} from "@tocsin/shared/contract";
import { JournalConflict, JournalUnavailable, type OperationId } from "@tocsin/shared/journal";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import { unconfirmed } from "../declined-of.ts";
import { Declined } from "../problem.ts";
import type { LongOrder, Orders } from "../sync/orders.ts";
import type { State } from "../sync/state.ts";
import {
  idOfOperation,
  isOurs,
  markOf,
  newEntry,
  orderedAlike,
  readEntry,
  revoked,
  rotated,
  secondsOf,
  secretOf,
  stateOf,
  stepOperation,
  viewOf,
  written,
} from "./entry.ts";
import type { LastUsed } from "./last-used.ts";

export interface ApiKeysOptions {
  readonly state: Pick<State, "catalogue" | "write">;
  readonly orders: Pick<Orders, "placeAll">;
  readonly config: Pick<CurrentConfig, "now">;
  /** Takes a key back on every proxy, by the journal of revocations. */
  readonly revoke: (
    id: ApiKeyId,
    options: { readonly reason: string | undefined; readonly waitMs: Milliseconds },
  ) => Promise<OrderAnswer>;
  readonly lastUsed: LastUsed;
  readonly clock: Clock;
  readonly log: Log;
}

export interface OrderTerms {
  /** By which it can be repeated. Absent: it cannot. */
  readonly operation: OperationId | undefined;
  readonly waitMs: Milliseconds;
}

export interface RotationTerms extends OrderTerms {
  readonly overlapMs: Milliseconds;
  /** Only if the key is at this revision. */
  readonly ifRevision: number | undefined;
}

/** How often a change is tried when somebody else wrote first. */
const triesAtConflict = 8;

export class ApiKeys {
  readonly #options: ApiKeysOptions;

  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /** Refuses what {@link create} would refuse, and changes nothing. @throws Declined 409 without keys in the config, 422 */
  check({ expiresAt }: NewApiKey): void {
    this.#needKeys();
    if (expiresAt !== undefined && expiresAt <= secondsOf(this.#options.clock))
      throw new Declined(422, "validation-failed", "The request does not validate", {
        errors: [{ pointer: "/expiresAt", message: "it is over: nobody could use the key" }],
      });
  }

  /**
   * Makes a key. A repetition leads to the key that was made first, and does not show its secret: that is not known any more.
   *
   * @throws Declined as {@link check}; 409 when the operation made another key; 503 naming the operation when the journal is away
   */
  async create(asked: NewApiKey, { operation: named, waitMs }: OrderTerms): Promise<ApiKeyMade> {
    this.check(asked);
    const operation = named ?? randomUUID();
    const id = idOfOperation(operation);
    const key = freshKey(id);
    const entry = newEntry(id, asked, secretOf(key, secondsOf(this.#options.clock)));
    const part = { entry: written(entry), operation: stepOperation("create", operation) };
    const answer = await this.#place({
      journal: "catalogue",
      operation,
      parts: [{ ...part, expected: 0 }],
      same(recorded) {
        const other = readEntry(recorded);
        return other !== undefined && orderedAlike(other, entry);
      },
      waitMs,
    });
    const held = this.#held(id);
    // What the store has of it may have been rotated since, so that it could not be compared there.
    if (held !== undefined && !orderedAlike(held, entry)) throw usedBefore(operation);
    const ours = isOurs(answer, held, entry);
    if (ours) this.#options.log.info({ apiKey: id, principal: asked.principal }, "API key made");
    return this.#made(id, entry, answer, ours ? key : undefined);
  }

  /** Refuses what {@link rotate} would refuse, and changes nothing. @throws Declined as {@link rotate} does */
  checkRotation(id: ApiKeyId, ifRevision: number | undefined): ApiKeyEntry {
    this.#needKeys();
    const entry = this.#entry(id);
    if (ifRevision !== undefined && ifRevision !== entry.revision)
      throw otherRevision(ifRevision, entry.revision);
    const state = stateOf(entry, secondsOf(this.#options.clock));
    if (state === "active") return entry;
    throw new Declined(409, `api-key-${state}`, `The API key is ${state}`, {
      detail: `${id} is ${state}, and stays so. Make another one.`,
    });
  }

  /**
   * Gives a key another secret; the one before is good for a while. Of more than two the oldest is good no more.
   *
   * @throws Declined 404, 409 when it is not active, 412 at another revision, 503 naming the operation when the journal is away
   */
  async rotate(id: ApiKeyId, terms: RotationTerms): Promise<ApiKeyMade> {
    const { operation: named, waitMs, overlapMs, ifRevision } = terms;
    const operation = named ?? randomUUID();
    const step = stepOperation(`rotate ${id}`, operation);
    for (let tries = 1; ; tries += 1) {
      const done = named === undefined ? undefined : this.#madeBy(id, named);
      if (done !== undefined) {
        // To learn who has it: nothing is written under a key that has an entry.
        const part = { entry: written(done), operation: step, expected: 0 };
        const repetition = { journal: "catalogue", operation, parts: [part], waitMs } as const;
        const answer = await this.#place({ ...repetition, same: () => true });
        return this.#made(id, done, answer, undefined);
      }
      const before = this.checkRotation(id, ifRevision);
      const key = freshKey(id);
      const secret = secretOf(key, secondsOf(this.#options.clock), named);
      const entry = rotated(before, secret, overlapMs);
      const expected = this.#options.state.catalogue.sequenceOf(catalogueKeys.apiKey(id));
      try {
        const parts = [{ entry: written(entry), operation: step, expected }];
        const answer = await this.#place({ journal: "catalogue", operation, parts, waitMs });
        // Another node carried out the same operation, and this one did not know yet.
        if (!isOurs(answer, this.#held(id), entry)) return this.#made(id, entry, answer, undefined);
        this.#options.log.info({ apiKey: id, overlapMs }, "API key rotated");
        return this.#made(id, entry, answer, key);
      } catch (error) {
        if (!(error instanceof JournalConflict)) throw error;
        if (ifRevision !== undefined)
          throw otherRevision(ifRevision, Math.max(before.revision, ifRevision) + 1);
        if (tries >= triesAtConflict) throw error;
        await new Promise<void>((resolve) => this.#options.clock.after(10 * tries, resolve));
      }
    }
  }

  /**
   * Takes a key back: on every proxy at once, by an order; and for ever, in its entry. Doing it again is no error.
   *
   * @throws Declined 404; 503 when the journal did not take the order
   */
  async revoke(
    id: ApiKeyId,
    options: { readonly reason: string | undefined; readonly waitMs: Milliseconds },
  ): Promise<ApiKeyRevoked> {
    this.#entry(id);
    const facts = factsOf(await this.#options.revoke(id, options));
    try {
      await this.mark(id, (entry) =>
        entry.revokedAt === undefined ? revoked(entry, secondsOf(this.#options.clock)) : undefined,
      );
    } catch (error) {
      // The order stands, and the leader writes the mark as soon as it can.
      this.#options.log.warn({ apiKey: id, cause: messageOf(error) }, "revoked key not marked yet");
    }
    this.#options.log.info({ apiKey: id }, "API key revoked");
    return { id, ...facts, apiKey: this.view(this.#entry(id)) };
  }

  /**
   * Changes an entry, if it is still to be changed when it is looked at.
   *
   * @param change undefined: nothing is to be done
   * @throws JournalConflict, JournalUnavailable as the journal does
   */
  async mark(id: ApiKeyId, change: (entry: ApiKeyEntry) => ApiKeyEntry | undefined): Promise<void> {
    const { state, clock } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const held = this.#held(id);
      const changed = held && change(held);
      if (changed === undefined) return;
      try {
        const expected = state.catalogue.sequenceOf(catalogueKeys.apiKey(id));
        await state.write("catalogue", written(changed), { expected });
        return;
      } catch (error) {
        if (!(error instanceof JournalConflict) || tries >= triesAtConflict) throw error;
        await new Promise<void>((resolve) => clock.after(10 * tries, resolve));
      }
    }
  }

  /** @throws Declined 404 when there is none */
  one(id: ApiKeyId): ApiKeyView {
    return this.view(this.#entry(id));
  }

  view(entry: ApiKeyEntry): ApiKeyView {
    const { clock, lastUsed } = this.#options;
    return viewOf(entry, secondsOf(clock), lastUsed.of(entry.id));
  }

  *entries(): Generator<ApiKeyEntry> {
    for (const { value } of this.#options.state.catalogue.values())
      if (value.kind === "api-key") yield value;
  }

  #made(
    id: ApiKeyId,
    written: ApiKeyEntry,
    answer: OrderAnswer,
    key: string | undefined,
  ): ApiKeyMade {
    const facts = factsOf(answer);
    const apiKey = this.view(this.#held(id) ?? written);
    return key === undefined
      ? { id, ...facts, apiKey, repeated: true }
      : { id, key, ...facts, apiKey };
  }

  /** The key, where this operation gave it one of its secrets by a rotation. */
  #madeBy(id: ApiKeyId, operation: OperationId): ApiKeyEntry | undefined {
    const entry = this.#held(id);
    const mark = markOf(operation);
    return entry?.secrets.some((secret) => secret.operation === mark) ? entry : undefined;
  }

  async #place(order: LongOrder): Promise<OrderAnswer> {
    try {
      return await this.#options.orders.placeAll(order);
    } catch (error) {
      if (!(error instanceof JournalUnavailable)) throw error;
      throw unconfirmed(error, order.operation);
    }
  }

  #held(id: ApiKeyId): ApiKeyEntry | undefined {
    const value = this.#options.state.catalogue.get(catalogueKeys.apiKey(id))?.value;
    return value?.kind === "api-key" ? value : undefined;
  }

  #entry(id: string): ApiKeyEntry {
    const entry = this.#held(id);
    if (entry !== undefined) return entry;
    throw new Declined(404, "not-found", "There is no such API key", { detail: id });
  }

  #needKeys(): void {
    if (this.#options.config.now().identity.apiKeys !== undefined) return;
    throw new Declined(409, "api-keys-not-configured", "There are no API keys", {
      detail: "identity.apiKeys of the config is not set, so no proxy would take one.",
    });
  }
}

/** What every order tells. */
function factsOf({ operation, sequence, epoch, durableMs, applied }: OrderAnswer) {
  return { operation, sequence, epoch, durableMs, applied };
}

function otherRevision(expected: number, found: number): Declined {
  return new Declined(412, "precondition-failed", "The key is at another revision", {
    detail: `If-Match wants revision ${expected}, the key is at ${found}.`,
  });
}

function usedBefore(operation: OperationId): Declined {
  return new Declined(409, "operation-used", "This operation was used for another order", {
    detail: `The operation ${operation} made another key. Nothing was written; use another id for another order.`,
  });
}
