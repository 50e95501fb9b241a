import type { BusState } from "@tocsin/shared/bus";
import { subjects } from "@tocsin/shared/bus";
import { protocolVersion } from "@tocsin/shared/contract";
import type { ProxyHeartbeat } from "@tocsin/shared/contract";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { journalNames } from "@tocsin/shared/journal";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVirtualClock, settled } from "../../../test/harness/virtual-clock.ts";
import { Proxies } from "./proxies.ts";

let stack: AsyncDisposableStack;
beforeEach(() => void (stack = new AsyncDisposableStack()));
afterEach(() => stack.disposeAsync());

async function given() {
  const clock = createVirtualClock();
  const bus = stack.use(createEmbeddedBus());
  let tell: (state: BusState) => void = () => {};
  const proxies = new Proxies(clock);
  stack.use(
    await proxies.listen({
      ...bus,
      subscribe: bus.subscribe.bind(bus),
      onState(listener) {
        tell = listener;
        return () => {};
      },
    }),
  );
  const standing = { epoch: "e", applied: 0, head: 0, state: "live" } as const;
  const beats = async (proxy: string) => {
    const heartbeat: ProxyHeartbeat = {
      v: protocolVersion,
      proxy,
      boot: "boot-1",
      version: "1.2.3",
      uptimeMs: 1_000,
      journals: Object.fromEntries(
        journalNames.map((name) => [name, standing]),
      ) as ProxyHeartbeat["journals"],
    };
    bus.publish(subjects.heartbeat("proxy", proxy), JSON.stringify(heartbeat));
    await settled();
  };
  const live = () => proxies.live().map(({ heartbeat }) => heartbeat.proxy);
  return { clock, beats, live, tell: (state: BusState) => tell(state) };
}

describe("a proxy that is silent", () => {
  test("is not waited for after three heartbeats", async () => {
    const { clock, beats, live } = await given();
    await beats("edge-1");
    await clock.pass(5_900);
    expect(live()).toEqual(["edge-1"]);
    await clock.pass(200);
    expect(live()).toEqual([]);
  });

  test("because the bus was away is waited for until it could have spoken again", async () => {
    const { clock, beats, live, tell } = await given();
    await beats("gone-before");
    await clock.pass(10_000);
    await beats("edge-1");
    await beats("edge-2");
    // The bus is mute, and that is noticed late.
    await clock.pass(7_000);
    tell("disconnected");
    await clock.pass(60_000);
    tell("connected");
    expect(live()).toEqual(["edge-1", "edge-2"]);
    await clock.pass(2_000);
    await beats("edge-1");
    await clock.pass(3_900);
    expect(live()).toEqual(["edge-1", "edge-2"]);
    await clock.pass(200);
    expect(live()).toEqual(["edge-1"]);
  });

  test("is not made to live again by states that come twice", async () => {
    const { clock, beats, live, tell } = await given();
    await beats("edge-1");
    tell("disconnected");
    await clock.pass(20_000);
    tell("disconnected");
    tell("connected");
    await clock.pass(6_100);
    tell("connected");
    expect(live()).toEqual([]);
  });
});
