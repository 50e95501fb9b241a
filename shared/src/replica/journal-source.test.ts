/** How a control-plane node learns from the journal itself. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Bus } from "../bus/bus.ts";
import { createEmbeddedBus } from "../bus/embedded.ts";
import { openEmbeddedStore } from "../journal/embedded.ts";
import type { Head, Journals, Recorded } from "../journal/journal.ts";
import { silentLog } from "../log.ts";
import { systemClock } from "../time.ts";
import { createJournalSource } from "./journal-source.ts";

let stack: AsyncDisposableStack;
let bus: Bus;
let journals: Journals;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  bus = stack.use(createEmbeddedBus());
  journals = stack.use(await openEmbeddedStore(":memory:", { bus, clock: systemClock })).journals;
});
afterEach(() => stack.disposeAsync());

const source = (journal = journals.revocations, everyMs = 20) =>
  createJournalSource({
    journal,
    clock: systemClock,
    log: silentLog,
    onReconnected: () => () => {},
    reconnect: () => Promise.resolve(),
    everyMs,
  });
const never = new AbortController().signal;
const append = (body: string) => journals.revocations.append({ key: "token", body });

test("who holds nothing, or entries of another epoch, gets everything; who holds some gets the rest", async () => {
  for (const body of ["a", "b", "c"]) await append(body);
  const { epoch } = await journals.revocations.head();
  const bodies = async (held: { epoch: string | undefined; applied: number }) => {
    const answer = await source().sync({ ...held, atLeast: 0 }, never);
    return answer.mode === "retry" || "dump" in answer
      ? answer
      : [answer.mode, answer.to, ...answer.entries.map(({ body }) => body)];
  };
  expect(await bodies({ epoch: undefined, applied: 0 })).toEqual(["snapshot", 3, "a", "b", "c"]);
  expect(await bodies({ epoch: "another", applied: 2 })).toEqual(["snapshot", 3, "a", "b", "c"]);
  expect(await bodies({ epoch, applied: 2 })).toEqual(["delta", 3, "c"]);
  expect(await bodies({ epoch, applied: 3 })).toEqual(["delta", 3]);
  // More than there is: the journal went back.
  expect(await bodies({ epoch, applied: 9 })).toEqual(["snapshot", 3, "a", "b", "c"]);
});

test("the feed, where it stands, and what somebody else has learned are told; after disposal nothing is", async () => {
  const learning = source();
  const entries: Recorded[] = [];
  const heads: Head[] = [];
  const following = await learning.follow((entry) => entries.push(entry));
  const beacons = await learning.beacons((head) => heads.push(head));
  const { epoch } = await append("a");
  await vi.waitFor(() => {
    expect(entries.map(({ body }) => body)).toEqual(["a"]);
    expect(heads.at(-1)).toEqual({ epoch, head: 1 });
  });
  learning.heard({ epoch, head: 7 });
  expect(heads).toContainEqual({ epoch, head: 7 });
  await following[Symbol.asyncDispose]();
  await beacons[Symbol.asyncDispose]();
  const told = heads.length;
  learning.heard({ epoch, head: 8 });
  await append("b");
  expect(entries).toHaveLength(1);
  expect(heads).toHaveLength(told);
});

test("a journal that does not say where it stands is silence, and is asked again", async () => {
  let away = true;
  let asked = 0;
  const flaky = new Proxy(journals.revocations, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...given: unknown[]) => {
        if (name === "head" && (asked++, away)) return Promise.reject(new Error("away"));
        return (value as (...all: unknown[]) => unknown).apply(target, given);
      };
    },
  });
  const heads: Head[] = [];
  stack.use(await source(flaky).beacons((head) => heads.push(head)));
  await vi.waitFor(() => expect(asked).toBeGreaterThan(1));
  expect(heads).toEqual([]);
  away = false;
  await vi.waitFor(() => expect(heads).not.toEqual([]));
});

test("a question that was given up stops reading", async () => {
  for (const body of ["a", "b", "c"]) await append(body);
  const given = new AbortController();
  given.abort(new Error("given up"));
  await expect(
    source().sync({ epoch: undefined, applied: 0, atLeast: 0 }, given.signal),
  ).rejects.toThrow("given up");
});
