/**
 * Requests on NATS. Not the library's own, which know no signal, measure the whole instead of the silence, and time out where the
 * connection is already known to be away.
 */
import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";
import type { Clock } from "../time.ts";
import { BusUnavailable, type RequestOptions } from "./bus.ts";
import { encode, NatsMessage } from "./nats-message.ts";

/** A request that waits for answers. */
export interface Pending {
  readonly subject: string;
  fail(error: BusUnavailable): void;
}

export interface Asking {
  /** @throws BusUnavailable when it is away */
  readonly connection: () => NatsConnection;
  readonly inboxPrefix: string;
  readonly clock: Clock;
  /** Where the request stands while it waits, so that the connection can end it. */
  readonly pending: Set<Pending>;
}

export function ask(
  { connection, inboxPrefix, clock, pending }: Asking,
  subject: string,
  payload: string | Uint8Array,
  onMessage: (message: NatsMessage) => "more" | "done",
  options: RequestOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const inbox = createInbox(inboxPrefix);
    let silence = () => {};
    const finish = (settle: () => void) => {
      silence();
      options.signal?.removeEventListener("abort", abort);
      if (!pending.delete(request)) return;
      subscription.unsubscribe();
      settle();
    };
    const abort = () => finish(() => reject(options.signal!.reason as Error));
    const request: Pending = { subject, fail: (error) => finish(() => reject(error)) };
    const listen = () => {
      silence();
      silence = clock.after(options.timeoutMs, () =>
        request.fail(
          new BusUnavailable("timeout", `no answer on ${subject} in ${options.timeoutMs} ms`),
        ),
      );
    };
    const hear = (error: Error | null, message: Msg) => {
      if (!pending.has(request)) return;
      if (error !== null) {
        request.fail(refusal(`to let us hear ${inbox}`, error));
      } else if (message.data.length === 0 && message.headers?.code === 503) {
        request.fail(new BusUnavailable("no-responders", `nobody answers ${subject}`));
      } else {
        listen();
        try {
          if (onMessage(new NatsMessage(message)) === "done") finish(resolve);
        } catch (thrown) {
          finish(() => reject(thrown));
        }
      }
    };
    // One subscription a request: what a stream delivers comes under its own subject, so the subject cannot tell requests apart.
    const subscription = connection().subscribe(inbox, { callback: hear });
    pending.add(request);
    options.signal?.addEventListener("abort", abort, { once: true });
    listen();
    try {
      connection().publish(subject, payload, {
        reply: inbox,
        ...(options.headers === undefined ? {} : { headers: encode(options.headers) }),
      });
    } catch (thrown) {
      finish(() => reject(thrown));
    }
  });
}

export function refusal(what: string, cause: Error): BusUnavailable {
  return new BusUnavailable("refused", `the server refuses ${what}`, { cause });
}
