/**
 * The whole gateway as real processes, either standalone or as a cluster on a real NATS server: what the scenarios run against.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask, type Answer, type RequestOptions } from "./client.ts";
import { soon } from "./soon.ts";
import { startNats, type NatsServer } from "./nats-server.ts";
import {
  root,
  runTocsin,
  startProgram,
  temporaryDirectory,
  type CommandResult,
  type Program,
} from "./program.ts";

export type Mode = "standalone" | "cluster";
export const modes: readonly Mode[] = ["standalone", "cluster"];

export interface Gateway extends AsyncDisposable {
  readonly mode: Mode;
  readonly nats: NatsServer | undefined;
  /** Public URLs: one standalone, two in a cluster. */
  readonly urls: readonly string[];
  readonly probes: readonly string[];
  /** The process that holds the control plane. Replaced by {@link Gateway.restartControlPlane}. */
  controlPlane(): Program;
  proxies(): readonly Program[];
  /** One request through a proxy. */
  ask(path: string, options?: RequestOptions & { proxy?: number }): Promise<Answer>;
  /** The same request through each proxy. */
  askAll(path: string, options?: RequestOptions): Promise<Answer[]>;
  admin(method: string, path: string, body?: unknown): Promise<Answer>;
  tocsin(...args: string[]): Promise<CommandResult>;
  /** Ends the control plane's process with a signal and starts it again. */
  restartControlPlane(signal: NodeJS.Signals): Promise<void>;
  /** Ends the proxies' processes and starts them again, without waiting until they are ready. */
  restartProxies(signal: NodeJS.Signals): Promise<void>;
  /** Ends every process and starts all of them again. */
  restartAll(signal: NodeJS.Signals): Promise<void>;
  /** What the SDK and the command line need in their environment. */
  readonly environment: Readonly<Record<string, string>>;
}

export const adminToken = "an admin token for the tests".replaceAll(" ", "-");

export const passwords = {
  TOCSIN_NATS_CONTROL_PLANE_PASSWORD: "cp-password",
  TOCSIN_NATS_PROXY_PASSWORD: "px-password",
  TOCSIN_NATS_OPERATOR_PASSWORD: "op-password",
  TOCSIN_NATS_USERS_PASSWORD: "users-password",
  TOCSIN_NATS_CONTENT_PASSWORD: "content-password",
  TOCSIN_NATS_PAYMENTS_PASSWORD: "payments-password",
};

export interface GatewayOptions {
  readonly config: string;
  /** Between the proxies and NATS, say a relay's port instead of the server's. */
  readonly proxyNatsPort?: (server: NatsServer, proxy: number) => Promise<number>;
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startGateway(mode: Mode, options: GatewayOptions): Promise<Gateway> {
  const stack = new AsyncDisposableStack();
  const directory = stack.use(temporaryDirectory());
  const config = join(directory.path, "tocsin.yaml");
  writeFileSync(config, options.config);
  const common = {
    TOCSIN_LISTEN: "127.0.0.1:0",
    TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
    TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
    TOCSIN_ADMIN_TOKEN: adminToken,
    TOCSIN_DRAIN_TIMEOUT: "5s",
    ...options.environment,
  };
  const programs = new Map<string, Program>();
  const keep = async (name: string, started: Promise<Program>) => {
    programs.set(name, await started);
  };
  stack.defer(async () => {
    await Promise.all([...programs.values()].map((program) => program[Symbol.asyncDispose]()));
  });

  let nats: NatsServer | undefined;
  const proxyNames: string[] = [];
  if (mode === "standalone") {
    const environment = {
      ...common,
      TOCSIN_STATE_DIR: join(directory.path, "state"),
      TOCSIN_PROXY_ID: "proxy-1",
    };
    await keep(
      "control-plane",
      startProgram({ args: ["standalone", "--config", config], environment }),
    );
  } else {
    nats = stack.use(await startNats({ config: join(root, "nats.conf"), environment: passwords }));
    const url = (user: string, password: string, port = nats!.port) =>
      `nats://${user}:${password}@127.0.0.1:${port}`;
    const proxyPorts: (number | undefined)[] = [];
    for (const proxy of [0, 1]) proxyPorts.push(await options.proxyNatsPort?.(nats, proxy));
    const control = keep(
      "control-plane",
      startProgram({
        args: ["control-plane", "--config", config],
        environment: {
          ...common,
          TOCSIN_STATE_DIR: join(directory.path, "control-plane"),
          TOCSIN_CONTROL_PLANE_ID: "control-plane-1",
          TOCSIN_NATS_URL: url("control-plane", passwords.TOCSIN_NATS_CONTROL_PLANE_PASSWORD),
        },
      }),
    );
    const proxies = ["proxy-1", "proxy-2"].map((name, index) => {
      proxyNames.push(name);
      return keep(
        name,
        startProgram({
          args: ["proxy"],
          environment: {
            ...common,
            TOCSIN_STATE_DIR: join(directory.path, name),
            TOCSIN_PROXY_ID: name,
            TOCSIN_NATS_URL: url("proxy", passwords.TOCSIN_NATS_PROXY_PASSWORD, proxyPorts[index]),
          },
        }),
      );
    });
    await Promise.all([control, ...proxies]);
  }

  const controlPlane = () => programs.get("control-plane")!;
  const proxies = () =>
    mode === "standalone" ? [controlPlane()] : proxyNames.map((name) => programs.get(name)!);
  const urls = proxies().map((program) => program.bound["proxy"]!);
  const probes = proxies().map((program) => program.bound["probe"]!);
  const adminUrl = controlPlane().bound["admin"]!;
  const environment = { TOCSIN_ADMIN_URL: adminUrl, TOCSIN_ADMIN_TOKEN: adminToken };

  const gateway: Gateway = {
    mode,
    nats,
    urls,
    probes,
    controlPlane,
    proxies,
    environment,
    ask: (path, { proxy = 0, ...rest } = {}) => ask(urls[proxy]!, path, rest),
    askAll: (path, rest = {}) => Promise.all(urls.map((url) => ask(url, path, rest))),
    admin: (method, path, body) =>
      ask(adminUrl, path, {
        method,
        token: adminToken,
        ...(body === undefined
          ? {}
          : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
      }),
    tocsin: (...args) => runTocsin(args, environment),
    async restartControlPlane(signal) {
      const program = controlPlane();
      await program.end(signal);
      await keep("control-plane", program.again());
    },
    async restartProxies(signal) {
      await Promise.all(
        proxyNames.map(async (name) => {
          const program = programs.get(name)!;
          await program.end(signal);
          await keep(name, program.again());
        }),
      );
    },
    async restartAll(signal) {
      const all = [...programs];
      await Promise.all(all.map(([, program]) => program.end(signal)));
      await Promise.all(all.map(([name, program]) => keep(name, program.again())));
      await ready(probes);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  try {
    await ready(probes);
  } catch (error) {
    const logs = [...programs].map(([name, program]) => `${name}:\n${program.log()}`).join("\n");
    await stack.disposeAsync();
    throw new Error(`the gateway was not ready:\n${logs}`, { cause: error });
  }
  return gateway;
}

async function ready(probes: readonly string[]): Promise<void> {
  await Promise.all(
    probes.map((probe) =>
      soon(async () => {
        const answer = await ask(probe, "/readyz?verbose");
        if (answer.status !== 200) throw new Error(answer.text);
      }, 10_000),
    ),
  );
}
