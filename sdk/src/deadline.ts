import type { Clock, Milliseconds } from "@tocsin/shared";

export interface Deadline {
  /** Aborts when the time is over, or the outer signal does. */
  readonly signal: AbortSignal;
  /** What the signal's reason is when the time is over. */
  readonly expired: Error;
  cancel(): void;
}

/** A signal that aborts after some time, and together with an outer one. */
export function deadlineOf(
  clock: Clock,
  timeoutMs: Milliseconds,
  outer: AbortSignal | undefined,
): Deadline {
  const controller = new AbortController();
  const expired = new Error(`nothing within ${timeoutMs} ms`);
  const pass = () => controller.abort(outer?.reason);
  // A timer cannot be longer than 2^31 ms; whoever asks for that waits for ever.
  const cancelTimer =
    timeoutMs < 2 ** 31 ? clock.after(timeoutMs, () => controller.abort(expired)) : () => {};
  if (outer?.aborted) pass();
  outer?.addEventListener("abort", pass, { once: true });
  return {
    signal: controller.signal,
    expired,
    cancel() {
      cancelTimer();
      outer?.removeEventListener("abort", pass);
    },
  };
}

/** Keeps the process alive until the returned function is called. The timers of waits do not. */
export function holdProcess(): () => void {
  const timer = setInterval(() => {}, 2 ** 30);
  return () => clearInterval(timer);
}
