/** The whole gateway as processes on a production bus: `proxy-1` at the hub by TLS, `proxy-2` and `content` behind a leaf. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask, type Answer, type RequestOptions } from "../harness/client.ts";
import { runTocsin, startProgram, type CommandResult, type Program } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";
import { issuerConfig } from "../harness/tokens.ts";
import { startProductionBus, type ProductionBus } from "./production-bus.ts";

export interface ProductionGateway extends AsyncDisposable {
  readonly bus: ProductionBus;
  readonly controlPlane: Program;
  proxy(name: ProxyName): Program;
  /** One request through each proxy. */
  askAll(path: string, options?: RequestOptions): Promise<Answer[]>;
  ask(proxy: ProxyName, path: string, options?: RequestOptions): Promise<Answer>;
  admin(method: string, path: string, body?: unknown): Promise<Answer>;
  tocsin(...args: string[]): Promise<CommandResult>;
  /** Kills a proxy and starts it with an empty state directory. */
  replaceProxy(name: ProxyName): Promise<void>;
}

export type ProxyName = "proxy-1" | "proxy-2";
export const proxyNames: readonly ProxyName[] = ["proxy-1", "proxy-2"];

const config = `version: 1
environment: development
${issuerConfig}
services:
  users: { health: { path: /health, interval: 200ms } }
  content: { health: { path: /health, interval: 200ms } }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
  - { id: content, match: { path: "/api/content/*" }, service: content, auth: required }
`;

const adminToken = "an-admin-token-for-the-production-bus";

export async function startProductionGateway(): Promise<ProductionGateway> {
  const stack = new AsyncDisposableStack();
  const bus = stack.use(await startProductionBus());
  const file = join(bus.directory, "tocsin.yaml");
  writeFileSync(file, config);
  const common = {
    TOCSIN_LISTEN: "127.0.0.1:0",
    TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
    TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
    TOCSIN_ADMIN_TOKEN: adminToken,
    TOCSIN_DRAIN_TIMEOUT: "5s",
  };
  let states = 0;
  const startProxy = (name: ProxyName) =>
    startProgram({
      args: ["proxy"],
      environment: {
        ...common,
        ...bus.environmentOf("proxy", name),
        TOCSIN_PROXY_ID: name,
        TOCSIN_STATE_DIR: join(bus.directory, `state-${name}-${++states}`),
      },
    });
  const programs = new Map<string, Program>();
  stack.defer(async () => {
    await Promise.all([...programs.values()].map((program) => program[Symbol.asyncDispose]()));
  });
  const keep = async (name: string, started: Promise<Program>) => {
    programs.set(name, await started);
  };
  await Promise.all([
    keep(
      "control-plane",
      startProgram({
        args: ["control-plane", "--config", file],
        environment: {
          ...common,
          ...bus.environmentOf("control-plane", "control-plane-1"),
          TOCSIN_CONTROL_PLANE_ID: "control-plane-1",
          TOCSIN_STATE_DIR: join(bus.directory, "state-control-plane"),
        },
      }),
    ),
    ...proxyNames.map((name) => keep(name, startProxy(name))),
  ]);
  const proxy = (name: ProxyName) => programs.get(name)!;
  const controlPlane = programs.get("control-plane")!;
  const adminUrl = controlPlane.bound["admin"]!;
  const ready = (name: ProxyName) =>
    soon(async () => {
      const answer = await ask(proxy(name).bound["probe"]!, "/readyz?verbose");
      if (answer.status !== 200) throw new Error(`${answer.text}\n${proxy(name).log()}`);
    }, 15_000);
  const one: ProductionGateway["ask"] = (name, path, options = {}) =>
    ask(proxy(name).bound["proxy"]!, path, options);
  const gateway: ProductionGateway = {
    bus,
    controlPlane,
    proxy,
    ask: one,
    askAll: (path, options) => Promise.all(proxyNames.map((name) => one(name, path, options))),
    admin: (method, path, body) =>
      ask(adminUrl, path, {
        method,
        token: adminToken,
        ...(body === undefined
          ? {}
          : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
      }),
    tocsin: (...args) =>
      runTocsin(args, { TOCSIN_ADMIN_URL: adminUrl, TOCSIN_ADMIN_TOKEN: adminToken }),
    async replaceProxy(name) {
      await proxy(name).end("SIGKILL");
      await keep(name, startProxy(name));
      await ready(name);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  try {
    await Promise.all(proxyNames.map(ready));
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  return gateway;
}
