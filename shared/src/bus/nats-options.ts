import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { isIP } from "node:net";
import {
  jwtAuthenticator,
  nkeyAuthenticator,
  type Authenticator,
  type NodeConnectionOptions,
} from "@nats-io/transport-node";
import { messageOf } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { assertName } from "../names.ts";
import type { Clock, Milliseconds } from "../time.ts";
import { readCredentials, type Credentials, type NatsPlace } from "./nats-files.ts";

export type NatsRole = "proxy" | "control-plane" | "service" | "operator";

export interface NatsAddress extends NatsPlace {
  /**
   * `nats://` or `tls://` URLs, user and password in them or not. One `tls://` among them and an unencrypted server is refused.
   * Of several one is used, and another when that one is away.
   */
  readonly servers: readonly string[];
  /** Who connects, a name; of a service its name, the same that its NATS user may register. */
  readonly node: string;
  readonly role: NatsRole;
  /**
   * Where answers arrive. Default: a prefix of the role and the name, because who may hear `_INBOX.>` hears everybody's answers. So a user
   * of a role may be granted `_INBOX_px.>`, and a user of one proxy `_INBOX_px.<name>.>`.
   */
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

const inboxes: Readonly<Record<NatsRole, string>> = {
  "control-plane": "_INBOX_cp",
  proxy: "_INBOX_px",
  service: "_INBOX_svc",
  operator: "_INBOX_op",
};

/** @throws Error when the node's name is none: a name that is a wildcard would hear the others' answers */
export function inboxPrefix(role: NatsRole, node: string): string {
  return `${inboxes[role]}.${assertName(node)}`;
}

/**
 * How to connect. The library's own defaults notice a dead link after four minutes and give up for good after ten attempts.
 *
 * @throws Error naming the credentials file when it cannot be read or holds no credentials; Error when the node's name is none
 */
export function connectionOptions(address: NatsAddress): NodeConnectionOptions {
  const urls = address.servers.map((server) => new URL(server.trim()));
  const { username = "", password = "" } = urls.find((url) => url.username !== "") ?? {};
  return {
    servers: urls.map((url) => url.host),
    name: `tocsin ${address.role} ${address.node}`,
    ...(urls.some((url) => url.protocol === "tls:") ? { tls: tlsOptions(address, urls) } : {}),
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
    // Of one attempt. The server itself gives up on a client that says nothing for 2 s.
    timeout: 2_000,
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

function tlsOptions(
  { authorities, certificate, key }: NatsAddress,
  urls: readonly URL[],
): NonNullable<NodeConnectionOptions["tls"]> {
  const addresses = urls
    .map((url) => url.hostname.replace(/^\[|\]$/g, ""))
    .filter((host) => isIP(host) !== 0);
  const options = {
    ...(authorities === undefined ? {} : { caFile: authorities }),
    ...(certificate === undefined ? {} : { certFile: certificate }),
    ...(key === undefined ? {} : { keyFile: key }),
    // The library gives Node no name for a server that is known by its address, and Node then takes any certificate for "localhost".
    checkServerIdentity(host: string, shown: PeerCertificate): Error | undefined {
      const isNamed = host !== "localhost" || urls.some((url) => url.hostname === host);
      const [first, ...others] = isNamed ? [host] : addresses;
      const error = checkServerIdentity(first ?? host, shown);
      return others.some((other) => checkServerIdentity(other, shown) === undefined)
        ? undefined
        : error;
    },
  };
  return options;
}

function credentialsFrom(file: string): Authenticator {
  const read = (): Credentials => {
    try {
      return readCredentials(file);
    } catch (cause) {
      throw new Error(`NATS credentials ${file}: ${messageOf(cause)}`, { cause });
    }
  };
  let last = read();
  return (nonce) => {
    // A file that is being replaced may be gone or half there for a moment; an exception here would end the connection for good.
    try {
      last = read();
    } catch {}
    const seed = new TextEncoder().encode(last.seed);
    return (last.jwt === undefined ? nkeyAuthenticator(seed) : jwtAuthenticator(last.jwt, seed))(
      nonce,
    );
  };
}
