/** The processes of a gateway: which there are, how each is started, and that all of them end. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { startNats, type NatsServer } from "./nats-server.ts";
import { root, startProgram, type Program, type ProgramOptions } from "./program.ts";
import { startRelay, type Relay } from "./relay.ts";

export const adminToken = "an admin token for the tests".replaceAll(" ", "-");

export const passwords = {
  TOCSIN_NATS_CONTROL_PLANE_PASSWORD: "cp-password",
  TOCSIN_NATS_PROXY_PASSWORD: "px-password",
  TOCSIN_NATS_OPERATOR_PASSWORD: "op-password",
  TOCSIN_NATS_USERS_PASSWORD: "users-password",
  TOCSIN_NATS_CONTENT_PASSWORD: "content-password",
  TOCSIN_NATS_PAYMENTS_PASSWORD: "payments-password",
};

export interface NodesOptions {
  /** Where configs and state are kept. */
  readonly directory: string;
  /** The path of the config. */
  readonly config: string;
  /** Default 1. */
  readonly controlPlanes?: number;
  /** Default 2. */
  readonly proxies?: number;
  /** The configuration of the NATS server. Default `nats.conf` of this repository. */
  readonly natsConfig?: string;
  /** Whether a relay of its own stands between each node and NATS. Default false. */
  readonly relays?: boolean;
  /** Between the proxies and NATS, say a relay's port instead of the server's. */
  readonly proxyNatsPort?: (server: NatsServer, proxy: number) => Promise<number>;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Nodes extends AsyncDisposable {
  readonly nats: NatsServer | undefined;
  /** `control-plane-1` and so on; of a standalone gateway `control-plane`, which is its proxy too. */
  readonly controlPlanes: readonly string[];
  readonly proxies: readonly string[];
  /** @throws Error when there is none of that name */
  get(name: string): Program;
  all(): ReadonlyMap<string, Program>;
  /** @throws Error when nothing stands between that node and NATS */
  relay(name: string): Relay;
  /** Ends a process and starts it again on the same ports. Resolves when it has announced itself. */
  restart(
    name: string,
    signal: NodeJS.Signals,
    change?: { readonly fresh?: boolean },
  ): Promise<void>;
}

const common = {
  TOCSIN_LISTEN: "127.0.0.1:0",
  TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
  TOCSIN_ADMIN_LISTEN: "127.0.0.1:0",
  TOCSIN_ADMIN_TOKEN: adminToken,
  TOCSIN_DRAIN_TIMEOUT: "5s",
  // A proxy is one process, which tests kill, freeze and weigh; those about workers ask for more.
  TOCSIN_WORKERS: "1",
};

const numbered = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);

export async function startNodes(
  mode: "standalone" | "cluster",
  options: NodesOptions,
): Promise<Nodes> {
  const stack = new AsyncDisposableStack();
  const programs = new Map<string, Program>();
  const relays = new Map<string, Relay>();
  // The last to start is not the last to end: all of them at once, before the servers they use.
  const stop = () =>
    Promise.all([...programs.values()].map((program) => program[Symbol.asyncDispose]()));
  const stateOf = (name: string) => join(options.directory, name);

  const start = async (
    name: string,
    args: ProgramOptions["args"],
    more: Record<string, string>,
  ) => {
    const environment = {
      ...common,
      ...options.environment,
      TOCSIN_STATE_DIR: stateOf(name),
      ...more,
    };
    programs.set(name, await startProgram({ args, environment }));
  };

  const controlPlanes =
    mode === "standalone"
      ? ["control-plane"]
      : numbered("control-plane", options.controlPlanes ?? 1);
  const proxies = mode === "standalone" ? controlPlanes : numbered("proxy", options.proxies ?? 2);
  let nats: NatsServer | undefined;
  try {
    if (mode === "standalone") {
      stack.defer(async () => void (await stop()));
      await start("control-plane", ["standalone", "--config", options.config], {
        TOCSIN_PROXY_ID: "proxy-1",
      });
    } else {
      const server = stack.use(
        await startNats({
          config: options.natsConfig ?? join(root, "nats.conf"),
          environment: passwords,
        }),
      );
      nats = server;
      const urlOf = async (name: string, user: string, password: string, otherPort?: number) => {
        let port = otherPort ?? server.port;
        if (options.relays === true) {
          const relay = stack.use(await startRelay(port, { nats: true }));
          relays.set(name, relay);
          port = relay.port;
        }
        return `nats://${user}:${password}@127.0.0.1:${port}`;
      };
      const { TOCSIN_NATS_CONTROL_PLANE_PASSWORD, TOCSIN_NATS_PROXY_PASSWORD } = passwords;
      const starts: (() => Promise<void>)[] = [];
      for (const name of controlPlanes) {
        const url = await urlOf(name, "control-plane", TOCSIN_NATS_CONTROL_PLANE_PASSWORD);
        const more = { TOCSIN_CONTROL_PLANE_ID: name, TOCSIN_NATS_URL: url };
        starts.push(() => start(name, ["control-plane", "--config", options.config], more));
      }
      for (const [index, name] of proxies.entries()) {
        const port = await options.proxyNatsPort?.(server, index);
        const url = await urlOf(name, "proxy", TOCSIN_NATS_PROXY_PASSWORD, port);
        const more = { TOCSIN_PROXY_ID: name, TOCSIN_NATS_URL: url };
        starts.push(() => start(name, ["proxy"], more));
      }
      stack.defer(async () => void (await stop()));
      await Promise.all(starts.map((each) => each()));
    }
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }

  const get = (name: string) => {
    const program = programs.get(name);
    if (program === undefined) throw new Error(`no process ${name}`);
    return program;
  };
  return {
    nats,
    controlPlanes,
    proxies,
    get,
    all: () => programs,
    relay(name) {
      const relay = relays.get(name);
      if (relay === undefined)
        throw new Error(`startGateway("cluster", { relays: true }) puts a relay before ${name}`);
      return relay;
    },
    async restart(name, signal, { fresh = false } = {}) {
      const program = get(name);
      await program.end(signal);
      if (fresh) await rm(stateOf(name), { recursive: true, force: true });
      programs.set(name, await program.again());
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
