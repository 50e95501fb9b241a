import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { passwords } from "../harness/gateway.ts";
import { root } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";

const config = `version: 1
environment: development
services:
  users: { health: { path: /health, interval: 500ms } }
routes:
  - { id: users, match: { path: "/*" }, service: users, auth: none }
`;

/** A service in a process of its own that registers by the SDK and answers after some milliseconds. */
async function startService(gateway: Gateway, instance: string) {
  const environment =
    gateway.mode === "standalone"
      ? gateway.environment
      : { TOCSIN_NATS_URL: gateway.nats!.urlFor("users", passwords.TOCSIN_NATS_USERS_PASSWORD) };
  const child = spawn(
    process.execPath,
    [join(root, "test", "harness", "slow-service.ts"), instance],
    {
      env: { PATH: process.env["PATH"] ?? "", ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const exited = once(child, "exit");
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  expect(line).toBe("registered");
  return {
    async end(signal: NodeJS.Signals) {
      child.kill(signal);
      return exited;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

describe.each(modes)("drain, %s", (mode) => {
  test("a service that gets SIGTERM under load loses no request", async () => {
    await using gateway = await startGateway(mode, { config });
    await using first = await startService(gateway, "users-1");
    await using _second = await startService(gateway, "users-2");
    await soon(async () => {
      const instances = new Set<string>();
      for (let count = 0; count < 8; count++) {
        for (const answer of await gateway.askAll("/x")) {
          expect(answer.status).toBe(200);
          instances.add(answer.text);
        }
      }
      expect(instances.size).toBe(2);
    });

    const failed: (number | string)[] = [];
    let answered = 0;
    const over = new AbortController();
    await using agents = new AsyncDisposableStack();
    const clients = Array.from({ length: 20 }, async (_, index) => {
      const agent = agents.adopt(new Agent({ keepAlive: true }), (agent) => agent.destroy());
      while (!over.signal.aborted) {
        try {
          const answer = await gateway.ask("/load", { agent, proxy: index % gateway.urls.length });
          if (answer.status !== 200) failed.push(answer.status);
          answered++;
        } catch (error) {
          failed.push(String(error));
        }
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = answered;
    const [code] = (await first.end("SIGTERM")) as [number | null];
    expect(code).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    over.abort();
    await Promise.all(clients);
    expect(failed).toEqual([]);
    expect(answered).toBeGreaterThan(before);

    // What is left is the other instance alone.
    for (let count = 0; count < 4; count++) expect((await gateway.ask("/x")).text).toBe("users-2");
    const view = await gateway.admin("GET", "/v1/services/users");
    const { instances } = view.json() as { instances: { instance: string }[] };
    expect(instances.map(({ instance }) => instance)).toEqual(["users-2"]);
  }, 60_000);

  test("the gateway itself stops with SIGTERM and exit code 0, finishing what is in flight", async () => {
    await using gateway = await startGateway(mode, { config });
    await using _service = await startService(gateway, "users-1");
    await soon(async () => expect((await gateway.ask("/x")).status).toBe(200));
    const inFlight = gateway.ask("/slow");
    await new Promise((resolve) => setTimeout(resolve, 100));
    const code = await gateway.proxies()[0]!.end("SIGTERM");
    expect((await inFlight).status).toBe(200);
    expect(code).toBe(0);
  }, 60_000);
});
