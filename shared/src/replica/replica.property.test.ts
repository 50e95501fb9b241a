import fc from "fast-check";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { BusUnavailable } from "../bus/bus.ts";
import type { Recorded } from "../journal/journal.ts";
import { silentLog } from "../log.ts";
import { startReplica } from "./replica.ts";
import { ModelJournal, ModelSource, ReplaceTable, UnionTable } from "./testing/model.ts";

/** What may happen next to a message on its way. */
type Fate = "arrives" | "lost" | "twice" | "late";

type Step =
  | { readonly do: "append"; readonly key: number; readonly poison: boolean; readonly fate: Fate }
  | { readonly do: "beacon"; readonly fate: Fate }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "comeBack" | "recreate" | "answer" | "mute" }
  | { readonly do: "rewind"; readonly by: number };

const fate = fc.constantFrom<Fate>("arrives", "arrives", "arrives", "lost", "twice", "late");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      key: fc.integer({ min: 0, max: 4 }),
      poison: fc.integer({ min: 0, max: 19 }).map((one) => one === 0),
      fate,
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("beacon" as const), fate }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.constantFrom(1, 20, 60, 400, 1_200, 3_500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { do: "comeBack" },
      { do: "recreate" },
      { do: "answer" },
      { do: "mute" },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("rewind" as const),
      by: fc.integer({ min: 1, max: 4 }),
    }),
  },
);

async function play(
  steps: readonly Step[],
  keyed: boolean,
  union: boolean,
  rewindAtEnd: number,
): Promise<void> {
  const clock = createVirtualClock({ quick: true });
  const journal = new ModelJournal(keyed);
  const ever = new Set<string>();
  const replaceTable = new ReplaceTable();
  const unionTable = new UnionTable();
  let seed = 7;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  const source = new ModelSource(journal, clock, () => 1 + Math.floor(random() * 120));
  const honest = source.answering;
  const mute = () => Promise.reject(new BusUnavailable("timeout", "mute"));
  const common = { journal: "catalogue" as const, source, clock, random, log: silentLog };
  const replica = union
    ? startReplica({ ...common, table: unionTable })
    : startReplica({ ...common, table: replaceTable });

  /** When it first heard of a head that it has not reached, in its epoch. */
  let behindSince: number | undefined;
  const check = () => {
    const { state, applied, head } = replica.status();
    if (applied >= head) behindSince = undefined;
    else behindSince ??= clock.monotonic();
    if (behindSince !== undefined && clock.monotonic() - behindSince > 50)
      expect(state).not.toBe("live");
    if (union) for (const body of ever) expect(unionTable.bodies.has(body)).toBe(true);
    if (union) for (const body of unionTable.bodies) ever.add(body);
  };
  const deliver = (kind: Fate, send: () => void) => {
    if (kind === "arrives" || kind === "twice") send();
    if (kind === "twice") clock.after(30, send);
    if (kind === "late") clock.after(1 + Math.floor(random() * 90), send);
  };

  for (const one of steps) {
    switch (one.do) {
      case "append": {
        const entry: Recorded = journal.append(`key-${one.key}`, one.poison ? "poison" : undefined);
        deliver(one.fate, () => source.feed(entry));
        break;
      }
      case "beacon": {
        const head = journal.head;
        deliver(one.fate, () => source.beacon(head));
        break;
      }
      case "pass":
        await clock.pass(one.ms);
        break;
      case "comeBack":
        source.comeBack();
        break;
      case "recreate":
        journal.recreate();
        break;
      case "rewind":
        journal.rewind(Math.max(0, journal.last - one.by), true);
        break;
      case "mute":
        source.answering = mute;
        break;
      case "answer":
        source.answering = honest;
        break;
      default:
        one satisfies never;
    }
    check();
  }

  // A rewind that nobody noticed, and nothing recorded after it: only the beacon can tell.
  await clock.pass(300);
  if (rewindAtEnd > 0) journal.rewind(Math.max(0, journal.last - rewindAtEnd));

  // The faults end. A rewind is proved by two beacons; then an answer may take a moment.
  source.answering = honest;
  await clock.pass(200);
  for (let second = 0; second < 4; second++) {
    source.beacon(journal.head);
    await clock.pass(1_000);
    check();
  }
  source.beacon(journal.head);
  await clock.pass(900);
  check();

  const sound = journal.entries.filter(({ body }) => !body.startsWith("poison"));
  expect(replica.status()).toMatchObject({
    state: "live",
    epoch: journal.epoch,
    applied: journal.last,
  });
  if (union) for (const { body } of sound) expect(unionTable.bodies.has(body)).toBe(true);
  else expect(replaceTable.bodies).toEqual(expectedBodies(journal, replaceTable));
  await replica[Symbol.asyncDispose]();
  await clock.pass(10_000);
  expect(clock.timers).toBe(0);
}

/** The last sound body of each key that the journal still knows. A poisoned last one leaves what was there before, if it was heard. */
function expectedBodies(journal: ModelJournal, table: ReplaceTable): Map<string, string> {
  const bodies = new Map<string, string>();
  for (const { key, body } of journal.entries) {
    if (!body.startsWith("poison")) bodies.set(key, body);
    else if (journal.keyed && table.bodies.has(key)) bodies.set(key, table.bodies.get(key)!);
  }
  return bodies;
}

test.each([
  ["a log whose table is a union", false, true],
  ["a log whose table is replaced", false, false],
  ["a keyed journal whose table is replaced", true, false],
])(
  "whatever happens on the way, a replica of %s ends as its journal",
  async (_what, keyed, union) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: -3, max: 3 }),
        (steps, rewindAtEnd) => play(steps, keyed, union, rewindAtEnd),
      ),
      { numRuns: 1_000 },
    );
  },
  60_000,
);
