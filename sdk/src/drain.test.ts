import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  startHttpControlPlane,
  testToken,
  type HttpControlPlane,
} from "../../test/sdk/http-control-plane.ts";

interface Happening {
  readonly event: string;
  readonly state?: string;
  readonly port?: number;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const program = join(root, "test/sdk/draining-service.ts");

async function startService(plane: HttpControlPlane, environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      TOCSIN_ADMIN_URL: plane.url,
      TOCSIN_ADMIN_TOKEN: testToken,
      ...environment,
    },
  });
  const exited = once(child, "exit").then(([code, signal]) => ({ code, signal }) as const);
  const happened: Happening[] = [];
  const waiting: { event: string; resolve: (happening: Happening) => void }[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const happening = JSON.parse(line) as Happening;
    happened.push(happening);
    for (const { event, resolve } of waiting)
      if (event === happening.event || event === happening.state) resolve(happening);
  });
  /** The next event, or change to a state, of that name. */
  const next = (event: string) =>
    new Promise<Happening>((resolve) => waiting.push({ event, resolve }));
  const { port } = await next("ready");
  // Connections are kept alive, as a proxy's are.
  const agent = new Agent({ keepAlive: true });
  return {
    exited,
    happened,
    next,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** @param fresh on a connection of its own, not a kept one */
    get: (path: string, fresh = false) =>
      new Promise<{ status: number; text: string }>((resolve, reject) => {
        const own = fresh ? false : agent;
        request({ host: "127.0.0.1", port, path, agent: own }, (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => (text += chunk));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
          response.on("error", reject);
        })
          .on("error", reject)
          .end();
      }),
    async [Symbol.asyncDispose]() {
      agent.destroy();
      if (child.exitCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}

describe("a service that is told to stop", () => {
  test.each(["http", "fastify"])(
    "answers (%s) until the gateway has taken it out, then finishes what is in flight, then ends with 0",
    async (kind) => {
      await using plane = await startHttpControlPlane();
      const told = Promise.withResolvers<void>();
      const answered = Promise.withResolvers<undefined>();
      plane.interfere = ({ verb }) => {
        if (verb !== "deregister") return undefined;
        told.resolve();
        return answered.promise;
      };
      await using service = await startService(plane, { KIND: kind });
      await service.get("/");
      service.kill("SIGTERM");
      await told.promise;
      // Proxies that have not heard of it yet still send, and it may take them a while.
      for (const until = performance.now() + 700; performance.now() < until;) {
        expect(await service.get("/")).toEqual({ status: 200, text: "hello" });
        expect(await service.get("/", true)).toEqual({ status: 200, text: "hello" });
      }
      const slowBegun = service.next("slow");
      const slow = service.get("/slow");
      await slowBegun;
      const out = service.next("deregistered");
      answered.resolve(undefined);
      await out;
      // What was on the wire when the last proxy stopped arrives after the answer.
      expect(await service.get("/")).toEqual({ status: 200, text: "hello" });
      expect(await slow).toEqual({ status: 200, text: "done" });
      expect(await service.exited).toEqual({ code: 0, signal: null });
      expect(plane.leases.size).toBe(0);
      expect(service.happened.filter(({ event }) => event === "hook")).toHaveLength(
        kind === "fastify" ? 1 : 0,
      );
    },
  );

  test("loses no request while requests keep coming", async () => {
    await using plane = await startHttpControlPlane();
    const route = { open: true };
    // As a proxy does: it stops sending when it has heard, and only then is the deregistration answered.
    plane.interfere = ({ verb }) => {
      if (verb === "deregister") route.open = false;
      return undefined;
    };
    await using service = await startService(plane);
    let answered = 0;
    const clients = Array.from({ length: 20 }, async () => {
      while (route.open) {
        const { status } = await service.get("/");
        if (status !== 200) throw new Error(`status ${status}`);
        answered++;
        if (answered === 200) service.kill("SIGTERM");
      }
    });
    await Promise.all(clients);
    expect(answered).toBeGreaterThanOrEqual(200);
    expect((await service.exited).code).toBe(0);
  });

  test("ends although something else would keep the process alive", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await startService(plane, { HANDLE: "yes" });
    service.kill("SIGINT");
    expect(await service.exited).toEqual({ code: 0, signal: null });
    expect(plane.leases.size).toBe(0);
  });

  test("ends at once at the second signal", async () => {
    await using plane = await startHttpControlPlane();
    plane.interfere = ({ verb }) => (verb === "deregister" ? "hang" : undefined);
    await using service = await startService(plane);
    const draining = service.next("draining");
    service.kill("SIGTERM");
    expect(await draining).toMatchObject({ state: "draining" });
    // Signals closer than 100 ms are one, passed on twice.
    await new Promise((resolve) => setTimeout(resolve, 150));
    service.kill("SIGTERM");
    expect(await service.exited).toEqual({ code: 143, signal: null });
  });
});
