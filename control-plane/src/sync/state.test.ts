import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { protocolVersion } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import type { Journal, Journals } from "@tocsin/shared/journal";
import { expect, test } from "vitest";
import { State } from "./state.ts";

test("in a journal that began anew, a write is seen here when it resolves, however low its number", async () => {
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(createEmbeddedBus());
  const open = async () =>
    stack.use(
      await openEmbeddedStore(":memory:", {
        bus: stack.use(createEmbeddedBus()),
        clock: systemClock,
      }),
    ).journals;
  const [before, after] = [await open(), await open()];
  let now: Journals = before;
  const health = new Proxy(before.health, {
    get(_target, name) {
      const value: unknown = Reflect.get(now.health, name, now.health);
      return typeof value === "function" ? (value.bind(now.health) as Journal["append"]) : value;
    },
  });
  const state = stack.use(
    new State({
      bus,
      journals: { ...before, health },
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    }),
  );
  await state.synced();
  const verdict = (instance: string) => ({
    key: `users.${instance}`,
    body: JSON.stringify({
      v: protocolVersion,
      service: "users",
      instance,
      boot: "b",
      verdict: "healthy",
      by: "control-plane-1",
    }),
  });
  for (const name of ["a", "b", "c"]) await state.write("health", verdict(name));

  now = after;
  const { sequence } = await state.write("health", verdict("d"));
  expect(sequence).toBe(1);
  // What the journal has lost is still known.
  expect([...state.health.values()].map(({ value }) => value.instance).toSorted()).toEqual([
    "a",
    "b",
    "c",
    "d",
  ]);
});
