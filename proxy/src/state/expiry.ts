import type { Clock } from "@tocsin/shared";

/** Longer than any issuer's tolerance, and than most clocks are wrong. In seconds. */
const graceSeconds = 3_600;

/**
 * Tells up to when what has expired may be forgotten, in Unix seconds.
 *
 * An hour late on purpose, and never faster than time passes: a wall clock that jumps ahead for a while must not make the gateway
 * forget revocations of tokens that are good again when the clock is put right.
 */
export function forgettingTime(clock: Clock): () => number {
  const wallAtStart = clock.wall();
  const start = clock.monotonic();
  return () =>
    Math.min(clock.wall(), wallAtStart + clock.monotonic() - start) / 1000 - graceSeconds;
}
