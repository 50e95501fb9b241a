import { Gauge, Registry } from "@prometheus-io/client";
import type { Aborted } from "@tocsin/shared";
import type { ExchangeRecord } from "./access-log.ts";
import { buckets, expose, type MetricSamples } from "./exposition.ts";
import { ExchangeSeries, RouteSeries } from "./series.ts";
import { exposeSessions, SessionSeries } from "./session-series.ts";
import { exposeUsers, UserSeries } from "./user-series.ts";

/** What the replicas and instances look like at the moment of a scrape. */
export interface FleetReading {
  readonly replicas: readonly {
    readonly journal: string;
    /** 1 for the state that it is in. */
    readonly state: string;
    readonly applied: number;
    readonly head: number;
    /** Undefined: never was current. */
    readonly stalenessMs: number | undefined;
    readonly gaps: number;
    readonly resyncs: Readonly<Record<string, number>>;
  }[];
  readonly instances: readonly {
    readonly service: string;
    readonly instance: string;
    readonly healthy: boolean;
  }[];
}

/** What keeps requests from instances, and what became of those that were tried again, at the moment of a scrape. */
export interface ResilienceReading {
  readonly circuits: readonly {
    readonly service: string;
    readonly instance: string;
    readonly state: "closed" | "half-open" | "open";
  }[];
  readonly retries: readonly {
    readonly service: string;
    readonly outcome: string;
    readonly count: number;
  }[];
}

export interface Metrics {
  /** Counts an exchange. */
  record(exchange: ExchangeRecord): void;
  /** Counts a request that was refused for who it is, or for what it may. */
  denied(code: string): void;
  /** Counts a request that could not be read as one. */
  recordUnreadable(status: number): void;
  connectionOpened(): void;
  connectionClosed(): void;
  /** Counts a connection that was not taken. `address`: its address holds as many as it may. */
  connectionRefused(reason: "address"): void;
  /** Counts a stream that is over: a WebSocket or an event stream. */
  streamClosed(kind: string, reason: string): void;
  /** How sessions were looked for; counted by whoever looks. */
  readonly sessions: SessionSeries;
  /** How users were looked up; counted by whoever looks. */
  readonly users: UserSeries;
  /** The text of a scrape, and its media type. */
  scrape(): Promise<{ readonly text: string; readonly type: string }>;
  /** The numbers of a scrape, to be put together with those of other processes (combined.ts). */
  samples(): Promise<readonly MetricSamples[]>;
}

export interface MetricsOptions {
  readonly version: string;
  /** Asked at each scrape. */
  readonly fleet: () => FleetReading;
  /** Asked at each scrape. Absent: nothing is told of circuits and retries. */
  readonly resilience?: () => ResilienceReading;
  /** Asked at each scrape: whether there are sessions. Absent: there are none. */
  readonly hasSessions?: () => boolean;
  /** Likewise: whether a service of users is asked. Absent: none is. */
  readonly hasUsers?: () => boolean;
}

/** Label values are bounded: any other method is `_OTHER`. */
const methodNumbers: ReadonlyMap<string, number> = new Map(
  ["_OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"].map(
    (name, index) => [name, index],
  ),
);
const methodNames = [...methodNumbers.keys()];

/** Why an answer is cut short for somebody who may not have the rest. */
const recalls: ReadonlySet<string> = new Set<Aborted["reason"]>([
  "revoked",
  "expired",
  "blocked",
  "forbidden",
  "unavailable",
]);

/** The metrics of one proxy. A registry of its own: two proxies may run in one process. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  /** By route; of a route whose requests go to several services one for each. */
  const routes = new Map<string, RouteSeries>();
  const failures = new Map<string, number>();
  const cutAnswers = new Map<string, number>();
  const refusedConnections = new Map<string, number>();
  const closedStreams = new Map<string, { kind: string; reason: string; count: number }>();
  let connections = 0;

  const everyExchange = () =>
    [...routes.values()].flatMap((route) => [...route.exchanges.values()]);

  expose(
    registry,
    "http_requests_total",
    "counter",
    "Exchanges that are over, by method, route, status and service.",
    () =>
      everyExchange().map((series) => ({ value: series.duration.count, labels: series.labels })),
  );
  expose(
    registry,
    "http_request_duration_seconds",
    "histogram",
    "From the request's head to the last byte of the reply.",
    () =>
      everyExchange().flatMap((series) =>
        buckets("http_request_duration_seconds", series.duration, series.labels),
      ),
  );
  expose(
    registry,
    "tocsin_overhead_seconds",
    "histogram",
    "What the gateway adds until the reply begins: without the time that the upstream took to answer.",
    () =>
      [...routes.values()].flatMap((route) =>
        buckets("tocsin_overhead_seconds", route.overhead, route.labels),
      ),
  );
  expose(
    registry,
    "tocsin_upstream_duration_seconds",
    "histogram",
    "From forwarding a request to the headers of the upstream's answer.",
    () =>
      [...routes.values()].flatMap((route) =>
        buckets("tocsin_upstream_duration_seconds", route.upstream, route.labels),
      ),
  );
  expose(
    registry,
    "tocsin_auth_failures_total",
    "counter",
    "Requests refused for who they are or for what they may, by code.",
    () => [...failures].map(([code, value]) => ({ value, labels: { code } })),
  );
  expose(
    registry,
    "tocsin_answers_cut_total",
    "counter",
    "Answers cut short because their client may not have the rest, by reason.",
    () => [...cutAnswers].map(([reason, value]) => ({ value, labels: { reason } })),
  );
  expose(registry, "gateway_active_connections", "gauge", "Open connections from clients.", () => [
    { value: connections, labels: {} },
  ]);
  expose(
    registry,
    "tocsin_connections_refused_total",
    "counter",
    "Connections from clients that were not taken, by reason.",
    () => [...refusedConnections].map(([reason, value]) => ({ value, labels: { reason } })),
  );
  expose(
    registry,
    "tocsin_streams_closed_total",
    "counter",
    "WebSockets and event streams that are over, by what ended them.",
    () =>
      [...closedStreams.values()].map(({ kind, reason, count }) => ({
        value: count,
        labels: { kind, reason },
      })),
  );
  exposeFleet(registry, options.fleet);
  if (options.resilience !== undefined) exposeResilience(registry, options.resilience);
  const sessions = new SessionSeries();
  exposeSessions(registry, sessions, options.hasSessions ?? (() => false));
  const users = new UserSeries();
  exposeUsers(registry, users, options.hasUsers ?? (() => false));
  new Gauge({
    name: "tocsin_build_info",
    help: "Always 1; the labels say what runs.",
    labelNames: ["version", "node"],
    aggregator: "first",
    registers: [registry],
  }).set({ version: options.version, node: process.version }, 1);

  function seriesOf(route: string, service: string): RouteSeries {
    let series = routes.get(route);
    if (series !== undefined && series.labels["service"] === service) return series;
    // A space is in no name.
    const key = series === undefined ? route : `${route} ${service}`;
    series = routes.get(key);
    if (series === undefined) routes.set(key, (series = new RouteSeries({ route, service })));
    return series;
  }

  function exchangeSeries(route: RouteSeries, method: string, status: number): ExchangeSeries {
    const number = methodNumbers.get(method) ?? 0;
    const key = status * 16 + number;
    let series = route.exchanges.get(key);
    if (series === undefined) {
      series = new ExchangeSeries({
        method: methodNames[number]!,
        ...route.labels,
        status_code: String(status),
      });
      route.exchanges.set(key, series);
    }
    return series;
  }

  return {
    record(exchange) {
      const route = seriesOf(exchange.route, exchange.service);
      exchangeSeries(route, exchange.method, exchange.status).duration.observe(
        exchange.durationMs / 1_000,
      );
      if (exchange.upstreamMs !== undefined) route.upstream.observe(exchange.upstreamMs / 1_000);
      if (exchange.overheadMs !== undefined) route.overhead.observe(exchange.overheadMs / 1_000);
      const { aborted } = exchange;
      if (aborted !== undefined && recalls.has(aborted)) count(cutAnswers, aborted);
    },
    denied: (code) => count(failures, code),
    recordUnreadable(status) {
      exchangeSeries(seriesOf("", ""), "_OTHER", status).duration.observe(0);
    },
    connectionOpened() {
      connections += 1;
    },
    connectionClosed() {
      connections -= 1;
    },
    connectionRefused(reason) {
      count(refusedConnections, reason);
    },
    streamClosed(kind, reason) {
      const key = `${kind} ${reason}`;
      const held = closedStreams.get(key);
      if (held === undefined) closedStreams.set(key, { kind, reason, count: 1 });
      else held.count += 1;
    },
    sessions,
    users,
    samples: async () => (await registry.getMetricsAsJSON()) as readonly MetricSamples[],
    async scrape() {
      return { text: await registry.metrics(), type: registry.contentType };
    },
  };
}

function count(counts: Map<string, number>, label: string): void {
  counts.set(label, (counts.get(label) ?? 0) + 1);
}

function exposeFleet(registry: Registry, fleet: () => FleetReading): void {
  const perReplica =
    (value: (replica: FleetReading["replicas"][number]) => number | undefined) => () =>
      fleet().replicas.flatMap((replica) => {
        const found = value(replica);
        return found === undefined ? [] : [{ value: found, labels: { journal: replica.journal } }];
      });
  expose(
    registry,
    "tocsin_replica_state",
    "gauge",
    "1 for the state that the replica of a journal is in.",
    () => fleet().replicas.map(({ journal, state }) => ({ value: 1, labels: { journal, state } })),
  );
  expose(
    registry,
    "tocsin_replica_applied",
    "gauge",
    "Sequence of the last applied entry.",
    perReplica((replica) => replica.applied),
  );
  expose(
    registry,
    "tocsin_replica_head",
    "gauge",
    "Highest sequence that is known to exist.",
    perReplica((replica) => replica.head),
  );
  expose(
    registry,
    "tocsin_replica_staleness_seconds",
    "gauge",
    "Time since the replica last knew that it was current. Absent: it never was.",
    perReplica((replica) =>
      replica.stalenessMs === undefined ? undefined : replica.stalenessMs / 1_000,
    ),
  );
  expose(
    registry,
    "tocsin_replica_gaps_total",
    "counter",
    "Holes in the feed that were found.",
    perReplica((replica) => replica.gaps),
  );
  expose(
    registry,
    "tocsin_replica_resyncs_total",
    "counter",
    "Times that a replica was built anew, by reason.",
    () =>
      fleet().replicas.flatMap(({ journal, resyncs }) =>
        Object.entries(resyncs).map(([reason, value]) => ({ value, labels: { journal, reason } })),
      ),
  );
  expose(
    registry,
    "tocsin_instance_healthy",
    "gauge",
    "1 when the instance may get requests.",
    () =>
      fleet().instances.map(({ service, instance, healthy }) => ({
        value: healthy ? 1 : 0,
        labels: { service, instance },
      })),
  );
}

/** How the states of a circuit are told as numbers. */
const circuitNumbers = { closed: 0, "half-open": 1, open: 2 } as const;

function exposeResilience(registry: Registry, resilience: () => ResilienceReading): void {
  expose(
    registry,
    "tocsin_circuit_state",
    "gauge",
    "The circuit of an instance: 0 closed, 1 half-open, 2 open.",
    () =>
      resilience().circuits.map(({ service, instance, state }) => ({
        value: circuitNumbers[state],
        labels: { service, instance },
      })),
  );
  expose(
    registry,
    "tocsin_retries_total",
    "counter",
    "Retries by outcome; over-budget: those that were not made.",
    () =>
      resilience().retries.map(({ service, outcome, count }) => ({
        value: count,
        labels: { service, outcome },
      })),
  );
}
