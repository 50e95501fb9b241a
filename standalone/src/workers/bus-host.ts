/** The primary's end of a worker's bus: does on the real one what the worker wishes. */
import { messageOf, once, type Log } from "@tocsin/shared";
import { BusUnavailable, type Bus, type Message } from "@tocsin/shared/bus";
import type { Line } from "./line.ts";
import type { BusWish, Failure, ToPrimary, ToWorker } from "./words.ts";

/** So many of the last messages a worker may still answer. */
const answerable = 256;

/** @param bus the worker's own view of the bus, which the caller disposes */
export function hostBus(bus: Bus, line: Line<ToWorker, ToPrimary>, log: Log): AsyncDisposable {
  const subscriptions = new Map<number, Promise<AsyncDisposable | undefined>>();
  const asked = new Map<number, AbortController>();
  const messages = new Map<number, Message>();
  let last = 0;

  const failed = (id: number, error: unknown) =>
    void line.say({ kind: "failed", id, failure: failureOf(error) });
  const succeeded = (id: number) => void line.say({ kind: "done", id });

  function subscribe({ id, subject, queue }: Extract<BusWish, { kind: "subscribe" }>): void {
    const hear = (message: Message) => {
      last += 1;
      messages.set(last, message);
      if (messages.size > answerable) messages.delete(messages.keys().next().value!);
      const headers = message.headers();
      // Not taken: a worker that is too slow. What it lacks its replicas notice by the next beacon.
      line.say({
        kind: "message",
        id,
        message: last,
        subject: message.subject,
        payload: message.bytes(),
        ...(headers && { headers }),
      });
    };
    const begin = async () => {
      try {
        const subscription = await bus.subscribe(
          subject,
          hear,
          queue === undefined ? {} : { queue },
        );
        succeeded(id);
        return subscription;
      } catch (error) {
        subscriptions.delete(id);
        failed(id, error);
        return undefined;
      }
    };
    subscriptions.set(id, begin());
  }

  async function unsubscribe(id: number): Promise<void> {
    const subscribed = subscriptions.get(id);
    subscriptions.delete(id);
    await (await subscribed)?.[Symbol.asyncDispose]();
  }

  async function ask({
    id,
    subject,
    payload,
    headers,
    timeoutMs,
  }: Extract<BusWish, { kind: "ask" }>) {
    const enough = new AbortController();
    asked.set(id, enough);
    const take = (message: Message) => {
      const fields = message.headers();
      const taken = line.say({
        kind: "answer",
        id,
        subject: message.subject,
        payload: message.bytes(),
        ...(fields && { headers: fields }),
      });
      if (!taken) throw new BusUnavailable("disconnected", "the worker is too slow");
      return "more" as const;
    };
    const { signal } = enough;
    try {
      await bus.requestMany(subject, payload, take, {
        timeoutMs,
        signal,
        ...(headers && { headers }),
      });
      succeeded(id);
    } catch (error) {
      if (!signal.aborted) failed(id, error);
    } finally {
      asked.delete(id);
    }
  }

  function hear(wish: ToPrimary): void {
    switch (wish.kind) {
      case "publish":
        return bus.publish(wish.subject, wish.payload, wish.headers);
      case "subscribe":
        return subscribe(wish);
      case "unsubscribe":
        return void unsubscribe(wish.id);
      case "ask":
        return void ask(wish);
      case "enough":
        return asked.get(wish.id)?.abort(new Error("enough"));
      case "respond":
        return messages.get(wish.message)?.respond(wish.payload, wish.headers);
      case "flush":
        return void settle(wish.id, bus.flush());
      case "reconnect":
        return void settle(wish.id, bus.reconnect());
      default:
        // The rest is about the worker itself.
        return undefined;
    }
  }

  async function settle(id: number, doing: Promise<void>): Promise<void> {
    try {
      await doing;
      succeeded(id);
    } catch (error) {
      failed(id, error);
    }
  }

  const stopState = bus.onState((state) => void line.say({ kind: "bus", state }));
  const stopHearing = line.onWord((wish) => {
    try {
      hear(wish);
    } catch (error) {
      log.error({ kind: wish.kind, cause: messageOf(error) }, "wish of a worker failed");
    }
  });
  line.say({ kind: "bus", state: bus.state });

  return {
    [Symbol.asyncDispose]: once(async () => {
      stopState();
      stopHearing();
      for (const enough of asked.values()) enough.abort(new Error("the worker is gone"));
      await Promise.all([...subscriptions.keys()].map(unsubscribe));
      messages.clear();
    }),
  };
}

function failureOf(error: unknown): Failure {
  return {
    reason: error instanceof BusUnavailable ? error.kind : "disconnected",
    text: messageOf(error),
  };
}
