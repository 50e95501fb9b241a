/** What the probes of a proxy tell: whether it may have traffic, and where it stands. */
import type { NodeName } from "@tocsin/shared";
import { journalNames } from "@tocsin/shared/journal";
import type { ReplicaStatus } from "@tocsin/shared/replica";
import type { SessionStore } from "@tocsin/shared/sessions";
import type { ProbeContents } from "./probes/probes.ts";
import type { Sidecar } from "./sidecar/sidecar.ts";
import type { Fleet } from "./state/fleet.ts";
import type { Upstreams } from "./upstream/upstreams.ts";

export interface ProbeSources {
  readonly node: NodeName;
  readonly version: string;
  readonly fleet: Fleet;
  readonly upstreams: Pick<Upstreams, "circuits">;
  readonly sidecar: Sidecar | undefined;
  /** Where sessions are kept. */
  readonly sessions: SessionStore | undefined;
  readonly metrics: ProbeContents["metrics"];
  readonly isDraining: () => boolean;
  /** Exchanges that are not over. */
  readonly active: () => number;
}

export function probeContents(sources: ProbeSources): ProbeContents {
  const { node, version, fleet, upstreams, sidecar, sessions, metrics, isDraining, active } =
    sources;
  const hasSessions = () => fleet.config()?.config.identity.sessions !== undefined;
  return {
    ready: [
      { name: "draining", reason: () => (isDraining() ? "draining" : undefined) },
      {
        name: "snapshot",
        reason: () => (fleet.ready().ok ? undefined : fleet.ready().reasons.join("; ")),
      },
      // How old they may be is for each route to say, so no age makes a proxy unready.
      ...journalNames.map((name) => ({
        name,
        reason: () => undefined,
        detail: () => standingOf(fleet.replicas()[name]),
      })),
      // Its own instance decides what a sidecar registers, not whether it is ready: the service may want to call others.
      ...(sidecar === undefined
        ? []
        : [{ name: "service", reason: () => undefined, detail: () => besideOf(sidecar) }]),
      // Without the store everybody else is served as well as ever.
      {
        name: "sessions",
        reason: () => undefined,
        detail: () => (hasSessions() ? sessionsOf(sessions) : "none in the config"),
      },
      // A proxy whose disk is full serves as well as ever; it is a restart that would find less.
      { name: "disk", reason: () => undefined, detail: () => keptOf(fleet) },
    ],
    metrics,
    status: () => ({
      proxy: node,
      version,
      draining: isDraining(),
      revision: fleet.config()?.revision ?? null,
      active: active(),
      journals: fleet.replicas(),
      notKept: fleet.notKept(),
      sidecar: sidecar?.status(),
      sessions: hasSessions()
        ? { store: sessions?.place, trouble: troubleOf(sessions) }
        : undefined,
      services: Object.fromEntries(
        fleet
          .instances()
          .services()
          .map((service) => [
            service,
            (fleet.instances().of(service) ?? []).map(({ key, instance, eligible }) => ({
              instance,
              eligible,
              // Absent: it has none, or had no request yet.
              circuit: upstreams.circuits.stateOf(key),
            })),
          ]),
      ),
    }),
  };
}

/** `users healthy, registered`, or `users unhealthy: ECONNREFUSED, deregistered` */
function besideOf(sidecar: Sidecar): string {
  const { service, verdict, reason, registration } = sidecar.status();
  return `${service} ${verdict}${reason === undefined ? "" : `: ${reason}`}, ${registration}`;
}

/** `57 applied, live, 0.1 s old` */
function standingOf({ applied, state, stalenessMs, poisoned }: ReplicaStatus): string {
  const age =
    stalenessMs === undefined ? "of unknown age" : `${(stalenessMs / 1000).toFixed(1)} s old`;
  const refused = poisoned === undefined ? "" : `, ${poisoned.count} refused`;
  return `${applied} applied, ${state}, ${age}${refused}`;
}

/** `kept in Redis at 10.0.0.7:6379/0`, with `degraded: no answer within 250 ms` behind it when they cannot be looked up */
function sessionsOf(store: SessionStore | undefined): string {
  const trouble = troubleOf(store);
  const degraded = trouble === undefined ? "" : `degraded: ${trouble}`;
  return store === undefined
    ? degraded
    : `kept in ${store.place}${degraded === "" ? "" : `, ${degraded}`}`;
}

function troubleOf(store: SessionStore | undefined): string | undefined {
  return store === undefined ? "TOCSIN_REDIS_URL is not set" : store.trouble;
}

/** `all kept`, or `revocations not kept: ENOSPC: no space left on device, write` */
function keptOf(fleet: Fleet): string {
  const troubles = Object.entries(fleet.notKept()).flatMap(([journal, trouble]) =>
    trouble === undefined ? [] : [`${journal} not kept: ${trouble}`],
  );
  return troubles.length === 0 ? "all kept" : troubles.join("; ");
}
