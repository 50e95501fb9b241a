import { silentLog, systemClock } from "@tocsin/shared";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Recorded } from "@tocsin/shared/journal";
import { createJournalSource } from "@tocsin/shared/replica";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTestNode, type TestNode } from "../testing/node.ts";
import { fromTheHead, InvalidationLog } from "./invalidation-log.ts";

describe("over the admin API", () => {
  let node: TestNode;
  beforeEach(async () => {
    node = await startTestNode();
  });
  afterEach(async () => {
    await node[Symbol.asyncDispose]();
  });
  const order = (body: unknown, headers?: Record<string, string>) =>
    node.call("POST", "/v1/invalidations", body, headers);

  test.each([{ user: "ada" }, { all: true }])("%j is an order with a proof", async (body) => {
    const answer = await order(body);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({
      sequence: 1,
      applied: { expected: 0, count: 0, missing: [] },
    });
    expect((await order(body)).json()).toMatchObject({ sequence: 2 });
  });

  test("the same key again is the same effect, once; with another order it is refused", async () => {
    const key = { "idempotency-key": "purge-1" };
    expect((await order({ user: "ada" }, key)).json()).toMatchObject({ sequence: 1 });
    expect((await order({ user: "ada" }, key)).json()).toMatchObject({
      sequence: 1,
      repeated: true,
    });
    const other = await order({ user: "bob" }, key);
    expect([other.status, other.json()["code"]]).toEqual([409, "operation-used"]);
  });

  test.each(["key", "prefix", "tag", "service"])(
    "what caches hold cannot be named yet: %s",
    async (selector) => {
      const answer = await order({ [selector]: "x" });
      expect(answer.status).toBe(422);
      expect(answer.json()).toMatchObject({
        code: "not-supported-yet",
        errors: [
          {
            pointer: `/${selector}`,
            message: `"${selector}" comes with caching; supported: user, all`,
          },
        ],
      });
    },
  );

  test.each([
    [{}, 422],
    [{ user: "" }, 422],
    [{ user: "a".repeat(513) }, 422],
    [{ user: 7 }, 422],
    [{ user: "\ud800" }, 422],
    [{ all: false }, 422],
    [{ user: "ada", all: true }, 422],
    [{ user: "ada", soft: true }, 422],
    [{ usr: "ada" }, 422],
  ])("%j is refused, and nothing is written", async (body, status) => {
    expect((await order(body)).status).toBe(status);
    expect((await order({ all: true })).json()).toMatchObject({ sequence: 1 });
  });
});

describe("what a node knows", () => {
  const entry = (sequence: number): Recorded => ({
    sequence,
    epoch: "e",
    key: "all",
    body: '{"v":1,"kind":"all"}',
  });

  test("the last entries are at hand for who lacks only those", () => {
    const log = new InvalidationLog();
    for (const sequence of [5, 6, 7]) log.apply(entry(sequence));
    expect(log.after(7, 7)).toEqual([]);
    expect(log.after(5, 7)?.map(({ sequence }) => sequence)).toEqual([6, 7]);
    expect(log.after(4, 7)).toHaveLength(3);
    expect(log.after(3, 7)).toBeUndefined();
    log.load();
    expect(log.after(5, 7)).toBeUndefined();
  });

  test("however many there are, a bounded number is kept", () => {
    const log = new InvalidationLog();
    for (let sequence = 1; sequence <= 50_000; sequence += 1) log.apply(entry(sequence));
    expect(log.after(0, 50_000)).toBeUndefined();
    expect(log.after(49_000, 50_000)).toHaveLength(1_000);
  });

  test("a node that starts reads none of what was recorded before", async () => {
    await using stack = new AsyncDisposableStack();
    const bus = stack.use(createEmbeddedBus());
    const { journals } = stack.use(
      await openEmbeddedStore(":memory:", { bus, clock: systemClock }),
    );
    const journal = journals.invalidations;
    for (let count = 0; count < 3; count += 1)
      await journal.append({ key: "all", body: '{"v":1,"kind":"all"}' });
    const { epoch } = await journal.head();
    const source = fromTheHead(
      journal,
      createJournalSource({
        journal,
        clock: systemClock,
        log: silentLog,
        onReconnected: () => () => {},
        reconnect: () => Promise.resolve(),
      }),
    );
    const { signal } = new AbortController();
    const ask = (of: string | undefined, applied: number) =>
      source.sync({ epoch: of, applied, atLeast: 0 }, signal);
    const snapshot = { mode: "snapshot", epoch, to: 3, entries: [] };
    expect(await ask(undefined, 0)).toEqual(snapshot);
    expect(await ask("another", 2)).toEqual(snapshot);
    expect(await ask(epoch, 9)).toEqual(snapshot);
    expect(await ask(epoch, 2)).toMatchObject({ mode: "delta", to: 3, entries: [{ sequence: 3 }] });
    expect(await ask(epoch, 3)).toMatchObject({ mode: "delta", to: 3, entries: [] });
  });
});
