/** When a node may say that it has applied an order: when each of its processes has. */
import type { Ack } from "@tocsin/shared/contract";
import type { JournalName, OperationId } from "@tocsin/shared/journal";
import type { Standings } from "./words.ts";

interface Pending {
  readonly journal: JournalName;
  readonly acks: Map<string, Ack>;
}

/** Orders that may wait for one of the processes. Who asked for one that is dropped hears it by a heartbeat. */
const maxPending = 4_096;
const maxRefused = 16;

export class Acks {
  /** Those who are to apply orders: by name, with where they stand as far as they have said so. */
  readonly #members = new Map<string, Standings | undefined>();
  readonly #pending = new Map<OperationId, Pending>();
  readonly #say: (operation: OperationId, ack: Ack) => void;

  constructor(say: (operation: OperationId, ack: Ack) => void) {
    this.#say = say;
  }

  /** From now on nothing is acknowledged that this process has not applied. */
  join(member: string, standings?: Standings): void {
    this.#members.set(member, standings);
    this.#settle();
  }

  /** It is gone, and with it whatever it had not applied. */
  leave(member: string): void {
    this.#members.delete(member);
    this.#settle();
  }

  /** A process tells where it stands: what came to it with a snapshot it does not acknowledge one by one. */
  stands(member: string, standings: Standings): void {
    if (!this.#members.has(member)) return;
    this.#members.set(member, standings);
    this.#settle();
  }

  /** A process has applied an order, or could not. */
  applied(member: string, operation: OperationId, ack: Ack): void {
    let pending = this.#pending.get(operation);
    if (pending === undefined) {
      pending = { journal: ack.journal, acks: new Map() };
      this.#pending.set(operation, pending);
      if (this.#pending.size > maxPending) this.#pending.delete(this.#pending.keys().next().value!);
    }
    pending.acks.set(member, ack);
    this.#settleOne(operation, pending);
  }

  #settle(): void {
    for (const [operation, pending] of this.#pending) this.#settleOne(operation, pending);
  }

  #settleOne(operation: OperationId, { journal, acks }: Pending): void {
    const [any] = acks.values();
    if (any === undefined || this.#members.size === 0) return;
    for (const [member, standings] of this.#members) {
      if (acks.has(member)) continue;
      const standing = standings?.[journal];
      if (standing?.epoch !== any.epoch || standing.applied < any.applied) return;
    }
    this.#pending.delete(operation);
    this.#say(operation, together([...acks.values()]));
  }
}

/** What could not be applied by one of them is not in force on the node. */
function together(acks: readonly Ack[]): Ack {
  const [first] = acks;
  const error = acks.find((ack) => ack.error !== undefined)?.error;
  const refused = new Set(acks.flatMap((ack) => ack.refused ?? []));
  return {
    ...first!,
    ...(error === undefined ? {} : { error }),
    refused: [...refused].toSorted((one, other) => one - other).slice(-maxRefused),
  };
}
