/**
 * What an instance that fails costs: of two instances one fails in some way under load, and recovers. Prints a table of requests
 * that it got, of answers to clients, and of the times out of and back into rotation.
 */
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ask, type Answer } from "../harness/client.ts";
import { modes, startGateway, type Gateway, type Mode } from "../harness/gateway.ts";
import { startProcess, type Process } from "../harness/processes.ts";
import { root } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";

interface Service extends AsyncDisposable {
  readonly name: string;
  readonly process: Process;
  readonly url: string;
  become(mode: "well" | "500" | "silent" | "refusing"): Promise<void>;
  /** Requests since it was asked last. */
  count(): Promise<number>;
}

async function startService(name: string): Promise<Service> {
  const process_ = await startProcess({
    command: process.execPath,
    args: [join(root, "test", "harness", "failing-service.ts"), name],
    ready: (output) => output.includes("\n"),
  });
  const { port, control } = JSON.parse(process_.output()) as { port: number; control: number };
  const order = (path: string) => ask(`http://127.0.0.1:${control}`, path);
  return {
    name,
    process: process_,
    url: `http://127.0.0.1:${port}`,
    become: async (mode) => void (await order(`/mode/${mode}`)),
    count: async () => Number((await order("/count")).text),
    [Symbol.asyncDispose]: () => process_[Symbol.asyncDispose](),
  };
}

interface Reply {
  readonly sentAt: number;
  readonly at: number;
  readonly status: number;
  readonly text: string;
}

/** Sends requests at a steady rate through every proxy until it is stopped. */
function startLoad(gateway: Gateway, everyMs: number) {
  const replies: Reply[] = [];
  const agents = gateway.urls.map(() => new Agent({ keepAlive: true }));
  const inFlight = new Set<Promise<unknown>>();
  const send = (url: string, agent: Agent) => {
    const sentAt = performance.now();
    const note = (answer: Pick<Answer, "status" | "text">) =>
      replies.push({ sentAt, at: performance.now(), status: answer.status, text: answer.text });
    const sending: Promise<unknown> = ask(url, "/x", { agent })
      .then(note, (error: Error) => note({ status: 0, text: error.message }))
      .finally(() => inFlight.delete(sending));
    inFlight.add(sending);
  };
  const timer = setInterval(() => {
    for (const [index, url] of gateway.urls.entries()) send(url, agents[index]!);
  }, everyMs);
  return {
    replies,
    async stop() {
      clearInterval(timer);
      await Promise.all(inFlight);
      for (const agent of agents) agent.destroy();
    },
  };
}

const policy = `
    health: { path: /health, interval: 500ms, timeout: 400ms }
    timeouts: { connect: 500ms, firstByte: 500ms }`;
const retry = `
    retry: { attempts: 2, on: [connect-failure, reset, timeout, 500, 502, 503, 504], backoff: { base: 10ms, max: 100ms } }`;
const circuit = `
    circuit: { failures: 5, rest: 1s, successes: 2, trials: 1 }`;

const configOf = (services: readonly Service[], policies: string) => `version: 1
environment: development
services:
  users:
    instances: [${services.map(({ url }) => `{ url: "${url}" }`).join(", ")}]${policies}
routes:
  - { id: users, match: { path: "/*" }, service: users, auth: none }
`;

/** Waits until every proxy sends requests to each of these. @returns how many requests that took */
async function inRotation(gateway: Gateway, services: readonly Service[]): Promise<number> {
  let requests = 0;
  for (const [proxy] of gateway.urls.entries()) {
    const seen = new Set<string>();
    await soon(async () => {
      requests += 1;
      seen.add((await gateway.ask("/x", { proxy })).text);
      for (const { name } of services) expect(seen).toContain(name);
    }, 10_000);
  }
  return requests;
}

const rows: Record<string, string | number>[] = [];
afterAll(() => console.table(rows));

const statuses = (replies: readonly Reply[]) => {
  const counts = new Map<number, number>();
  for (const { status } of replies) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} x ${status}`).join(", ");
};

/** Ways to fail: how they begin, and how they end. */
const ways: Record<
  string,
  { begin(sick: Service): Promise<void> | void; end(sick: Service): Promise<void> | void }
> = {
  "answers 500": { begin: (sick) => sick.become("500"), end: (sick) => sick.become("well") },
  refuses: { begin: (sick) => sick.become("refusing"), end: (sick) => sick.become("well") },
  "accepts, says nothing": {
    begin: (sick) => sick.become("silent"),
    end: (sick) => sick.become("well"),
  },
  "is frozen": {
    begin: ({ process: frozen }) => frozen.freeze(),
    end: ({ process: frozen }) => frozen.thaw(),
  },
};

/** When the last proxy had stopped sending requests to the instance that fails. */
async function outOfRotation(gateway: Gateway, sick: Service): Promise<number> {
  await Promise.all(
    gateway.probes.map((probe) =>
      soon(async () => {
        const { services } = (await ask(probe, "/status")).json() as {
          services: { users: { eligible: boolean; circuit?: string; instance: string }[] };
        };
        const out = services.users.filter(
          (each) => !each.eligible || (each.circuit !== undefined && each.circuit !== "closed"),
        );
        expect(out, sick.name).toHaveLength(1);
      }, 10_000),
    ),
  );
  return performance.now();
}

describe.each(modes)("an instance that fails, %s", (mode: Mode) => {
  test(
    "costs clients nothing where another one is there, and comes back",
    { timeout: 120_000 },
    async () => {
      await using sick = await startService("sick");
      await using good = await startService("good");
      await using gateway = await startGateway(mode, {
        config: configOf([sick, good], policy + retry + circuit),
      });
      for (const [name, way] of Object.entries(ways)) {
        await inRotation(gateway, [sick, good]);
        const load = startLoad(gateway, 10);
        // So many requests are there for the budget of retries to go by.
        await soon(() => expect(load.replies.length).toBeGreaterThan(300), 20_000);
        await sick.count();
        const beganAt = performance.now();
        await way.begin(sick);
        const outAt = await outOfRotation(gateway, sick);
        await soon(() => expect(performance.now() - beganAt).toBeGreaterThan(3_000), 10_000);
        const endedAt = performance.now();
        await way.end(sick);
        const sent = await sick.count();
        const seconds = Math.round((endedAt - beganAt) / 1_000);
        const back = await soon(() => {
          const found = load.replies.find(
            ({ sentAt, text }) => sentAt > endedAt && text === "sick",
          );
          if (found === undefined) throw new Error("it does not come back");
          return found.at;
        }, 20_000);
        await load.stop();
        const during = load.replies.filter(({ at, sentAt }) => at > beganAt && sentAt < endedAt);
        rows.push({
          mode,
          "one of two": name,
          "requests while it failed": during.length,
          "sent to it": sent,
          "answers to clients": statuses(during),
          "slowest, ms": Math.round(Math.max(...during.map(({ at, sentAt }) => at - sentAt))),
          "out after, ms": Math.round(outAt - beganAt),
          "back after, ms": Math.round(back - endedAt),
        });
        expect(statuses(load.replies)).toBe(`${load.replies.length} x 200`);
        // Five failures, what was on its way at that time (500 ms of half the load), and a trial a second, of each proxy.
        expect(sent).toBeLessThanOrEqual(gateway.urls.length * (5 + 25 + seconds + 5));
        expect(back - endedAt).toBeLessThan(5_000);
      }
    },
  );

  test("that flaps is no instance that costs clients something", { timeout: 60_000 }, async () => {
    await using sick = await startService("sick");
    await using good = await startService("good");
    await using gateway = await startGateway(mode, {
      config: configOf([sick, good], policy + retry + circuit),
    });
    await inRotation(gateway, [sick, good]);
    const load = startLoad(gateway, 10);
    await soon(() => expect(load.replies.length).toBeGreaterThan(300), 20_000);
    await sick.count();
    const beganAt = performance.now();
    for (let turn = 1; turn <= 8; turn += 1) {
      await sick.become(turn % 2 === 1 ? "500" : "well");
      await soon(() => expect(performance.now() - beganAt).toBeGreaterThan(turn * 500), 10_000);
    }
    const endedAt = performance.now();
    const sent = await sick.count();
    const back = await soon(() => {
      const found = load.replies.find(({ sentAt, text }) => sentAt > endedAt && text === "sick");
      if (found === undefined) throw new Error("it does not come back");
      return found.at;
    }, 20_000);
    await load.stop();
    const during = load.replies.filter(({ at, sentAt }) => at > beganAt && sentAt < endedAt);
    rows.push({
      mode,
      "one of two": "flaps, 500 ms each",
      "requests while it failed": during.length,
      "sent to it": sent,
      "answers to clients": statuses(during),
      "slowest, ms": Math.round(Math.max(...during.map(({ at, sentAt }) => at - sentAt))),
      "back after, ms": Math.round(back - endedAt),
    });
    expect(statuses(load.replies)).toBe(`${load.replies.length} x 200`);
    expect(sent).toBeLessThan(during.length / 2);
  });

  test(
    "every time and alone gets at most 1.2 times the requests, retries and all",
    { timeout: 60_000 },
    async () => {
      await using sick = await startService("sick");
      await using gateway = await startGateway(mode, { config: configOf([sick], policy + retry) });
      const before = await inRotation(gateway, [sick]);
      await sick.become("500");
      await sick.count();
      const load = startLoad(gateway, 4);
      await soon(() => expect(load.replies.length).toBeGreaterThan(1_000), 30_000);
      await load.stop();
      const sent = await sick.count();
      rows.push({
        mode,
        "one of two": "the only one, answers 500",
        "requests while it failed": load.replies.length,
        "sent to it": sent,
        "answers to clients": statuses(load.replies),
      });
      expect(statuses(load.replies)).toBe(`${load.replies.length} x 500`);
      expect(sent).toBeGreaterThan(load.replies.length);
      // The budget goes by the requests of ten seconds, those of before the failure among them.
      expect(sent).toBeLessThanOrEqual(load.replies.length + 0.2 * (load.replies.length + before));
    },
  );
});
