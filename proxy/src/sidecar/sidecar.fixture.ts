/** For tests: both sides of a sidecar, with raw sockets on all ends. */
import { createLog, silentLog, systemClock } from "@tocsin/shared";
import { Config } from "@tocsin/shared/contract";
import type { Identity } from "../identity/identity.ts";
import { anonymous } from "../identity/principal.ts";
import { startListener } from "../listener/listener.ts";
import { closedGate } from "../pipeline/assemble.ts";
import type { Engines } from "../pipeline/assemble.ts";
import type { ExchangeRecord } from "../telemetry/access-log.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { unwatched } from "../telemetry/sign-in-failures.ts";
import type { Instances, UpstreamInstance } from "../upstream/instances.ts";
import { createUpstreams } from "../upstream/upstreams.ts";
import { Census } from "../websocket/census.ts";
import type { Registrar } from "./registrar.ts";
import { createSidecar, type Sidecar } from "./sidecar.ts";

export interface TestSidecar extends AsyncDisposable {
  readonly sidecar: Sidecar;
  /** Ports. */
  readonly inbound: number;
  readonly outbound: number;
  readonly metrics: Metrics;
  readonly records: ExchangeRecord[];
  /** `announce` and `withdraw`, in order. */
  readonly said: string[];
  /** Reads the config again. */
  reconfigure(): void;
  /** Lets the withdrawals that are under way end. */
  withdrawn(): void;
}

export interface TestSidecarOptions {
  /** Port of the instance beside it. */
  readonly local: number;
  /** What the catalogue knows. */
  readonly fleet?: readonly UpstreamInstance[];
  /** Parts of the config; undefined: none was applied yet. Default: everything goes to `users`, without authentication. */
  readonly config?: Record<string, unknown> | (() => Record<string, unknown>) | "none";
  readonly outboundPort?: number;
  readonly identity?: Identity;
  /** A withdrawal ends when the test says so. Default: at once. */
  readonly slowWithdrawal?: boolean;
}

export const everythingToUsers = {
  services: { users: { health: { interval: "100ms", unhealthyAfter: 2 } } },
  routes: [{ id: "users", match: { path: "/*" }, service: "users", auth: "none" }],
};

/** An instance of the fleet at a port. */
export function fleetInstance(
  service: string,
  port: number,
  more: Partial<UpstreamInstance> = {},
): UpstreamInstance {
  return {
    key: `${service}.i${port}.1`,
    service,
    instance: `i${port}`,
    url: `http://127.0.0.1:${port}`,
    weight: 1,
    active: true,
    eligible: true,
    ...more,
  };
}

/** A sidecar of the service `users`. */
export async function startTestSidecar(options: TestSidecarOptions): Promise<TestSidecar> {
  await using stack = new AsyncDisposableStack();
  const clock = systemClock;
  const random = () => 0;
  const log = process.env["TEST_LOG"] === undefined ? silentLog : createLog({ level: "debug" });
  const records: ExchangeRecord[] = [];
  const access = {
    note: (record: ExchangeRecord) => void records.push(record),
    [Symbol.dispose]() {},
  };
  const instances = instancesOf(options.fleet ?? []);
  const upstreams = stack.use(createUpstreams({ instances: () => instances, clock, random, log }));
  const metrics = createMetrics({
    version: "test",
    fleet: () => ({ replicas: [], instances: [] }),
    resilience: () => ({ circuits: [], retries: upstreams.retries.read() }),
  });
  const read = () =>
    options.config === "none"
      ? undefined
      : Config.parse({
          version: 1,
          ...everythingToUsers,
          ...(typeof options.config === "function" ? options.config() : options.config),
        });
  let config = read();
  const closed = closedGate({ metrics, access, log, clock });
  const said: string[] = [];
  let pending: (() => void)[] = [];
  const registrar: Registrar = {
    state: "told",
    announce: () => void said.push("announce"),
    withdraw() {
      said.push("withdraw");
      if (options.slowWithdrawal !== true) return Promise.resolve();
      return new Promise((resolve) => pending.push(resolve));
    },
  };
  const sidecar = stack.use(
    createSidecar(
      {
        service: "users",
        url: `http://127.0.0.1:${options.local}`,
        outboundListen: { host: "127.0.0.1", port: options.outboundPort ?? 0 },
        registrar: () => registrar,
      },
      { clock, random, log, config: () => config, metrics, closedGate: closed },
    ),
  );
  const engines: Engines = {
    instances: () => instances,
    identity: options.identity ?? { identify: () => anonymous },
    staleness: { revocationsMs: () => 0 },
    upstreams,
    websockets: new Census(),
    metrics,
    access,
    failures: unwatched,
    log,
    clock,
    random,
  };
  let gate = closed;
  const reconfigure = () => {
    config = read();
    if (config === undefined) return;
    gate = sidecar.assemble(config, engines);
    sidecar.serve();
  };
  reconfigure();
  const listener = stack.use(
    await startListener({ host: "127.0.0.1", port: 0, gate: () => gate, clock, log, metrics }),
  );
  await sidecar.open(listener.address);
  const owned = stack.move();
  return {
    sidecar,
    inbound: listener.address.port,
    outbound: sidecar.outbound!.port,
    metrics,
    records,
    said,
    reconfigure,
    withdrawn() {
      for (const resolve of pending) resolve();
      pending = [];
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function instancesOf(list: readonly UpstreamInstance[]): Instances {
  const services = [...new Set(list.map(({ service }) => service))];
  const lists = new Map(
    services.map((name) => [name, list.filter(({ service }) => service === name)]),
  );
  return { of: (service) => lists.get(service), services: () => services };
}
