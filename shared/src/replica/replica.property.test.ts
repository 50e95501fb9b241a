import fc from "fast-check";
import { expect, test } from "vitest";
import { play } from "./testing/play.ts";
import { history } from "./testing/steps.ts";

/** In how many of a thousand histories each of these is reached at least: about half of what is usual. */
const usual = {
  live: 1_000,
  syncing: 400,
  suspect: 250,
  stale: 20,
  applied: 350,
  order: 300,
  lost: 400,
  twice: 400,
  late: 400,
  gap: 200,
  delta: 200,
  declined: 80,
  pause: 300,
  "snapshot for a delta": 150,
  "load: entries": 350,
  "load: dump": 100,
  "dump that cannot be read": 20,
  "poison alone": 120,
  "poison in a snapshot": 100,
  "another stream": 80,
  "another history": 80,
  "deposed leader": 150,
  "answerer: mute": 90,
  "answerer: frozen": 90,
  "resync: reconnect": 90,
  "resync: epoch": 200,
  "resync: rewind": 150,
  "resync: backlog": 80,
  "resync: suspect": 200,
  "resync: repair": 200,
};

test.each([
  { what: "a log whose table is a union", keyed: false, union: true },
  { what: "a log whose table is replaced", keyed: false, union: false },
  { what: "a keyed journal whose table is replaced", keyed: true, union: false },
])(
  "whatever happens on the way, a replica of $what does as it should and ends as its journal",
  async ({ keyed, union }) => {
    const reached = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(history, async ({ steps, ...circumstances }) => {
        const run = await play(steps, { keyed, union, ...circumstances });
        expect(run.violations).toEqual([]);
        for (const what of run.reached) reached.set(what, (reached.get(what) ?? 0) + 1);
      }),
      { numRuns: 1_000 },
    );
    for (const [what, times] of Object.entries(usual))
      expect(reached.get(what) ?? 0, `histories that reached ${what}`).toBeGreaterThanOrEqual(
        times,
      );
  },
  120_000,
);
