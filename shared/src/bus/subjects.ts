/**
 * Every subject on the bus, in one place. Who may say and hear which of them stands in `nats.conf`.
 * The subject token is the identity: the NATS user of service `orders` may publish `tocsin.v1.register.orders.*` and no other service's.
 */
import type { JournalKey, JournalName, OperationId, StreamName } from "../journal/journal.ts";
import {
  assertName,
  isName,
  type InstanceName,
  type NodeName,
  type ServiceName,
} from "../names.ts";

const root = "tocsin.v1";

export const subjects = {
  /** Ingest of a journal; the control plane alone may publish. */
  log: (journal: StreamName, key: JournalKey) => `${root}.log.${journal}.${assertKey(key)}`,
  logs: (journal: StreamName) => `${root}.log.${journal}.>`,
  /** Where the server republishes what a journal recorded; nobody may publish. */
  feed: (journal: JournalName) => `${root}.feed.${journal}.>`,
  feedPrefix: (journal: JournalName) => `${root}.feed.${journal}.`,
  beacon: `${root}.beacon`,
  /** Request: a delta or a snapshot of a journal, in chunks. */
  sync: (journal: JournalName) => `${root}.sync.${journal}`,
  heartbeat: (role: "proxy" | "control-plane", node: NodeName) =>
    `${root}.heartbeat.${role}.${assertName(node)}`,
  heartbeats: (role: "proxy" | "control-plane") => `${root}.heartbeat.${role}.*`,
  ack: (operation: OperationId, proxy: NodeName) =>
    `${root}.ack.${assertOperation(operation)}.${assertName(proxy)}`,
  /** Open at the end, and so are {@link subjects.leases}: see {@link ackOf}. */
  acks: `${root}.ack.>`,
  /** What a proxy saw of instances while it forwarded to them: passive evidence of their health. */
  report: (proxy: NodeName) => `${root}.report.${assertName(proxy)}`,
  reports: `${root}.report.*`,
  /** The control plane asks every proxy for something; the answers come on a subject of each proxy. */
  everyProxy: (verb: ProxyVerb) => `${root}.proxy.${verb}`,
  /** What a proxy holds of a journal, for a control plane whose store has lost it. */
  held: (proxy: NodeName) => `${root}.held.${assertName(proxy)}`,
  holdings: `${root}.held.*`,
  /** Requests of services about themselves. */
  lease: (verb: LeaseVerb, service: ServiceName, instance: InstanceName) =>
    `${root}.${verb}.${assertName(service)}.${assertName(instance)}`,
  leases: (verb: LeaseVerb) => `${root}.${verb}.>`,
  /** Requests of a service that signs people in. Open at the end as {@link subjects.leases} are. */
  session: (verb: SessionVerb, service: ServiceName) =>
    `${root}.session.${verb}.${assertName(service)}`,
  sessions: `${root}.session.>`,
} as const;

/**
 * Who acknowledges what, by the subject.
 *
 * Subjects of two names are heard by `>` because nats-server 2.9 does not tell a leaf server of interest in `ack.*.*` when the leaf may
 * publish `ack.*.proxy-1`, so nothing would come through. Hence a subject may be longer than it should, and the last two tokens of such
 * a one are not what the sender was allowed to say: it is refused here.
 *
 * @returns undefined when the subject is none of an acknowledgement
 */
export function ackOf(subject: string): { operation: OperationId; proxy: NodeName } | undefined {
  const [operation, proxy, ...more] = subject.slice(`${root}.ack.`.length).split(".");
  if (!subject.startsWith(`${root}.ack.`) || more.length > 0) return undefined;
  return isOperationId(operation) && isName(proxy) ? { operation, proxy } : undefined;
}

/** Whose lease a request is about, by its subject as {@link ackOf}; names that are none are left in, for the answer to name them. */
export function leaseOf(
  verb: LeaseVerb,
  subject: string,
): { service: string; instance: string } | undefined {
  const [service, instance, ...more] = subject.slice(`${root}.${verb}.`.length).split(".");
  if (!subject.startsWith(`${root}.${verb}.`) || more.length > 0) return undefined;
  return service === undefined || instance === undefined ? undefined : { service, instance };
}

/** `collect`: say what you hold of the journals that are named. `heartbeat`: say now where you stand. */
export type ProxyVerb = "collect" | "heartbeat";

/** Which service asks for what about sessions, by the subject as {@link ackOf}; a name that is none is left in. */
export function sessionRequestOf(
  subject: string,
): { verb: SessionVerb; service: string } | undefined {
  const [word, service, ...more] = subject.slice(`${root}.session.`.length).split(".");
  const verb = sessionVerbs.find((each) => each === word);
  if (!subject.startsWith(`${root}.session.`) || more.length > 0) return undefined;
  return verb === undefined || service === undefined ? undefined : { verb, service };
}

const sessionVerbs = ["create", "list", "end"] as const;
export type SessionVerb = (typeof sessionVerbs)[number];

export type LeaseVerb = "register" | "renew" | "deregister";

/** Members of this queue group share the requests to the control plane. */
export const controlPlaneQueue = "control-plane";

function assertKey(key: JournalKey): JournalKey {
  for (const token of key.split(".")) assertName(token);
  return key;
}

const operationPattern = /^[A-Za-z0-9_-]{1,64}$/;

export function isOperationId(text: unknown): text is OperationId {
  return typeof text === "string" && operationPattern.test(text);
}

/** @throws Error naming the text when it is no operation id */
export function assertOperation(operation: OperationId): OperationId {
  if (!isOperationId(operation))
    throw new Error(`not an operation id: ${JSON.stringify(operation)}`);
  return operation;
}
