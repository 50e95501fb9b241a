/** The store of a cluster is lost while an order is under way: what was durable is in force in the end, and the answer says so. */
import { silentLog, systemClock } from "@tocsin/shared";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { expect, test } from "vitest";
import { startFollower } from "../../../test/cli/follower.ts";
import { startNats } from "../../../test/harness/nats-server.ts";
import { startRelay } from "../../../test/harness/relay.ts";
import { soon } from "../../../test/harness/soon.ts";
import { startTestNode } from "../testing/node.ts";

const common = { clock: systemClock, log: silentLog };

test("an order that waits for a proxy while the store is wiped is proven in the new history", async () => {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const relay = stack.use(await startRelay(nats.port));
  const connect = async (node: string, role: "control-plane" | "proxy", port: number) =>
    stack.use(await connectNats({ ...common, servers: [`nats://127.0.0.1:${port}`], node, role }));
  const bus = await connect("control-plane-1", "control-plane", nats.port);
  const { journals } = stack.use(await openNatsJournals({ ...common, bus }));
  const node = stack.use(await startTestNode({ store: { bus, journals } }));
  stack.use(await startFollower(await connect("edge-1", "proxy", relay.port), "edge-1"));
  await soon(async () =>
    expect((await node.call("GET", "/v1/proxies")).json()).toMatchObject({
      proxies: [{ live: true }],
    }),
  );
  const before = await journals.revocations.head();

  // Nothing of the old history reaches the proxy, not late either.
  relay.drop();
  const revoke = (subject: string, wait: string) =>
    node.call("POST", `/v1/revocations?wait=${wait}`, {
      kind: "user",
      subject,
      operation: subject,
    });
  const waiting = revoke("ada", "15s");
  await soon(async () => expect((await journals.revocations.head()).head).toBe(before.head + 1));
  await nats.restart({ wipe: true });
  relay.pass();
  relay.cut();

  const answer = await waiting;
  const now = await journals.revocations.head();
  expect(now.epoch).not.toBe(before.epoch);
  expect(answer.status).toBe(200);
  expect(answer.json()).toMatchObject({
    epoch: now.epoch,
    applied: { expected: 1, count: 1, missing: [] },
  });
  await soon(async () => {
    const list = (await node.call("GET", "/v1/revocations")).json()["revocations"] as object[];
    expect(list.length).toBeGreaterThan(0);
  });
}, 40_000);
