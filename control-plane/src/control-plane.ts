/** The composition root of the control plane. */
import { randomUUID } from "node:crypto";
import {
  formatAddress,
  once,
  type Address,
  type Clock,
  type Log,
  type NodeName,
  type Random,
  type Secret,
} from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import { Audit } from "./audit/audit.ts";
import type { SessionStore } from "@tocsin/shared/sessions";
import { catalogueKeys, RevocationItem } from "@tocsin/shared/contract";
import { journalNames, type Journals, type Ledger } from "@tocsin/shared/journal";
import { startAdmin } from "./admin/server.ts";
import { ApiKeys } from "./api-keys/api-keys.ts";
import { LastUsed } from "./api-keys/last-used.ts";
import { Upkeep } from "./api-keys/upkeep.ts";
import { applyAtStart } from "./catalogue/apply-at-start.ts";
import { CurrentConfig } from "./catalogue/current-config.ts";
import { Brake } from "./health/brake.ts";
import { Evidence } from "./health/evidence.ts";
import type { probe } from "@tocsin/shared/probe";
import { startProber } from "./health/prober.ts";
import { Quorum } from "./health/quorum.ts";
import { Roster } from "./health/roster.ts";
import { Invalidations } from "./invalidation/invalidations.ts";
import { Leader } from "./leader/leader.ts";
import { Peers } from "./leader/peers.ts";
import { createMetrics } from "./metrics.ts";
import { check } from "./read-body.ts";
import { serveLeases } from "./registry/bus-requests.ts";
import { Reaper } from "./registry/reaper.ts";
import { Registry } from "./registry/registry.ts";
import { Services } from "./registry/services.ts";
import { Renewal } from "./revocation/renewal.ts";
import { Revocations } from "./revocation/revocations.ts";
import { serveSessions } from "./sessions/bus-requests.ts";
import { Sessions } from "./sessions/sessions.ts";
import { startBeacon } from "./sync/beacon.ts";
import { fleetOf, standingOf } from "./sync/fleet.ts";
import { Orders } from "./sync/orders.ts";
import { Proxies } from "./sync/proxies.ts";
import { serveSync } from "./sync/serve.ts";
import { State } from "./sync/state.ts";

export interface ControlPlaneOptions {
  readonly node: NodeName;
  readonly version: string;
  readonly bus: Bus;
  readonly journals: Journals;
  /** Where the audit is kept; whoever gives it ends it. Absent: its records are lines in the log only. */
  readonly audit?: Ledger | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly admin: Address & { readonly token: Secret };
  /** What `${NAME}` in a config refers to. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where sessions are kept; whoever gives it ends it. Absent: nowhere. */
  readonly sessions?: SessionStore | undefined;
  /** Looks at an instance. Default: over the network. */
  readonly probe?: typeof probe;
  /** Applied at the start, where it differs from what is applied. */
  readonly config?: { readonly source: string; readonly name: string };
}

/** A running control-plane node. */
export interface ControlPlane extends AsyncDisposable {
  readonly adminUrl: string;
}

/** @throws Declined with every problem when the config is not valid; Error when the address cannot be bound */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { node, version, bus, journals, clock, random, log } = options;
  await using stack = new AsyncDisposableStack();
  const audit = stack.use(new Audit({ node, ledger: options.audit, clock, log }));
  const proxies = new Proxies(clock, (journal) => state.replica(journal).status());
  const fleet = fleetOf({ bus, proxies, clock, log });
  const state: State = stack.use(new State({ bus, journals, fleet, clock, random, log }));
  const orders = new Orders({ bus, journals, state, proxies, clock, log });
  const config = new CurrentConfig({ state, orders, environment: options.environment, clock, log });
  if (options.config !== undefined) config.check(options.config.source);

  const boot = randomUUID();
  const peers = stack.use(new Peers({ node, boot, version, bus, clock, log }));
  stack.use(await proxies.listen(bus));
  await peers.start();
  stack.use(await orders.listen());
  await state.synced();
  stack.use(
    proxies.onHeartbeat((proxy) => {
      const standing = standingOf(proxy, "revocations");
      if (standing !== undefined) state.heardStanding(standing);
    }),
  );
  const leader = stack.use(new Leader({ node, boot, bus, state, peers, clock, random, log }));
  stack.use(await startBeacon({ node, bus, journals, state, proxies, leader, clock, log }));
  stack.use(await serveSync(bus, state, log));
  if (options.config !== undefined) await applyAtStart(config, options.config, audit);

  const registry = stack.use(new Registry({ state, orders, config, peers, clock, log }));
  stack.use(new Reaper({ bus, registry, leader, clock, log }));
  const roster = new Roster(state, config);
  const quorum = stack.use(new Quorum({ clock, bus, proxies, roster }));
  const evidence = new Evidence({ clock, roster, onReport: (report) => quorum.hear(report) });
  stack.use(await evidence.listen(bus));
  const brake = stack.use(new Brake({ peers, evidence, clock, log }));
  const prober = stack.use(
    startProber({
      node,
      peers,
      brake,
      quorum,
      state,
      config,
      clock,
      random,
      log,
      ...(options.probe === undefined ? {} : { look: options.probe }),
    }),
  );
  const revocations = new Revocations({
    orders,
    config,
    clock,
    log,
    journal: journals.revocations,
    lastChange: (target) => state.revocations.set.lastChange(target),
    liftedAt: (target) => state.revocations.set.liftedAt(target),
  });
  stack.use(new Renewal({ journal: journals.revocations, state, leader, clock, log }));
  const sessions = new Sessions({
    store: options.sessions,
    config,
    revoke: (sids, { reason, waitMs }) => {
      const items = sids.map((sid) => check(RevocationItem, { kind: "session", sid, reason }));
      const [item, ...more] = items;
      return revocations.revoke(
        item !== undefined && more.length === 0 ? { kind: "one", item } : { kind: "many", items },
        waitMs,
      );
    },
    clock,
    log,
  });
  const lastUsed = new LastUsed(
    clock,
    (id) => state.catalogue.get(catalogueKeys.apiKey(id)) !== undefined,
  );
  stack.use(proxies.onHeartbeat(({ heartbeat }) => lastUsed.hear(heartbeat.apiKeys ?? [])));
  const apiKeys = new ApiKeys({
    state,
    orders,
    config,
    revoke: (id, { reason, waitMs }) => {
      const item = check(RevocationItem, { kind: "api-key", id, reason });
      return revocations.revoke({ kind: "one", item }, waitMs);
    },
    lastUsed,
    clock,
    log,
  });
  stack.use(new Upkeep({ keys: apiKeys, state, leader, clock, log }));
  const invalidations = new Invalidations(orders);
  const services = new Services(state, config, registry.leases, prober, quorum);
  const admin = stack.use(
    await startAdmin({
      ...options.admin,
      version,
      parts: {
        config,
        registry,
        services,
        revocations,
        invalidations,
        sessions,
        apiKeys,
        lastUsed,
        audit,
        proxies,
        peers,
        journals,
        clock,
      },
      notReady: () => {
        const lagging = journalNames.filter(
          (name) => state.replica(name).status().state !== "live",
        );
        return lagging.length === 0 ? undefined : `not current: ${lagging.join(", ")}`;
      },
      metrics: createMetrics({
        version,
        audit,
        state,
        orders,
        proxies,
        registry,
        leader,
        prober,
        clock,
      }),
      log,
    }),
  );
  // Requests of services are taken when everything that they need stands.
  stack.use(await serveLeases(bus, { registry, audit, log }));
  stack.use(await serveSessions(bus, { sessions, audit, log }));

  const owned = stack.move();
  return {
    adminUrl: `http://${formatAddress(admin)}`,
    [Symbol.asyncDispose]: once(() => owned.disposeAsync()),
  };
}
