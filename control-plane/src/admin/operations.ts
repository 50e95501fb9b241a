/** The calls of the admin API: method, path, what it takes and gives, and what it does. The OpenAPI document is made from this table. */
import { shown } from "@tocsin/shared";
import type { Clock } from "@tocsin/shared";
import {
  type AuditTarget,
  ConfigApplied,
  ControlPlaneView,
  Lease,
  LeaseHolder,
  OrderAnswer,
  ProxyView,
  Registration,
  ServiceView,
} from "@tocsin/shared/contract";
import type { Journals } from "@tocsin/shared/journal";
import { z } from "zod";
import type { Audit } from "../audit/audit.ts";
import type { ApiKeys } from "../api-keys/api-keys.ts";
import type { LastUsed } from "../api-keys/last-used.ts";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import { redactedDocument, redactedSource } from "../catalogue/redact.ts";
import type { Peers } from "../leader/peers.ts";
import { Declined } from "../problem.ts";
import { check, readBody } from "../read-body.ts";
import { InstancePath } from "../registry/instance-path.ts";
import type { Registry } from "../registry/registry.ts";
import { drainWaitMs } from "../registry/bus-requests.ts";
import type { Services } from "../registry/services.ts";
import type { Revocations } from "../revocation/revocations.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import { proxyViews } from "../sync/proxy-views.ts";
import type { Proxies } from "../sync/proxies.ts";
import { apiKeyOperations } from "./api-key-operations.ts";
import { auditOperations } from "./audit-operations.ts";
import { invalidationOperations } from "./invalidation-operations.ts";
import { ordered } from "./ordered.ts";
import { revocationOperations } from "./revocation-operations.ts";
import { sessionOperations } from "./session-operations.ts";
import { dryRunOf, waitOf, type Query } from "./query.ts";

export interface AdminParts {
  readonly config: CurrentConfig;
  readonly registry: Registry;
  readonly services: Services;
  readonly revocations: Revocations;
  readonly invalidations: Invalidations;
  readonly sessions: Sessions;
  readonly apiKeys: ApiKeys;
  readonly audit: Audit;
  readonly lastUsed: LastUsed;
  readonly proxies: Proxies;
  readonly peers: Peers;
  readonly journals: Journals;
  readonly clock: Clock;
}

/** A request as the operations see it. */
export interface AdminRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly header: (name: string) => string | undefined;
  readonly body: string;
  /** Says what the call is about, as soon as that is known; later words add to earlier ones. For the audit: names, never a secret. */
  readonly about: (target: AuditTarget, reason?: string) => void;
}

export interface AdminReply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Operation {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** With `{parameters}`, as in OpenAPI. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  /** Schema of the JSON body; absent: none. */
  readonly takes?: z.ZodType;
  readonly gives: z.ZodType;
  /** Takes `?wait=`. */
  readonly waits?: true;
  /** Takes `?dryRun=`. */
  readonly tries?: true;
  /** Takes `Idempotency-Key`: the same key again is the same effect, once. */
  readonly repeats?: true;
  /** Takes `?limit=` and `?after=`. */
  readonly pages?: true;
  /** Further parameters of the query, each with what it is. */
  readonly asks?: Readonly<Record<string, string>>;
  /** The largest body, in bytes. Default {@link bodyLimit}. */
  readonly bodyLimit?: number;
  /** Other types of body than JSON, each with what it is. */
  readonly alsoTakes?: Readonly<Record<string, string>>;
  /**
   * An order: written down in the audit, whatever comes of it. `often`: services may ask for it all day, so that many in a minute
   * are written as a number. Absent: written down when it is refused.
   */
  readonly audited?: true | "often";
  readonly run: (request: AdminRequest, parts: AdminParts) => Promise<AdminReply> | AdminReply;
}

const ConfigView = z.object({
  revision: z.int(),
  sequence: z.int(),
  source: z.string(),
  config: z.unknown(),
});
const ConfigChecked = z.object({ valid: z.literal(true), changes: z.boolean(), revision: z.int() });

export const operations: readonly Operation[] = [
  {
    method: "GET",
    path: "/v1/config",
    id: "showConfig",
    summary: "The applied config: as it was written, or as JSON with secrets left out",
    gives: ConfigView,
    run(request, { config }) {
      const applied = config.applied();
      const headers = { etag: `"${applied?.revision ?? 0}"` };
      const wantsJson =
        /application\/(json|\*)|\*\/\*/.test(request.header("accept") ?? "*/*") &&
        !/yaml/.test(request.header("accept") ?? "");
      if (wantsJson) {
        return {
          status: 200,
          headers,
          body: {
            revision: applied?.revision ?? 0,
            sequence: applied?.sequence ?? 0,
            source: redactedSource(applied?.source ?? ""),
            config: redactedDocument(applied?.document ?? null),
          },
        };
      }
      return {
        status: 200,
        headers: { ...headers, "content-type": "application/yaml" },
        body: redactedSource(applied?.source ?? ""),
      };
    },
  },
  {
    method: "PUT",
    path: "/v1/config",
    id: "applyConfig",
    summary: "Applies a config (YAML or JSON): all of it, on every proxy, or nothing",
    takes: z.unknown(),
    gives: z.union([ConfigApplied, ConfigChecked]),
    waits: true,
    tries: true,
    audited: true,
    async run(request, { config }) {
      const waitMs = waitOf(request.query);
      const ifRevision = revisionOf(request.header("if-match"), config.applied() !== undefined);
      const condition = ifRevision === undefined ? {} : { ifRevision };
      if (ifRevision !== undefined) request.about({ ifRevision });
      if (dryRunOf(request.query)) {
        const { changes, revision } = config.check(request.body, condition);
        return { status: 200, body: { valid: true, changes, revision } };
      }
      const applied = await config.apply(request.body, { waitMs, ...condition });
      const isChange = applied.operation !== "unchanged";
      request.about({ revision: applied.revision, ...(isChange ? {} : { change: "none" }) });
      const reply = ordered(applied, isChange ? waitMs : 1);
      return { ...reply, headers: { etag: `"${applied.revision}"` } };
    },
  },
  {
    method: "GET",
    path: "/v1/services",
    id: "listServices",
    summary: "Every service with its instances",
    gives: z.object({ services: z.array(ServiceView) }),
    run: (_request, { services }) => ({ status: 200, body: { services: services.all() } }),
  },
  {
    method: "GET",
    path: "/v1/services/{service}",
    id: "showService",
    summary: "One service: instances with verdict, who says so, lease",
    gives: ServiceView,
    run(request, { services }) {
      const view = services.one(request.params["service"] ?? "");
      if (view === undefined)
        throw new Declined(404, "not-found", "There is no such service", {
          detail: request.params["service"] ?? "",
        });
      return { status: 200, body: view };
    },
  },
  {
    method: "PUT",
    path: "/v1/services/{service}/instances/{instance}",
    id: "register",
    summary: "Announces an instance; it is probed before it is routed",
    takes: Registration,
    gives: Lease,
    audited: true,
    async run(request, { registry }) {
      const { service, instance } = check(InstancePath, request.params);
      request.about({ service, instance });
      const registration = readBody(Registration, request.body);
      request.about({ url: registration.url });
      return { status: 200, body: await registry.register(service, instance, registration) };
    },
  },
  {
    method: "POST",
    path: "/v1/services/{service}/instances/{instance}/renew",
    id: "renew",
    summary: "Renews the lease of an instance",
    takes: LeaseHolder,
    gives: Lease,
    run(request, { registry }) {
      const { service, instance } = check(InstancePath, request.params);
      request.about({ service, instance });
      return {
        status: 200,
        body: registry.renew(service, instance, readBody(LeaseHolder, request.body)),
      };
    },
  },
  {
    method: "DELETE",
    path: "/v1/services/{service}/instances/{instance}",
    id: "deregister",
    summary: "Drains an instance; answers when every live proxy sends it nothing new",
    takes: LeaseHolder,
    gives: OrderAnswer,
    waits: true,
    audited: true,
    async run(request, { registry }) {
      const { service, instance } = check(InstancePath, request.params);
      request.about({ service, instance });
      const waitMs = request.query["wait"] === undefined ? drainWaitMs : waitOf(request.query);
      return ordered(
        await registry.deregister(service, instance, readBody(LeaseHolder, request.body), waitMs),
        waitMs,
      );
    },
  },
  ...revocationOperations,
  ...invalidationOperations,
  ...sessionOperations,
  ...apiKeyOperations,
  ...auditOperations,
  {
    method: "GET",
    path: "/v1/control-planes",
    id: "listControlPlanes",
    summary: "Every control-plane node that was heard: which one leads, in which term, last seen",
    gives: z.object({ controlPlanes: z.array(ControlPlaneView) }),
    run: (_request, { peers }) => ({ status: 200, body: { controlPlanes: peers.views() } }),
  },
  {
    method: "GET",
    path: "/v1/proxies",
    id: "listProxies",
    summary:
      "Every proxy that was heard: version, applied, head and lag per journal, staleness, last seen",
    gives: z.object({ proxies: z.array(ProxyView) }),
    run: (_request, { proxies, clock }) => ({
      status: 200,
      body: { proxies: proxyViews(proxies, clock) },
    }),
  },
];

/** RFC 9110 §13.1.1: `*` is any revision that exists. @throws Declined 400 when it is neither, 412 at `*` when there is none */
function revisionOf(header: string | undefined, exists: boolean): number | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") {
    if (exists) return undefined;
    throw new Declined(412, "precondition-failed", "No revision is applied", {
      detail: "If-Match: * wants any revision to be there, and nothing was ever applied.",
    });
  }
  const revision = /^"?(\d+)"?$/.exec(header.trim())?.[1];
  if (revision === undefined)
    throw new Declined(400, "bad-request", "If-Match is not understood", {
      detail: `Found ${shown(header)}, allowed: a revision in quotes, such as "3".`,
    });
  return Number(revision);
}
