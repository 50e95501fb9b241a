/** For tests: the request path as it is in a proxy, with raw sockets on both ends. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { createLog, silentLog, sleep, systemClock } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, Random } from "@tocsin/shared";
import { Config } from "@tocsin/shared/contract";
import type { Identity } from "../identity/identity.ts";
import { anonymous } from "../identity/principal.ts";
import { assemble } from "../pipeline/assemble.ts";
import type { Gate } from "../pipeline/gate.ts";
import type { ExchangeRecord } from "../telemetry/access-log.ts";
import { Streams } from "../streams/streams.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { SignInFailures } from "../telemetry/sign-in-failures.ts";
import type { Instances, UpstreamInstance } from "../upstream/instances.ts";
import { createUpstreams } from "../upstream/upstreams.ts";
import type { Upstreams } from "../upstream/upstreams.ts";
import { Census } from "../websocket/census.ts";
import { startListener } from "./listener.ts";
import type { Listener } from "./listener.ts";

export interface TestGateway extends AsyncDisposable {
  readonly port: number;
  readonly listener: Listener;
  readonly upstreams: Upstreams;
  readonly metrics: Metrics;
  readonly streams: Streams;
  readonly websockets: Census;
  /** Exchanges that are over, in order. */
  readonly records: ExchangeRecord[];
  /** Replaces the instances. */
  setInstances(...instances: UpstreamInstance[]): void;
}

export interface TestGatewayOptions {
  /** Where the service `a` answers, or the one that an instance names. */
  readonly to: readonly (number | UpstreamInstance)[];
  /** Parts of the config. Default: everything goes to the service `a`, without authentication. */
  readonly config?: Record<string, unknown>;
  readonly identity?: Identity;
  /** Age of the revocations. Default: current. */
  readonly revocationsMs?: () => Milliseconds | undefined;
  readonly clock?: Clock;
  /** Default: always 0. */
  readonly random?: Random;
  readonly keepAliveMs?: Milliseconds;
  /** Put around the assembled gate. */
  readonly wrap?: (gate: Gate) => Gate;
}

export function instanceAt(port: number, more: Partial<UpstreamInstance> = {}): UpstreamInstance {
  return {
    key: `a.i${port}.1`,
    service: "a",
    instance: `i${port}`,
    url: `http://127.0.0.1:${port}`,
    weight: 1,
    active: true,
    eligible: true,
    ...more,
  };
}

export async function startTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  await using stack = new AsyncDisposableStack();
  const clock = options.clock ?? systemClock;
  const log: Log =
    process.env["TEST_LOG"] === undefined ? silentLog : createLog({ level: "debug" });
  let instances = fleetOf(options.to.map((to) => (typeof to === "number" ? instanceAt(to) : to)));
  const records: ExchangeRecord[] = [];
  const upstreams = stack.use(
    createUpstreams({
      instances: () => instances,
      clock,
      random: options.random ?? (() => 0),
      log,
    }),
  );
  const metrics = createMetrics({
    version: "test",
    fleet: () => ({ replicas: [], instances: [] }),
    resilience: () => ({
      circuits: upstreams.circuits.all().map(({ instance, state }) => ({ ...instance, state })),
      retries: upstreams.retries.read(),
    }),
  });
  const config = Config.parse({
    version: 1,
    services: { a: null },
    routes: [{ id: "all", match: { path: "/*" }, service: "a", auth: "none" }],
    ...options.config,
  });
  const websockets = new Census();
  const failures = stack.use(
    new SignInFailures({ log, clock, counted: (code) => metrics.denied(code) }),
  );
  const assembled = assemble(config, {
    instances: () => instances,
    identity: {
      // As the real one does, so that those of tests need not say it.
      identify: (request, policy) =>
        options.identity === undefined || (policy.mode === "none" && !isReal(options.identity))
          ? anonymous
          : options.identity.identify(request, policy),
    },
    staleness: { revocationsMs: options.revocationsMs ?? (() => 0) },
    upstreams,
    websockets,
    metrics,
    access: { note: (record) => void records.push(record), [Symbol.dispose]() {} },
    failures,
    log,
    clock,
    random: options.random ?? (() => 0),
  });
  const gate = options.wrap?.(assembled) ?? assembled;
  const streams = stack.use(new Streams(clock, (kind, end) => metrics.streamClosed(kind, end)));
  const listener = stack.use(
    await startListener({
      host: "127.0.0.1",
      port: 0,
      gate: () => gate,
      clock,
      log,
      metrics,
      streams,
      ...(options.keepAliveMs === undefined ? {} : { keepAliveMs: options.keepAliveMs }),
    }),
  );
  const owned = stack.move();
  return {
    port: listener.address.port,
    listener,
    upstreams,
    metrics,
    streams,
    websockets,
    records,
    setInstances(...next) {
      instances = fleetOf(next);
      upstreams.refresh();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function fleetOf(list: readonly UpstreamInstance[]): Instances {
  const services = new Map<string, UpstreamInstance[]>([["a", []]]);
  for (const instance of list) {
    const { service } = instance;
    const others = services.get(service);
    if (others === undefined) services.set(service, [instance]);
    else others.push(instance);
  }
  return { of: (service) => services.get(service), services: () => [...services.keys()] };
}

/** One connection as an origin sees it. */
const isReal = (identity: Identity) => "configure" in identity;

export interface OriginConnection {
  readonly socket: Socket;
  /** All bytes that came so far, as latin1. */
  received: string;
  /** Waits until the bytes fit, and gives them. */
  until(fits: (received: string) => boolean): Promise<string>;
}

export interface RawOrigin extends AsyncDisposable {
  readonly port: number;
  readonly connections: OriginConnection[];
  /** All bytes of all connections. */
  received(): string;
}

/** A server that says nothing but what the test makes it say. */
export async function startRawOrigin(
  onConnection: (connection: OriginConnection) => void,
): Promise<RawOrigin> {
  const connections: OriginConnection[] = [];
  const server = createServer((socket) => {
    const connection: OriginConnection = {
      socket,
      received: "",
      until: (fits) => soon(() => (fits(connection.received) ? connection.received : undefined)),
    };
    connections.push(connection);
    socket.on("error", () => {});
    socket.on("data", (bytes) => (connection.received += bytes.toString("latin1")));
    onConnection(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    received: () => connections.map((connection) => connection.received).join(""),
    async [Symbol.asyncDispose]() {
      for (const { socket } of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers each request head with this text. */
export function answering(text: string): (connection: OriginConnection) => void {
  return ({ socket }) => {
    let tail = "";
    socket.on("data", (bytes) => {
      tail += bytes.toString("latin1");
      for (let end = tail.indexOf("\r\n\r\n"); end !== -1; end = tail.indexOf("\r\n\r\n")) {
        tail = tail.slice(end + 4);
        socket.write(text, "latin1");
      }
    });
  };
}

export const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** Sends bytes and gives everything that comes back until the other side closes. */
export function converse(
  port: number,
  text: string,
  options: { readonly end?: boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      socket.write(text, "latin1");
      if (options.end) socket.end();
    });
    socket.setTimeout(8_000, () => {
      socket.destroy();
      reject(new Error(`the connection stayed open; received ${JSON.stringify(received)}`));
    });
    socket.on("data", (bytes) => (received += bytes.toString("latin1")));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(received));
  });
}

/** A GET on a connection that is closed after the answer. */
export function get(port: number, target = "/", fields: readonly string[] = []): Promise<string> {
  return converse(
    port,
    [
      "GET",
      ` ${target} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n`,
      ...fields.map((field) => `${field}\r\n`),
      "\r\n",
    ].join(""),
  );
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? Number.NaN);
}

export function codeOf(answer: string): string | undefined {
  return /"code":"([^"]+)"/.exec(answer)?.[1];
}

/** Waits until there is a value, at most 8 seconds. */
export async function soon<Value>(find: () => Value | undefined | false): Promise<Value> {
  const deadlineAt = systemClock.monotonic() + 8_000;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    if (systemClock.monotonic() > deadlineAt) throw new Error("waited for nothing");
    await sleep(systemClock, 5);
  }
}
