/** The composition root of the data plane: tables feed engines, engines stand behind stages, stages make the gate of the listener. */
import { randomUUID } from "node:crypto";
import {
  formatAddress,
  once,
  type Address,
  type Clock,
  type Log,
  type Milliseconds,
  type NodeName,
  type Random,
} from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { Config } from "@tocsin/shared/contract";
import { journalNames, type JournalName } from "@tocsin/shared/journal";
import type { ReplicaStatus } from "@tocsin/shared/replica";
import type { SessionStore } from "@tocsin/shared/sessions";
import { createIdentity } from "./identity/create.ts";
import { Users } from "./identity/users/users.ts";
import { startListener, type Listener } from "./listener/listener.ts";
import type { BoundAddress } from "./listener/bind.ts";
import { assemble, closedGate } from "./pipeline/assemble.ts";
import type { Gate } from "./pipeline/gate.ts";
import { probeContents } from "./probe-contents.ts";
import { startProbes, type ProbeContents } from "./probes/probes.ts";
import { createSidecar, type SidecarOptions } from "./sidecar/sidecar.ts";
import { Findings } from "./state/findings.ts";
import { startFleet } from "./state/fleet.ts";
import { doorOf } from "./streams/door.ts";
import { Standing } from "./streams/standing.ts";
import { Streams } from "./streams/streams.ts";
import { createAccessLog, silentAccessLog } from "./telemetry/access-log.ts";
import type { MetricSamples } from "./telemetry/exposition.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { SignInFailures } from "./telemetry/sign-in-failures.ts";
import { bootOf } from "./upstream/instances.ts";
import { createUpstreams } from "./upstream/upstreams.ts";
import { userQuestions } from "./user-questions.ts";
import { userReview } from "./user-review.ts";
import { Census } from "./websocket/census.ts";

/** What a proxy is made of, wherever it listens. */
export interface CoreOptions {
  readonly node: NodeName;
  readonly version: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Takes the access log, whole JSON lines at a time. Absent: there is none. */
  readonly accessLines?: (lines: Buffer) => void;
  /** Where the last good snapshot is kept; undefined: nowhere, a restart waits for the bus. */
  readonly stateDirectory?: string;
  /** False: the state directory is another's, who keeps it; it is read at the start and never written to. Default true. */
  readonly keepsState?: boolean;
  /** Requests are let in from then on, when everything else is there too. Default: at once. */
  readonly admitted?: Promise<void>;
  /** How long a proxy that stops still takes new connections, so that those who route to it notice. Default 0. */
  readonly drainNoticeMs?: Milliseconds;
  /** How long disposal may take to finish what is in flight, the notice included. */
  readonly drainTimeoutMs: Milliseconds;
  /** It stands beside one service. Absent: it serves all of them. */
  readonly sidecar?: SidecarOptions;
  /** Where sessions are kept; whoever gives it ends it. Absent: nowhere, and each of them is refused. */
  readonly sessions?: SessionStore | undefined;
}

export interface ProxyOptions extends CoreOptions {
  /** Public listener. */
  readonly listen: Address;
  readonly probeListen: Address;
}

/**
 * A proxy that listens when it is told to. Disposal drains it: not ready any more, then what is in flight finishes, then it is gone.
 */
export interface ProxyCore extends AsyncDisposable {
  /**
   * Opens the public listener. Once.
   *
   * @throws Error that names the address when it cannot be bound
   */
  listen(address: Address): Promise<BoundAddress>;
  /** Resolves when it lets requests in for the first time. */
  readonly ready: Promise<void>;
  /** What its probes tell. */
  readonly probes: ProbeContents;
  /** Exchanges that are not over. */
  readonly active: number;
  /** The numbers of its metrics, to be put together with those of other processes. */
  samples(): Promise<readonly MetricSamples[]>;
  /** Of a sidecar that listens: where the service calls others. */
  readonly outbound: BoundAddress | undefined;
  /** Where it stands in each journal. */
  standing(): Readonly<Record<JournalName, ReplicaStatus>>;
  /** Whether there is a snapshot of every journal. */
  hasSnapshot(): boolean;
  /** Tells everybody that it goes away: not ready, and not to be waited for by the control plane. Disposal does it too. */
  leave(): void;
  /** Finishes what is in flight and listens no more. Disposal does it too. @param noticeMs default as the options say */
  drain(noticeMs?: Milliseconds): Promise<void>;
}

/** A running proxy. Disposal drains it: not ready any more, then what is in flight finishes, then it is gone. */
export interface Proxy extends AsyncDisposable {
  /** Public URL. */
  readonly url: string;
  readonly probeUrl: string;
  /** Of a sidecar: where the service calls others. */
  readonly outboundUrl: string | undefined;
  /** Resolves when it lets requests in for the first time. */
  readonly ready: Promise<void>;
}

/** @throws Error that names the address when one cannot be bound */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  await using stack = new AsyncDisposableStack();
  const core = stack.use(await startCore(options));
  const address = await core.listen(options.listen);
  const probes = await startProbes({ ...options.probeListen, ...core.probes, log: options.log });
  const owned = stack.move();
  return {
    url: `http://${formatAddress(address)}`,
    probeUrl: `http://${formatAddress(probes.address)}`,
    outboundUrl: core.outbound && `http://${formatAddress(core.outbound)}`,
    ready: core.ready,
    [Symbol.asyncDispose]: once(async () => {
      // While it drains the probes tell.
      await owned.disposeAsync();
      await probes[Symbol.asyncDispose]();
    }),
  };
}

/** Everything but the ports: tables, engines, stages. */
export async function startCore(options: CoreOptions): Promise<ProxyCore> {
  const { node, version, bus, clock, random, log } = options;
  await using stack = new AsyncDisposableStack();
  let draining = false;

  const fleet = stack.use(
    await startFleet({
      node,
      boot: randomUUID(),
      version,
      bus,
      clock,
      random,
      log,
      stateDirectory: options.stateDirectory,
      keepsState: options.keepsState,
    }),
  );
  const upstreams = stack.use(createUpstreams({ instances: fleet.instances, clock, random, log }));
  const metrics = createMetrics({
    version,
    fleet: () => ({
      replicas: journalNames.map((journal) => ({ journal, ...fleet.replicas()[journal] })),
      instances: fleet
        .instances()
        .services()
        .flatMap((service) =>
          (fleet.instances().of(service) ?? []).map(({ instance, eligible }) => ({
            service,
            instance,
            healthy: eligible,
          })),
        ),
    }),
    resilience: () => ({
      circuits: upstreams.circuits
        .all()
        .map(({ instance: { service, instance }, state }) => ({ service, instance, state })),
      retries: upstreams.retries.read(),
    }),
    hasSessions: () => fleet.config()?.config.identity.sessions !== undefined,
    hasUsers: () => fleet.config()?.config.identity.users !== undefined,
  });
  const streams = stack.use(new Streams(clock, (kind, end) => metrics.streamClosed(kind, end)));
  const websockets = new Census();
  const isBlocked = doorOf(fleet.revocations);
  const findings = stack.use(
    new Findings({
      node,
      bus,
      clock,
      take: () => upstreams.evidence.take(),
      circuits: () =>
        upstreams.circuits.open().flatMap(({ instance, state, waitMs }) =>
          state === "closed"
            ? []
            : [
                {
                  service: instance.service,
                  instance: instance.instance,
                  boot: bootOf(instance),
                  state,
                  restMs: waitMs,
                },
              ],
        ),
    }),
  );
  upstreams.evidence.onStreak(() => findings.urge());
  upstreams.evidence.onFirst(() => findings.urge());
  upstreams.circuits.onChange(() => findings.circuitChanged());
  const identity = stack.use(
    createIdentity({
      clock,
      random,
      log,
      revocations: fleet.revocations,
      apiKeys: fleet.apiKeys,
      sessions: options.sessions,
      onSessionLookup: (outcome, storeMs) => metrics.sessions.count(outcome, storeMs),
    }),
  );
  const users = new Users({
    clock,
    random,
    log,
    invalidations: fleet.invalidations,
    revocations: fleet.revocations,
    invalidationsMs: () => fleet.staleness.invalidationsMs(),
    onLookup: (outcome) => metrics.users.count(outcome),
    onQuestion: (tookMs) => metrics.users.asked(tookMs),
  });

  const { accessLines } = options;
  const access = stack.use(
    accessLines === undefined ? silentAccessLog : createAccessLog(accessLines, clock, { node }),
  );
  const failures = stack.use(
    new SignInFailures({ log, clock, counted: (code) => metrics.denied(code) }),
  );

  const closed = closedGate({ metrics, access, log, clock });
  let gate: Gate = closed;
  const sidecar =
    options.sidecar &&
    stack.use(
      createSidecar(options.sidecar, {
        clock,
        random,
        log,
        config: () => fleet.config()?.config,
        metrics,
        closedGate: closed,
      }),
    );
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>();
  let admitted = options.admitted === undefined;
  const regate = () => {
    // Until there is a snapshot of everything, nothing is let in: closed, not open.
    if (!fleet.ready().ok) return;
    // No config was ever applied: what the language says when nothing is said.
    const applied = fleet.config() ?? { revision: 0, config: Config.parse({ version: 1 }) };
    identity.configure(applied.config.identity, {
      production: applied.config.environment === "production",
    });
    users.configure(applied.config.identity.users, userQuestions(applied.config, upstreams));
    const engines = {
      instances: fleet.instances,
      identity: users.behind(identity),
      staleness: fleet.staleness,
      upstreams,
      websockets,
      isBlocked,
      metrics,
      access,
      failures,
      log,
      clock,
      random,
    };
    const next = sidecar?.assemble(applied.config, engines) ?? assemble(applied.config, engines);
    if (!admitted) return;
    gate = next;
    sidecar?.serve();
    log.info(
      { revision: applied.revision, routes: applied.config.routes.length },
      "config in force",
    );
    isReady();
  };
  fleet.onConfig(regate);
  fleet.onReady(regate);
  fleet.onInstances(() => upstreams.refresh());
  regate();
  const admit = async () => {
    await options.admitted;
    admitted = true;
    regate();
  };
  if (!admitted) void admit();

  let listener: Listener | undefined;
  const leave = () => {
    draining = true;
    fleet.leave();
  };
  let drained: Promise<void> | undefined;
  const drain = (noticeMs: Milliseconds = options.drainNoticeMs ?? 0) =>
    (drained ??= (async () => {
      leave();
      const endAt = clock.monotonic() + options.drainTimeoutMs;
      const leftMs = () => Math.max(0, endAt - clock.monotonic());
      // Nobody can be told while the bus is away.
      await sidecar?.leave(bus.state === "connected" ? leftMs() / 2 : 0);
      const timeoutMs = leftMs();
      if ((await listener?.drain({ noticeMs, timeoutMs, streams })) === false)
        log.warn({ active: listener?.active }, "what was still in flight is cut");
      // Until then the service may have needed others for its answers.
      await sidecar?.drain(leftMs());
    })());
  const owned = stack.move();
  return {
    async listen(address) {
      listener = owned.use(
        await startListener({
          ...address,
          gate: () => gate,
          clock,
          log,
          metrics,
          streams,
          standing: new Standing(fleet.revocations, clock, isBlocked, (digest) =>
            fleet.apiKeys.endsAt(digest),
          ),
          users: userReview({
            users,
            invalidations: fleet.invalidations,
            config: () => fleet.config()?.config,
          }),
          random,
        }),
      );
      await sidecar?.open(listener.address);
      return listener.address;
    },
    get outbound() {
      return sidecar?.outbound;
    },
    ready,
    standing: () => fleet.replicas(),
    get active() {
      return listener?.active ?? 0;
    },
    samples: () => metrics.samples(),
    hasSnapshot: () => fleet.ready().ok,
    leave,
    probes: probeContents({
      node,
      version,
      fleet,
      upstreams,
      sidecar,
      sessions: options.sessions,
      metrics,
      isDraining: () => draining,
      active: () => listener?.active ?? 0,
    }),
    drain,
    [Symbol.asyncDispose]: once(async () => {
      await drain();
      await owned.disposeAsync();
    }),
  };
}
