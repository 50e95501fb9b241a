import type { Clock, Milliseconds } from "@tocsin/shared";
import {
  protocolVersion,
  Revocation,
  type Config,
  type RevocationItem,
} from "@tocsin/shared/contract";
import type { OperationId } from "@tocsin/shared/journal";
import { Declined } from "../problem.ts";
import { check } from "../read-body.ts";
import { contentOf, revocationId } from "./operation.ts";

/** A revocation as it was ordered, its token reduced to what identifies it. */
export type ReducedItem = Exclude<RevocationItem, { token: string }>;

/** What a mark on a user outlives at least, whatever the issuers say, in milliseconds. */
const leastMarkMs: Milliseconds = 24 * 3_600_000;
/** How far the clock of the one who gives an order may be ahead, in seconds. */
const aheadSeconds = 300;

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
  config: Config,
  clock: Clock,
): Revocation {
  const nowSeconds = clock.wall() / 1000;
  const longestSeconds = longestLifeMs(config) / 1000;
  const base = {
    v: protocolVersion,
    id: revocationId(operation, many?.place, contentOf(item) + (many?.partOf ?? "")),
    ...(item.reason === undefined ? {} : { reason: item.reason }),
  } as const;
  switch (item.kind) {
    case "token":
      return check(Revocation, {
        ...base,
        kind: "token",
        issuer: item.issuer,
        jti: item.jti,
        expiresAt: item.expiresAt ?? Math.ceil(nowSeconds + longestSeconds),
      });
    case "user": {
      const issuedBefore = item.issuedBefore ?? Math.floor(nowSeconds);
      if (issuedBefore > nowSeconds + aheadSeconds) {
        throw new Declined(422, "validation-failed", "The request does not validate", {
          errors: [
            {
              pointer: "/issuedBefore",
              message: "it is in the future: tokens that do not exist yet cannot be revoked",
            },
          ],
        });
      }
      return check(Revocation, {
        ...base,
        kind: "user",
        subject: item.subject,
        issuedBefore,
        expiresAt: Math.ceil(issuedBefore + longestSeconds),
        ...(item.issuer === undefined ? {} : { issuer: item.issuer }),
      });
    }
    case "session":
      return check(Revocation, {
        ...base,
        kind: "session",
        sid: item.sid,
        expiresAt: item.expiresAt ?? Math.ceil(nowSeconds + longestSeconds),
      });
    default:
      return item satisfies never;
  }
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
