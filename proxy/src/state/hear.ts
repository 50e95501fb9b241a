import { messageOf, once, sleep } from "@tocsin/shared";
import type { Clock, Log } from "@tocsin/shared";
import type { Bus, Message } from "@tocsin/shared/bus";

const againMs = 1_000;

/** Hears a subject from some time after until it is disposed, however long the bus stays away. */
export function hear(
  subject: string,
  onMessage: (message: Message) => void,
  { bus, clock, log }: { readonly bus: Bus; readonly clock: Clock; readonly log: Log },
): AsyncDisposable {
  const closed = new AbortController();
  const { signal } = closed;
  async function subscribe(): Promise<AsyncDisposable | undefined> {
    while (!signal.aborted) {
      try {
        return await bus.subscribe(subject, (message) => {
          if (!signal.aborted) onMessage(message);
        });
      } catch (error) {
        log.warn({ subject, cause: messageOf(error) }, "cannot be heard yet");
        await sleep(clock, againMs, signal).catch(() => {});
      }
    }
    return undefined;
  }
  const subscription = subscribe();
  return {
    [Symbol.asyncDispose]: once(async () => {
      closed.abort(new Error("closed"));
      await (await subscription)?.[Symbol.asyncDispose]();
    }),
  };
}
