/**
 * The whole gateway as real processes, either standalone or as a cluster on a real NATS server: what the scenarios run against.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask, type Answer, type RequestOptions } from "./client.ts";
import { soon } from "./soon.ts";
import type { NatsServer } from "./nats-server.ts";
import { adminToken, startNodes, type Nodes, type NodesOptions } from "./nodes.ts";
import { runTocsin, temporaryDirectory, type CommandResult, type Program } from "./program.ts";
import type { Relay } from "./relay.ts";

export { adminToken, passwords } from "./nodes.ts";

export type Mode = "standalone" | "cluster";
export const modes: readonly Mode[] = ["standalone", "cluster"];

export interface Gateway extends AsyncDisposable {
  readonly mode: Mode;
  readonly nats: NatsServer | undefined;
  /** Public URLs: one standalone, in a cluster one of each proxy. */
  readonly urls: readonly string[];
  readonly probes: readonly string[];
  /** Names of the processes, in the order of everything else: `proxy-1` … */
  readonly names: {
    readonly controlPlanes: readonly string[];
    readonly proxies: readonly string[];
  };
  /** The process of that name: to be frozen, thawed, ended. Another one after each restart. */
  node(name: string): Program;
  /** What stands between a node and NATS, where the option `relays` says so. */
  relay(name: string): Relay;
  /** The process that holds the control plane, the first of several. Replaced by {@link Gateway.restartControlPlane}. */
  controlPlane(): Program;
  proxies(): readonly Program[];
  /** One request through a proxy. */
  ask(path: string, options?: RequestOptions & { proxy?: number }): Promise<Answer>;
  /** The same request through each proxy. */
  askAll(path: string, options?: RequestOptions): Promise<Answer[]>;
  /** One call of the admin API. @param node which control plane, counted from 0; default the first */
  admin(method: string, path: string, body?: unknown, node?: number): Promise<Answer>;
  /** Puts a document on the condition that a revision is the present one (`If-Match`). */
  put(path: string, body: unknown, revision: number, node?: number): Promise<Answer>;
  tocsin(...args: string[]): Promise<CommandResult>;
  /**
   * Ends one process and starts it again on its ports. Resolves when it has announced itself.
   *
   * @param change.signal default SIGKILL
   * @param change.fresh its state directory is emptied in between
   */
  restart(name: string, change?: { signal?: NodeJS.Signals; fresh?: boolean }): Promise<void>;
  /** Ends the control plane's process with a signal and starts it again. */
  restartControlPlane(signal: NodeJS.Signals): Promise<void>;
  /** Ends the proxies' processes and starts them again, without waiting until they are ready. */
  restartProxies(signal: NodeJS.Signals): Promise<void>;
  /** Ends every process and starts all of them again. */
  restartAll(signal: NodeJS.Signals): Promise<void>;
  /** What the SDK and the command line need in their environment. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface GatewayOptions extends Omit<NodesOptions, "directory" | "config"> {
  /** The text of it. */
  readonly config: string;
}

export async function startGateway(mode: Mode, options: GatewayOptions): Promise<Gateway> {
  const stack = new AsyncDisposableStack();
  const directory = stack.use(temporaryDirectory());
  const config = join(directory.path, "tocsin.yaml");
  writeFileSync(config, options.config);
  let nodes: Nodes;
  try {
    nodes = stack.use(await startNodes(mode, { ...options, directory: directory.path, config }));
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  const { controlPlanes, proxies } = nodes;
  const boundOf = (names: readonly string[], what: string) =>
    names.map((name) => nodes.get(name).bound[what]!);
  const urls = boundOf(proxies, "proxy");
  const probes = boundOf(proxies, "probe");
  const adminUrls = boundOf(controlPlanes, "admin");
  const environment = { TOCSIN_ADMIN_URL: adminUrls[0]!, TOCSIN_ADMIN_TOKEN: adminToken };

  const gateway: Gateway = {
    mode,
    nats: nodes.nats,
    urls,
    probes,
    names: { controlPlanes, proxies },
    environment,
    node: (name) => nodes.get(name),
    relay: (name) => nodes.relay(name),
    controlPlane: () => nodes.get(controlPlanes[0]!),
    proxies: () => proxies.map((name) => nodes.get(name)),
    ask: (path, { proxy = 0, ...rest } = {}) => ask(urls[proxy]!, path, rest),
    askAll: (path, rest = {}) => Promise.all(urls.map((url) => ask(url, path, rest))),
    admin: (method, path, body, node = 0) =>
      ask(adminUrls[node]!, path, {
        method,
        token: adminToken,
        ...(body === undefined
          ? {}
          : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
      }),
    put: (path, body, revision, node = 0) =>
      ask(adminUrls[node]!, path, {
        method: "PUT",
        token: adminToken,
        headers: { "content-type": "application/json", "if-match": `"${revision}"` },
        body: JSON.stringify(body),
      }),
    tocsin: (...args) => runTocsin(args, environment),
    restart: (name, { signal = "SIGKILL", fresh = false } = {}) =>
      nodes.restart(name, signal, { fresh }),
    restartControlPlane: (signal) => nodes.restart(controlPlanes[0]!, signal),
    async restartProxies(signal) {
      if (mode === "standalone") return;
      await Promise.all(proxies.map((name) => nodes.restart(name, signal)));
    },
    async restartAll(signal) {
      await Promise.all([...nodes.all().values()].map((program) => program.end(signal)));
      await Promise.all([...nodes.all().keys()].map((name) => nodes.restart(name, signal)));
      await ready(probes);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  try {
    await ready(probes);
  } catch (error) {
    const logs = [...nodes.all()].map(([name, program]) => `${name}:\n${program.log()}`);
    await stack.disposeAsync();
    throw new Error(`the gateway was not ready:\n${logs.join("\n")}`, { cause: error });
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
