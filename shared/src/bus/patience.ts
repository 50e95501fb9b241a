import type { Clock, Milliseconds } from "../time.ts";
import type { Bus, BusState } from "./bus.ts";

/**
 * Waits for work, but not for ever.
 *
 * @returns whether it was done in time. @throws what the work throws in time; what comes later is nobody's
 */
export function within(clock: Clock, limitMs: Milliseconds, work: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => resolve(false));
    work.then(() => resolve(true), reject).finally(cancel);
  });
}

/**
 * Resolves when the bus is in another state than this one, or after a time.
 *
 * @throws the signal's reason when it aborts first
 */
export function leaving(
  bus: Pick<Bus, "state" | "onState">,
  state: BusState,
  clock: Clock,
  withinMs?: Milliseconds,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    if (bus.state !== state) {
      resolve();
      return;
    }
    const finish = (settle: () => void) => {
      cancel();
      stop();
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const cancel = withinMs === undefined ? () => {} : clock.after(withinMs, () => finish(resolve));
    const stop = bus.onState((now) => {
      if (now !== state) finish(resolve);
    });
    const abort = () => finish(() => reject(signal?.reason as Error));
    signal?.addEventListener("abort", abort, { once: true });
  });
}
