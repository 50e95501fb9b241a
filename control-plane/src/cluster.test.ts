/** Control-plane nodes on a real nats-server: what one of them writes the other knows, and what NATS forgets is written again. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { VerdictEntry } from "@tocsin/shared/contract";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { createBusSource, startReplica } from "@tocsin/shared/replica";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startNats, type NatsServer } from "../../test/harness/nats-server.ts";
import { startTestNode, type TestNode } from "./testing/node.ts";

const common = { clock: systemClock, log: silentLog };
let stack: AsyncDisposableStack;
let nats: NatsServer;
let url: string;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  nats = stack.use(await startNats());
  const server = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  stack.defer(() => server.closeAllConnections());
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => stack.disposeAsync());

const connect = async (node: string, role: "control-plane" | "proxy") =>
  stack.use(await connectNats({ ...common, servers: [nats.url], node, role }));

async function startNode(name: string): Promise<TestNode> {
  const bus = await connect(name, "control-plane");
  const { journals } = stack.use(await openNatsJournals({ ...common, bus }));
  return stack.use(await startTestNode({ store: { bus, journals } }));
}

async function instances(node: TestNode): Promise<{ instance: string; verdict: string }[]> {
  const answer = await node.call("GET", "/v1/services/users");
  return answer.status === 404
    ? []
    : (answer.json() as unknown as { instances: { instance: string; verdict: string }[] })
        .instances;
}

test("when NATS restarts, a proxy keeps its verdicts, and they are written again", async () => {
  const node = await startNode("control-plane-1");
  const verdicts = new Map<string, string>();
  const bus = await connect("proxy-1", "proxy");
  const health = stack.use(
    startReplica<VerdictEntry>({
      ...common,
      random: systemRandom,
      journal: "health",
      source: createBusSource({ bus, journal: "health", node: "proxy-1" }),
      table: {
        decode: ({ body }) => VerdictEntry.parse(JSON.parse(body)),
        apply: (entry) => void verdicts.set(entry.instance, entry.verdict),
        // As on a proxy: a snapshot that does not mention an instance says nothing about it.
        load(changes) {
          for (const { change } of changes) verdicts.set(change.instance, change.verdict);
        },
      },
    }),
  );
  await health.synced;
  // Probed once and not again while this test runs: what is written again is what was known.
  await node.call("PUT", "/v1/services/users/instances/users-1", {
    url,
    health: { interval: "1h" },
  });
  await vi.waitFor(() => expect(verdicts.get("users-1")).toBe("healthy"), { timeout: 5_000 });
  const before = health.status().epoch;

  await nats.restart();
  await vi.waitFor(
    () => {
      expect(health.status()).toMatchObject({ state: "live", applied: 1 });
      expect(health.status().epoch).not.toBe(before);
    },
    // Both reconnect within a second, and a beacon comes each second.
    { timeout: 8_000 },
  );
  expect(verdicts.get("users-1")).toBe("healthy");
  expect(await instances(node)).toMatchObject([{ instance: "users-1", verdict: "healthy" }]);
}, 30_000);

test("2 x 100 registrations at once on two nodes are 200 instances on both", async () => {
  const nodes = [await startNode("control-plane-1"), await startNode("control-plane-2")];
  const answers = await Promise.all(
    nodes.flatMap((node, which) =>
      Array.from({ length: 100 }, (_, index) =>
        node.call("PUT", `/v1/services/users/instances/users-${which}-${index}`, { url }),
      ),
    ),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map((answer) => answer.json()["sequence"])).size).toBe(200);
  for (const node of nodes)
    await vi.waitFor(async () => expect(await instances(node)).toHaveLength(200), {
      timeout: 5_000,
    });
}, 30_000);

test("two who edit the config through two nodes lose none of each other's edits, and one of two equal tries is 412", async () => {
  const nodes = [await startNode("control-plane-1"), await startNode("control-plane-2")];
  const refused: number[] = [];
  const edit = async (node: TestNode, name: string) => {
    for (;;) {
      const shown = (await node.call("GET", "/v1/config")).json();
      const config = (shown["config"] ?? { version: 1 }) as { services?: object };
      const edited = { ...config, services: { ...config.services, [name]: {} } };
      const { status } = await node.call("PUT", "/v1/config?wait=0", edited, {
        "if-match": `"${shown["revision"] as number}"`,
      });
      if (status === 202) return;
      refused.push(status);
    }
  };
  await Promise.all(
    nodes.map(async (node, which) => {
      for (let index = 0; index < 20; index++) await edit(node, `service-${which}-${index}`);
    }),
  );
  for (const node of nodes)
    await vi.waitFor(async () => {
      const shown = (await node.call("GET", "/v1/config")).json();
      expect(shown["revision"]).toBe(40);
      expect(Object.keys((shown["config"] as { services: object }).services)).toHaveLength(40);
    });
  expect(new Set(refused)).toEqual(new Set(refused.length === 0 ? [] : [412]));

  const [first, second] = await Promise.all(
    nodes.map((node, which) =>
      node.call(
        "PUT",
        "/v1/config?wait=0",
        { version: 1, services: { [`last-${which}`]: {} } },
        { "if-match": '"40"' },
      ),
    ),
  );
  expect([first!.status, second!.status].toSorted((a, b) => a - b)).toEqual([202, 412]);
}, 30_000);
