import { messageOf, once } from "@tocsin/shared";
import type { Clock, Log, NodeName } from "@tocsin/shared";
import { subjects, type Bus, type Message } from "@tocsin/shared/bus";
import { CollectRequest } from "@tocsin/shared/contract";
import type { Epoch, Sequence } from "@tocsin/shared/journal";
import { sendHolding, type HeldJournal } from "@tocsin/shared/revocations";
import { hear } from "./hear.ts";

/** One journal, as this proxy holds it. */
export interface Held {
  readonly epoch: Epoch | undefined;
  readonly applied: Sequence;
  /** All that is in force at `applied`, at least. */
  readonly dump: () => Uint8Array | Promise<Uint8Array>;
}

export interface HoldingsOptions {
  readonly node: NodeName;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** Looked at when somebody asks. */
  readonly held: (journal: HeldJournal) => Held;
}

/** Questions that may wait for the one that is being answered. */
const maxWaiting = 4;

/**
 * Answers a control plane whose store has lost what the fleet holds. One answer at a time, however many ask: a million revocations
 * are 12 MB.
 */
export class Holdings implements AsyncDisposable {
  readonly #options: HoldingsOptions;
  readonly #closed = new AbortController();
  readonly #hearing: AsyncDisposable;
  readonly #waiting: CollectRequest[] = [];
  #answering: Promise<void> | undefined;

  /** Listens from some time after, for as long as it takes. */
  constructor(options: HoldingsOptions) {
    this.#options = options;
    this.#hearing = hear(subjects.everyProxy("collect"), (message) => this.#hear(message), options);
  }

  readonly [Symbol.asyncDispose] = once(async () => {
    this.#closed.abort(new Error("closed"));
    this.#waiting.length = 0;
    await this.#hearing[Symbol.asyncDispose]();
    await this.#answering;
  });

  #hear(message: Message): void {
    const request = readRequest(message);
    const { node, log } = this.#options;
    if (request === undefined || this.#closed.signal.aborted) return;
    if (request.proxies?.includes(node) === false) return;
    if (this.#waiting.some(({ id }) => id === request.id)) return;
    if (this.#waiting.length >= maxWaiting) {
      log.warn({ id: request.id }, "asked by too many at once what is held");
      return;
    }
    this.#waiting.push(request);
    this.#answering ??= this.#answer().finally(() => {
      this.#answering = undefined;
    });
  }

  async #answer(): Promise<void> {
    const { node, bus, log, held } = this.#options;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { id, journals } = next;
      try {
        for (const journal of new Set(journals)) {
          // Where it stands first: what comes while it is written down may be in it too, never less.
          const { epoch, applied, dump } = held(journal);
          const bytes = epoch === undefined ? new Uint8Array() : await dump();
          if (this.#closed.signal.aborted) return;
          await sendHolding(bus, id, { proxy: node, journal, epoch, applied, bytes });
        }
        log.info({ id, journals }, "told what is held");
      } catch (error) {
        // Who asked hears the silence.
        log.warn({ id, cause: messageOf(error) }, "what is held could not be told");
      }
    }
  }
}

function readRequest(message: Message): CollectRequest | undefined {
  try {
    return CollectRequest.parse(JSON.parse(message.text()));
  } catch {
    // Not a question of this version, or none.
    return undefined;
  }
}
