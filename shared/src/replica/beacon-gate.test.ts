import { expect, test } from "vitest";
import { eventually, startNats, startRelay } from "../../../test/harness/index.ts";
import { subjects } from "../bus/subjects.ts";
import { connectNats } from "../bus/nats.ts";
import { silentLog } from "../log.ts";
import { systemClock } from "../time.ts";
import { BeaconGate } from "./beacon-gate.ts";
import { createBusSource } from "./bus-source.ts";

const beacon = (head: number) => {
  const at = { epoch: "e.0", head };
  const journals = { catalogue: at, health: at, revocations: at };
  return JSON.stringify({ v: 1, controlPlane: "control-plane-1", journals, proxies: 1 });
};

test("of beacons that were stuck on their way the last one alone is told, when nothing is under way any more", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  const connect = (port: number, role: "control-plane" | "proxy", node: string) =>
    connectNats({
      servers: [`nats://127.0.0.1:${port}`],
      role,
      node,
      clock: systemClock,
      log: silentLog,
    });
  await using speaker = await connect(nats.port, "control-plane", "control-plane-1");
  await using hearer = await connect(relay.port, "proxy", "proxy-1");
  const source = createBusSource({
    bus: hearer,
    journal: "revocations",
    node: "proxy-1",
    clock: systemClock,
  });
  const heard: number[] = [];
  await using following = await source.beacons(({ head }) => void heard.push(head));
  void following;
  const say = async (head: number) => {
    speaker.publish(subjects.beacon, beacon(head));
    await speaker.flush();
  };
  await say(1);
  await say(2);
  await eventually("two beacons", () => heard.length === 2);

  relay.hold("toClient");
  await say(3);
  await new Promise((resolve) => setTimeout(resolve, 1_600));
  await say(4);
  await say(5);
  relay.pass();
  await eventually("the last of them", () => heard.includes(5));
  expect(heard).toEqual([1, 2, 5]);

  // No silence before these.
  await say(6);
  await say(7);
  await eventually("two more", () => heard.length === 5);
  expect(heard).toEqual([1, 2, 5, 6, 7]);
}, 20_000);

test("when the connection ends during the check, what it had said is forgotten, and what the next one says is checked again", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using hearer = await connectNats({
    servers: [`nats://127.0.0.1:${relay.port}`],
    role: "proxy",
    node: "proxy-1",
    clock: systemClock,
    log: silentLog,
  });

  const gate = new BeaconGate(hearer, systemClock);
  await new Promise((resolve) => setTimeout(resolve, 1_600));
  const told: string[] = [];
  relay.hold();
  gate.heard(() => told.push("old"));
  relay.cut();
  await eventually("it is away", () => hearer.state === "disconnected");
  relay.pass();
  await eventually("it is back", () => hearer.state === "connected");
  gate.heard(() => told.push("first"));
  expect(told).toEqual([]);
  await eventually("the first after that", () => told.length > 0);
  expect(told).toEqual(["first"]);
}, 20_000);
