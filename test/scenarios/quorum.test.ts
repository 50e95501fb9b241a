/**
 * Circuits of several proxies together: an instance whose probes are good but whose requests fail is taken out everywhere when
 * enough proxies say so, and not when one does.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

const restMs = 2_000;
/** A control plane that has just begun to listen decides nothing; nothing outside tells when it does. */
const settledMs = 3_200;
const failures = 3;

/** Asks again until it is so. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  await soon(async () => {
    if (!(await isSo())) throw new Error("not yet");
  });
}

interface Scene {
  readonly gateway: Gateway;
  readonly bad: Origin;
  /** Proxies, by number, whose requests the bad instance answers with 503. */
  readonly failing: Set<string>;
  /** Sends requests through a proxy until the bad instance got so many of them. */
  readonly provoke: (proxy: number, count: number) => Promise<void>;
  /** What is told of the bad instance. */
  readonly circuit: () => Promise<
    { verdict: string; reason?: string; circuit?: { open: number; halfOpen: number } } | undefined
  >;
}

async function scene(): Promise<Scene> {
  const failing = new Set<string>();
  const good = stack.use(await startOrigin());
  const bad = stack.use(
    await startOrigin((request, response) => {
      response.statusCode = failing.has(String(request.headers["x-proxy"])) ? 503 : 200;
      response.end("ok");
    }),
  );
  const gateway = stack.use(
    await startGateway("cluster", {
      proxies: 4,
      config: JSON.stringify({
        version: 1,
        services: {
          users: {
            instances: [{ url: good.url }, { url: bad.url }],
            health: { path: "/health", interval: "200ms" },
            circuit: { failures, rest: `${restMs}ms`, successes: 1 },
          },
        },
        routes: [{ id: "all", match: { path: "/*" }, service: "users", auth: "none" }],
      }),
    }),
  );
  const settled = delay(settledMs);
  await until(async () => (await gateway.askAll("/")).every(({ status }) => status === 200));
  await settled;
  return {
    gateway,
    bad,
    failing,
    async provoke(proxy, count) {
      const before = bad.seen.length;
      await until(async () => {
        await gateway.ask("/", { proxy, headers: { "x-proxy": String(proxy) } });
        return bad.seen.length >= before + count;
      });
    },
    async circuit() {
      const answer = await gateway.admin("GET", "/v1/services/users");
      const { instances } = JSON.parse(answer.text) as {
        instances: {
          url: string;
          verdict: string;
          reason?: string;
          circuit?: { open: number; halfOpen: number };
        }[];
      };
      return instances.find(({ url }) => url === bad.url);
    },
  };
}

test("one proxy's trouble is a split: the others go on, and everybody can see it", async () => {
  const { gateway, failing, provoke, circuit, bad } = await scene();
  for (const proxy of [1, 2, 3]) await provoke(proxy, 1);
  failing.add("0");
  await provoke(0, failures);
  await until(async () => (await circuit())?.circuit?.open === 1);
  expect((await circuit())?.verdict).toBe("healthy");
  const shown = await gateway.tocsin("services", "show", "users");
  expect(shown.stdout).toMatch(/circuit (?:open|half-open) on 1 of [1-4]/);
  const before = bad.seen.length;
  for (const proxy of [1, 2, 3]) await provoke(proxy, 2);
  expect(bad.seen.length - before).toBeGreaterThanOrEqual(6);
});

test("three of four take it out for the fourth too within 100 ms, and it comes back when it is well", async () => {
  const { gateway, failing, provoke, circuit, bad } = await scene();
  for (const proxy of [0, 1, 2, 3]) await provoke(proxy, 1);
  for (const proxy of [0, 1, 2]) failing.add(String(proxy));
  await provoke(0, failures);
  await provoke(1, failures);
  expect((await circuit())?.verdict).toBe("healthy");
  await provoke(2, failures);
  const openedAt = performance.now();
  // The fourth never failed once. From when it sends nothing more to the bad one?
  let lastAt = openedAt;
  while (performance.now() - openedAt < 600) {
    const before = bad.seen.length;
    await gateway.ask("/", { proxy: 3, headers: { "x-proxy": "3" } });
    if (bad.seen.length > before) lastAt = performance.now();
  }
  process.stdout.write(
    `the fourth proxy sent its last request ${(lastAt - openedAt).toFixed(1)} ms after the third circuit opened\n`,
  );
  expect(lastAt - openedAt).toBeLessThan(100);
  expect(await circuit()).toMatchObject({
    verdict: "unhealthy",
    reason: expect.stringMatching(/circuit open on 3 of [34] proxies/) as string,
  });

  failing.clear();
  await until(async () => (await circuit())?.verdict === "healthy");
  expect(performance.now() - openedAt).toBeGreaterThan(restMs * 0.9);
  for (const proxy of [0, 1, 2, 3]) await provoke(proxy, 2);
  await until(async () => {
    const standing = (await circuit())?.circuit;
    return standing?.open === 0 && standing.halfOpen === 0;
  });
});
