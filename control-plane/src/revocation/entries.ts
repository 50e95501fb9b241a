import { messageOf, type Clock, type Milliseconds } from "@tocsin/shared";
import {
  protocolVersion,
  Revocation,
  type Config,
  type RevocationItem,
  type RevocationTarget,
} from "@tocsin/shared/contract";
import type { OperationId } from "@tocsin/shared/journal";
import { cidrOf, prefixOf, type Cidr } from "@tocsin/shared/revocations";
import { Declined } from "../problem.ts";
import { check } from "../read-body.ts";
import { contentOf, revocationId } from "./operation.ts";

/** A revocation as it was ordered, its token reduced to what identifies it. */
export type ReducedItem = Exclude<RevocationItem, { token: string }>;

/** What a mark on a user outlives at least, whatever the issuers say, in milliseconds. */
const leastMarkMs: Milliseconds = 24 * 3_600_000;
/** Held until it is lifted: as far as Unix seconds go here. */
const never = 1e11;
/** How far the clock of the one who gives an order may be ahead, in seconds. */
const aheadSeconds = 300;

/** What an order is made an entry with. */
export interface EntryTerms {
  readonly config: Config;
  readonly clock: Clock;
  /** When something was revoked or lifted last, as far as this node knows, in Unix milliseconds. */
  readonly lastChange: (target: RevocationTarget) => number;
}

/**
 * The entry that an order becomes.
 *
 * @param many its place in an order of many, and what that is a part of
 * @throws Declined 422 when it makes no sense, or no proxy would take it
 */
export function entryOf(
  item: ReducedItem,
  operation: OperationId,
  many: { readonly place: number; readonly partOf: string | undefined } | undefined,
  terms: EntryTerms,
): Revocation {
  const { config, clock, lastChange } = terms;
  const nowSeconds = clock.wall() / 1000;
  const longestSeconds = longestLifeMs(config) / 1000;
  const base = {
    v: protocolVersion,
    id: revocationId(operation, many?.place, contentOf(item) + (many?.partOf ?? "")),
    ...(item.reason === undefined ? {} : { reason: item.reason }),
  } as const;
  const entry = check(Revocation, { ...base, ...meaningOf(item, nowSeconds, longestSeconds) });
  // Whatever the clocks of those who order: what comes after a lifting counts, and what came before does not.
  const at = Math.max(clock.wall(), lastChange(entry) + 1);
  return { ...entry, at };
}

function meaningOf(item: ReducedItem, nowSeconds: number, longestSeconds: number) {
  switch (item.kind) {
    case "token":
      return {
        kind: "token",
        issuer: item.issuer,
        jti: item.jti,
        expiresAt: item.expiresAt ?? Math.ceil(nowSeconds + longestSeconds),
      };
    case "session":
      return {
        kind: "session",
        sid: item.sid,
        expiresAt: item.expiresAt ?? Math.ceil(nowSeconds + longestSeconds),
      };
    case "user": {
      const issuedBefore = issuedBeforeOf(item, nowSeconds);
      return {
        kind: "user",
        subject: item.subject,
        issuedBefore,
        expiresAt: Math.ceil(issuedBefore + longestSeconds),
        ...(item.issuer === undefined ? {} : { issuer: item.issuer }),
      };
    }
    case "issuer": {
      const issuedBefore = issuedBeforeOf(item, nowSeconds);
      return {
        kind: "issuer",
        issuer: item.issuer,
        issuedBefore,
        expiresAt: Math.ceil(issuedBefore + longestSeconds),
      };
    }
    case "client":
      return { kind: "client", clientId: item.clientId, expiresAt: item.expiresAt ?? never };
    case "signing-key":
      return {
        kind: "signing-key",
        issuer: item.issuer,
        kid: item.kid,
        expiresAt: item.expiresAt ?? never,
      };
    case "api-key":
      return { kind: "api-key", key: item.id, expiresAt: never };
    case "address":
      return {
        kind: "address",
        cidr: blockOf(item.cidr, item.force === true),
        expiresAt: item.expiresAt ?? never,
      };
    default:
      return item satisfies never;
  }
}

function issuedBeforeOf(
  { issuedBefore }: { readonly issuedBefore?: number | undefined },
  nowSeconds: number,
): number {
  if (issuedBefore === undefined) return Math.floor(nowSeconds);
  if (issuedBefore > nowSeconds + aheadSeconds)
    throw senseless(
      "/issuedBefore",
      "it is in the future: tokens that do not exist yet cannot be revoked",
    );
  return issuedBefore;
}

/** Longer prefixes are blocked as they are; shorter ones are more than anybody means by accident. */
const shortestPrefix = { 32: 8, 128: 16 } as const;

function blockOf(text: string, force: boolean): Cidr {
  let cidr: Cidr;
  try {
    cidr = cidrOf(text);
  } catch (error) {
    throw senseless("/cidr", messageOf(error));
  }
  const { length, of } = prefixOf(cidr);
  if (length < shortestPrefix[of] && !force)
    throw senseless(
      "/cidr",
      `${cidr} is a large part of all addresses, yours perhaps among them: a prefix is at least /${shortestPrefix[of]}, or force: true says that it is meant`,
    );
  return cidr;
}

function senseless(pointer: string, message: string): Declined {
  return new Declined(422, "validation-failed", "The request does not validate", {
    errors: [{ pointer, message }],
  });
}

/** How long a token or a session can be in use at most. */
function longestLifeMs({ identity }: Config): Milliseconds {
  return Math.max(
    leastMarkMs,
    identity.sessions?.lifetime ?? 0,
    ...identity.issuers.map(
      ({ maxTokenLifetime, clockTolerance }) => maxTokenLifetime + clockTolerance,
    ),
  );
}
