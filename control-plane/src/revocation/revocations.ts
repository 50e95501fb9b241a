/** Taking credentials back: orders into the revocations journal. */
import { createHash, randomUUID } from "node:crypto";
import type { Clock, Log, Milliseconds } from "@tocsin/shared";
import {
  protocolVersion,
  type OrderAnswer,
  type RevocationEntry,
  type RevocationOrder,
  type RevocationView,
} from "@tocsin/shared/contract";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import { Declined } from "../problem.ts";
import type { Orders } from "../sync/orders.ts";
import type { State } from "../sync/state.ts";
import { TokenReader } from "./token.ts";

/** What a mark on a user outlives at least, whatever the issuers say, in milliseconds. */
const leastMarkMs: Milliseconds = 24 * 3_600_000;

export interface RevocationsOptions {
  readonly state: State;
  readonly orders: Orders;
  readonly config: CurrentConfig;
  readonly clock: Clock;
  readonly log: Log;
}

export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #tokens: TokenReader;

  constructor(options: RevocationsOptions) {
    this.#options = options;
    this.#tokens = new TokenReader(options.clock, options.log);
  }

  /** @throws Declined when the order makes no sense; as {@link Orders.place} */
  async revoke(order: RevocationOrder, waitMs: Milliseconds): Promise<OrderAnswer> {
    const operation = order.operation ?? randomUUID();
    const entry = await this.#entryOf(order, operation);
    return this.#options.orders.place({
      journal: "revocations",
      entry: { key: entry.kind, body: JSON.stringify(entry) },
      operation,
      waitMs,
    });
  }

  list(): RevocationView[] {
    return this.#options.state.revocations.values().map(({ value, recorded }) => {
      const { id, kind, expiresAt, reason } = value;
      const what =
        value.kind === "token"
          ? { issuer: value.issuer, jti: value.jti }
          : {
              subject: value.subject,
              issuedBefore: value.issuedBefore,
              ...(value.issuer === undefined ? {} : { issuer: value.issuer }),
            };
      return {
        id,
        kind,
        sequence: recorded.sequence,
        expiresAt,
        ...what,
        ...(reason === undefined ? {} : { reason }),
      };
    });
  }

  async #entryOf(order: RevocationOrder, operation: string): Promise<RevocationEntry> {
    const { clock } = this.#options;
    const config = this.#options.config.now();
    const nowSeconds = clock.wall() / 1000;
    const longestSeconds =
      Math.max(
        leastMarkMs,
        ...config.identity.issuers.map(
          ({ maxTokenLifetime, clockTolerance }) => maxTokenLifetime + clockTolerance,
        ),
      ) / 1000;
    const base = {
      v: protocolVersion,
      // The same operation is the same revocation.
      id: createHash("sha256").update(operation).digest("base64url").slice(0, 16),
      ...(order.reason === undefined ? {} : { reason: order.reason }),
    } as const;
    if ("token" in order)
      return { ...base, kind: "token", ...(await this.#tokens.read(order.token, config)) };
    switch (order.kind) {
      case "token":
        return {
          ...base,
          kind: "token",
          issuer: order.issuer,
          jti: order.jti,
          expiresAt: order.expiresAt ?? Math.ceil(nowSeconds + longestSeconds),
        };
      case "user": {
        const issuedBefore = order.issuedBefore ?? Math.floor(nowSeconds);
        if (issuedBefore > nowSeconds + 300) {
          throw new Declined(422, "validation-failed", "The request does not validate", {
            errors: [
              {
                pointer: "/issuedBefore",
                message: "it is in the future: tokens that do not exist yet cannot be revoked",
              },
            ],
          });
        }
        return {
          ...base,
          kind: "user",
          subject: order.subject,
          issuedBefore,
          expiresAt: Math.ceil(issuedBefore + longestSeconds),
          ...(order.issuer === undefined ? {} : { issuer: order.issuer }),
        };
      }
      default:
        return order satisfies never;
    }
  }
}
