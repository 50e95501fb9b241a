/** What a call of the admin API came to, gathered while it is answered, and written into the audit before the answer leaves. */
import type { AuditTarget } from "@tocsin/shared/contract";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { Audit, AuditEvent } from "../audit/audit.ts";
import { harmlessTarget, harmlessText } from "../audit/harmless.ts";
import { orderFacts } from "../audit/order-facts.ts";
import type { Declined } from "../problem.ts";
import type { Operation } from "./operations.ts";

/** What is known of one call so far. */
export interface Notes {
  /** The token was right. */
  admitted: boolean;
  target?: AuditTarget;
  reason?: string;
  /** Why it is not carried out. */
  declined?: Declined;
  /** What it is answered with. */
  answer?: unknown;
}

/** What a route says of itself: it is known however early a call is refused. */
export interface RouteConfig {
  readonly operation: Operation;
}

/** How many calls like it are written one by one in a minute, where it is not an order of an operator. */
const budgets = { stranger: 5, often: 20 };

export interface Trail {
  of(request: FastifyRequest): Notes;
  /** Resolves when it is written down, or that takes too long. */
  end(request: FastifyRequest, status: number): Promise<void>;
}

/** @param fingerprint names the admin token without telling it */
export function createTrail(audit: Audit, fingerprint: string): Trail {
  const calls = new WeakMap<FastifyRequest, Notes>();
  const of = (request: FastifyRequest) => {
    const known = calls.get(request) ?? { admitted: false };
    calls.set(request, known);
    return known;
  };
  return {
    of,
    async end(request, status) {
      const notes = of(request);
      const { admitted, declined } = notes;
      const operation = operationOf(request);
      const isOrder = operation?.audited !== undefined && !isTrial(request);
      if (declined === undefined && !isOrder) return;
      const who = admitted ? `admin:${fingerprint}` : "unknown";
      const budget = !admitted
        ? budgets.stranger
        : isOrder && operation.audited === true
          ? undefined
          : budgets.often;
      await audit.write(eventOf(who, request, status, notes), budget);
    },
  };
}

function eventOf(
  who: string,
  request: FastifyRequest,
  status: number,
  { target = {}, reason, declined, answer }: Notes,
): AuditEvent {
  const operation = operationOf(request);
  const agent = request.headers["user-agent"];
  return {
    who,
    via: "http",
    from: request.ip,
    ...(agent === undefined ? {} : { agent: harmlessText(agent) }),
    request: request.id,
    method: request.method,
    path: operation?.path ?? placeOf(request.url),
    action: operation?.id ?? "unknown",
    ...harmlessTarget(target),
    outcome: status < 400 ? "done" : status < 500 ? "refused" : "failed",
    status,
    ...(declined === undefined ? {} : { code: declined.code }),
    ...(declined?.operation === undefined ? {} : { operation: declined.operation }),
    ...orderFacts(answer),
    ...(reason === undefined ? {} : { reason: harmlessText(reason) }),
  };
}

/** Undefined where no route was found, or looked for. */
function operationOf({ routeOptions }: FastifyRequest): Operation | undefined {
  const config: Partial<RouteConfig> | undefined = routeOptions?.config as object | undefined;
  return config?.operation;
}

function isTrial({ query }: FastifyRequest): boolean {
  return z.object({ dryRun: z.literal("true") }).safeParse(query).success;
}

/** The beginning of a path that is none of ours: the rest may be anything, a secret too. */
function placeOf(url: string): string {
  const known = /^(?:\/[a-z-]{1,20}|\/v\d){0,2}(?=\/|\?|$)/.exec(url)?.[0] ?? "";
  return known.length < url.split("?", 1)[0]!.length ? `${known}/…` : known || "/";
}
