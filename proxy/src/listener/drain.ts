/** How a listener ends: notice, no new connections, what is in flight, streams, and at last the knife. */
import type { Clock, Milliseconds } from "@tocsin/shared";
import { goingAway } from "../streams/streams.ts";

export interface DrainOptions {
  /** Time in which new connections are still taken, so that those who route to us notice. Default 0. */
  readonly noticeMs?: Milliseconds;
  /** Time for all of it; what is in flight then is cut. */
  readonly timeoutMs: Milliseconds;
  /** What never ends by itself: closed when all else is over, at the latest when half of the time is. */
  readonly streams?: {
    /** How many there are. */
    readonly size: number;
    closeAll(code: number, staggerMs: Milliseconds): Promise<void>;
  };
}

/** What a drain does with its listener. */
export interface Draining {
  /** Exchanges that are not over. */
  readonly active: () => number;
  /** Replies carry `Connection: close` from now on. */
  readonly announce: () => void;
  /** Takes no new connections and closes idle ones. Resolves when all connections are closed. */
  readonly stop: () => Promise<void>;
  /** Closes every connection, now. */
  readonly cut: () => void;
}

/** Streams are told one by one, so long apart: all of a proxy's clients at once would be a flood for the others. */
const apartMs: Milliseconds = 5;
/** How often is looked whether only streams are left. Nobody's request waits for it. */
const lookMs: Milliseconds = 20;

/** @returns true when everything finished in time */
export async function drain(
  { active, announce, stop, cut }: Draining,
  { noticeMs = 0, timeoutMs, streams }: DrainOptions,
  clock: Clock,
): Promise<boolean> {
  announce();
  const deadlineAt = clock.monotonic() + timeoutMs;
  const leftMs = () => Math.max(0, deadlineAt - clock.monotonic());
  if (noticeMs > 0)
    await new Promise<void>((resolve) => void clock.after(Math.min(noticeMs, timeoutMs), resolve));
  let inTime = true;
  const knife = clock.after(leftMs(), () => {
    inTime = false;
    cut();
  });
  const stopped = stop();
  const streamsAt = clock.monotonic() + leftMs() / 2;
  const look = clock.every(lookMs, () => {
    if (streams === undefined) return look();
    if (active() > streams.size && clock.monotonic() < streamsAt) return;
    look();
    void streams.closeAll(goingAway, Math.min(streams.size * apartMs, leftMs() / 2));
  });
  await stopped;
  look();
  knife();
  return inTime;
}
