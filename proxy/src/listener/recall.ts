import { Aborted } from "@tocsin/shared";
import type { Cancel, Clock, Milliseconds } from "@tocsin/shared";
import { refusalOf, type Ending, type Standing } from "../streams/standing.ts";
import { forbidden, unauthorized, type Streams } from "../streams/streams.ts";
import type { ExchangeResponse } from "./response.ts";

/** Between two looks, in milliseconds: however much is revoked in a second, and however many expire. */
const paceMs: Milliseconds = 20;
/** So many are looked at before others have their turn. */
const atOnce = 1_000;

export interface RecallOptions {
  readonly clock: Clock;
  readonly streams: Streams;
  readonly standing: Standing;
}

/**
 * Ends what is open for somebody who would not be let in any more: whose credential was revoked or has expired, or whose address was shut
 * out. WebSockets and event streams end as their protocols say. Of everything else an answer that has begun is visibly cut short (RFC 9112
 * §8), and one that has not begun is the refusal that a new request would get.
 */
export class Recall implements Disposable {
  readonly #options: RecallOptions;
  readonly #open = new Set<ExchangeResponse>();
  readonly #stop: (() => void)[];
  #wanted = false;
  #looking = false;
  #next: Cancel | undefined;

  constructor(options: RecallOptions) {
    this.#options = options;
    const { standing, clock } = options;
    this.#stop = [
      standing.onChange(() => this.#want()),
      clock.every(paceMs * 2, () => this.#endExpired()),
    ];
  }

  /** An exchange began. */
  began(response: ExchangeResponse): void {
    this.#open.add(response);
  }

  /** It is over, or it has become a WebSocket. */
  over(response: ExchangeResponse): void {
    this.#open.delete(response);
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop) stop();
    this.#next?.();
  }

  #want(): void {
    this.#wanted = true;
    if (this.#looking || this.#next !== undefined) return;
    void this.#look();
  }

  async #look(): Promise<void> {
    const { standing, streams } = this.#options;
    this.#looking = true;
    this.#wanted = false;
    let count = 0;
    for (const response of this.#open) {
      const { principal, clientAddress } = response.exchange!;
      const ending = standing.of(principal, clientAddress);
      // One that waits for something before it is forwarded cannot be ended yet.
      if (ending !== undefined && !end(response, ending)) this.#wanted = true;
      if ((count += 1) % atOnce === 0) await turn();
    }
    // Behind the exchanges: one that becomes a stream while others have their turn is found here.
    for (const stream of streams) {
      const ending = standing.of(stream.principal, stream.clientAddress);
      if (ending !== undefined) stream.close(codeOf(ending), ending);
      if ((count += 1) % atOnce === 0) await turn();
    }
    this.#looking = false;
    this.#next = this.#options.clock.after(paceMs, () => {
      this.#next = undefined;
      if (this.#wanted) void this.#look();
    });
  }

  #endExpired(): void {
    const { standing, streams } = this.#options;
    const { now } = standing;
    for (const stream of streams) {
      const ending = standing.byTime(stream.principal, now);
      if (ending !== undefined) stream.close(codeOf(ending), ending);
    }
    for (const response of this.#open) {
      const ending = standing.byTime(response.exchange!.principal, now);
      if (ending !== undefined) end(response, ending);
    }
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function codeOf(ending: Ending): number {
  return ending === "blocked" ? forbidden : unauthorized;
}

/** @returns whether it ends, or needs not */
function end(response: ExchangeResponse, ending: Ending): boolean {
  const exchange = response.exchange!;
  // A WebSocket or an event stream has been told; what was refused is on its way out already.
  if (response.switched || response.endsProperly || exchange.code !== undefined) return true;
  if (!response.headersSent) {
    // Nothing of an answer has come: whoever waits for it gets the refusal in its place.
    exchange.delivery?.abort(refusalOf(ending));
    return exchange.delivery !== undefined;
  }
  exchange.aborted ??= new Aborted(ending);
  exchange.delivery?.abort(exchange.aborted);
  response.destroy();
  return true;
}
