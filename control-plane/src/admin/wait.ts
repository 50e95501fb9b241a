import { parseDuration, type Milliseconds } from "@tocsin/shared";
import { Declined } from "../problem.ts";

/** How long an order waits for the proxies when nothing is said, in milliseconds. */
const defaultWaitMs: Milliseconds = 2_000;
const longestWaitMs: Milliseconds = 60_000;

/** `?wait=2s`; `0`: not at all. @throws Declined 400 when it is no duration, or longer than a minute */
export function waitOf(query: unknown): Milliseconds {
  const text = (query as { wait?: unknown }).wait;
  if (text === undefined) return defaultWaitMs;
  const waitMs = text === "0" ? 0 : typeof text === "string" ? parseDuration(text) : undefined;
  if (waitMs === undefined || waitMs > longestWaitMs) {
    throw new Declined(400, "bad-request", "The wait is not understood", {
      detail: `Found ${JSON.stringify(text)}, allowed: 0, or a duration up to 1m (2s, 500ms).`,
    });
  }
  return waitMs;
}
