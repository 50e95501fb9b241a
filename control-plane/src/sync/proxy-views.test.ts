import { subjects } from "@tocsin/shared/bus";
import { protocolVersion, type ProxyHeartbeat } from "@tocsin/shared/contract";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { expect, test } from "vitest";
import { createVirtualClock, settled } from "../../../test/harness/virtual-clock.ts";
import { Proxies } from "./proxies.ts";
import { proxyViews } from "./proxy-views.ts";

test("a proxy is shown with what it lacks, how long it runs, and when it was heard", async () => {
  await using stack = new AsyncDisposableStack();
  const clock = createVirtualClock();
  const bus = stack.use(createEmbeddedBus());
  const heads = { catalogue: 7, health: 7, revocations: 10, invalidations: 4 };
  const proxies = new Proxies(clock, (name) => ({ epoch: "e", head: heads[name] }));
  stack.use(await proxies.listen(bus));
  const heartbeat: ProxyHeartbeat = {
    v: protocolVersion,
    proxy: "edge-1",
    boot: "boot-1",
    version: "1.2.3",
    uptimeMs: 5_000,
    journals: {
      // The proxy may have heard of more than this node.
      catalogue: { epoch: "e", applied: 3, head: 9, state: "live" },
      health: { epoch: "before", applied: 50, head: 50, state: "live" },
      revocations: { epoch: "e", applied: 8, head: 8, state: "suspect", stalenessMs: 4_000 },
      invalidations: { epoch: "e", applied: 4, head: 4, state: "live" },
    },
  };
  bus.publish(subjects.heartbeat("proxy", "edge-1"), JSON.stringify(heartbeat));
  await settled();
  // Written after its last word: it is not behind because of that.
  heads.revocations = 11;
  const views = () => proxyViews(proxies, clock);
  await clock.pass(1_000);
  expect(views()).toEqual([
    {
      proxy: "edge-1",
      version: "1.2.3",
      boot: "boot-1",
      uptimeMs: 6_000,
      live: true,
      lastSeenMs: 1_000,
      journals: {
        catalogue: { ...heartbeat.journals.catalogue, lag: 6 },
        // Numbers of two epochs cannot be compared.
        health: heartbeat.journals.health,
        revocations: { ...heartbeat.journals.revocations, lag: 2 },
        invalidations: { ...heartbeat.journals.invalidations, lag: 0 },
      },
    },
  ]);
  await clock.pass(9_000);
  expect(views()).toMatchObject([{ live: false, lastSeenMs: 10_000, uptimeMs: 5_000 }]);
  const last = { ...heartbeat, leaving: true };
  bus.publish(subjects.heartbeat("proxy", "edge-1"), JSON.stringify(last));
  await settled();
  expect(views()).toMatchObject([{ live: false, leaving: true }]);
});
