import { expect, test } from "vitest";
import { silentLog, systemClock } from "@tocsin/shared";
import { freshApiKeyId } from "@tocsin/shared/api-keys";
import { subjects } from "@tocsin/shared/bus";
import type { ProxyHeartbeat } from "@tocsin/shared/contract";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { Voice } from "./voice.ts";

const report = { epoch: "e", applied: 1, head: 1, state: "live" } as const;
const heartbeat = (apiKeys?: string[]): ProxyHeartbeat => ({
  v: 1,
  proxy: "p",
  boot: "boot",
  version: "1",
  journals: { catalogue: report, health: report, revocations: report, invalidations: report },
  ...(apiKeys === undefined ? {} : { apiKeys }),
});

test("the API keys that workers have used are told by the node, each once, a thousand at a time", async () => {
  await using bus = createEmbeddedBus({ log: silentLog });
  using voice = new Voice({ node: "p", bus, clock: systemClock, log: silentLog });
  const heard: ProxyHeartbeat[] = [];
  const subject = subjects.heartbeat("proxy", "p");
  await using _ = await bus.subscribe(subject, (message) => {
    heard.push(JSON.parse(message.text()) as ProxyHeartbeat);
  });
  const at = { epoch: "e", applied: 1 };
  const standings = { catalogue: at, health: at, revocations: at, invalidations: at };
  const says = (member: "keeper" | "one" | "two", keys?: string[]) => {
    const line = member === "keeper" ? voice.keeperBus() : voice.workerBus(member);
    line.publish(subject, JSON.stringify(heartbeat(keys)));
  };
  voice.join("one", standings);
  voice.join("two", standings);
  const ids = Array.from({ length: 1_500 }, freshApiKeyId);
  says("one", ids.slice(0, 900));
  // The second worker has used some of the same.
  says("two", ids.slice(800));
  says("keeper");
  says("keeper");
  says("keeper");
  await bus.flush();
  expect(heard.map(({ apiKeys = [] }) => apiKeys.length)).toEqual([1_000, ids.length - 1_000, 0]);
  expect(heard.flatMap(({ apiKeys = [] }) => apiKeys).toSorted()).toEqual(ids.toSorted());
});
