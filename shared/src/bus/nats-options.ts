import { readFileSync } from "node:fs";
import {
  credsAuthenticator,
  type Authenticator,
  type NodeConnectionOptions,
} from "@nats-io/transport-node";
import type { Log } from "../log.ts";
import type { Clock, Milliseconds } from "../time.ts";

export type NatsRole = "proxy" | "control-plane" | "service" | "operator";

export interface NatsAddress {
  /** `nats://` or `tls://` URLs, user and password in them or not. With `tls://` an unencrypted server is refused. */
  readonly servers: readonly string[];
  /** A file with NATS credentials (JWT and seed). Read again at each connection, so that it can be renewed in place. */
  readonly credentials?: string;
  /** Who connects; of a service its name, the same that its NATS user may register. */
  readonly node: string;
  readonly role: NatsRole;
  /** Where answers arrive. Default: the role's own prefix, because who may hear `_INBOX.>` hears everybody's answers. */
  readonly inboxPrefix?: string;
}

export interface NatsOptions extends NatsAddress {
  readonly clock: Clock;
  readonly log: Log;
  /** Gives up the first connection. */
  readonly signal?: AbortSignal;
  /**
   * How long to wait for the first connection, in milliseconds; after that the bus is handed out in state `disconnected` and goes
   * on trying. Default: as long as it takes.
   */
  readonly firstConnectTimeoutMs?: Milliseconds;
}

/** The prefixes that `nats.conf` grants. */
export function inboxPrefix(role: NatsRole, node: string): string {
  switch (role) {
    case "control-plane":
      return "_INBOX_cp";
    case "proxy":
      return "_INBOX_px";
    case "service":
      return `_INBOX_svc.${node}`;
    case "operator":
      return "_INBOX_op";
    default:
      return role satisfies never;
  }
}

/**
 * How to connect. The library's own defaults notice a dead link after four minutes and give up for good after ten attempts.
 *
 * @throws Error naming the credentials file when it cannot be read
 */
export function connectionOptions(address: NatsAddress): NodeConnectionOptions {
  const urls = address.servers.map((server) => new URL(server.trim()));
  const { username = "", password = "" } = urls.find((url) => url.username !== "") ?? {};
  return {
    servers: urls.map((url) => url.host),
    name: `tocsin ${address.role} ${address.node}`,
    ...(urls.some((url) => url.protocol === "tls:") ? { tls: {} } : {}),
    ...(username === ""
      ? {}
      : { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
    ...(address.credentials === undefined
      ? {}
      : { authenticator: credentialsFrom(address.credentials) }),
    inboxPrefix: address.inboxPrefix ?? inboxPrefix(address.role, address.node),
    // A half-open connection is noticed within 6 s: two pings unanswered.
    pingInterval: 2_000,
    maxPingOut: 2,
    timeout: 5_000,
    maxReconnectAttempts: -1,
    // Spread, so that a fleet does not come back in one instant; but within the second in which revocations are in force again.
    reconnectTimeWait: 100,
    reconnectJitter: 300,
    reconnectJitterTLS: 300,
    // A password that is wrong now may be right after a reload of the server.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  };
}

function credentialsFrom(file: string): Authenticator {
  let last: Uint8Array;
  const read = () => {
    try {
      last = readFileSync(file);
    } catch (cause) {
      throw new Error(`NATS credentials cannot be read: ${file}`, { cause });
    }
  };
  read();
  return credsAuthenticator(() => {
    // A file that is being replaced may be gone for a moment; an exception here would end the connection for good.
    try {
      read();
    } catch {}
    return last;
  });
}
