import { Denial, Refusal } from "@tocsin/shared";
import { addressGroup } from "@tocsin/shared/contract";
import type { Permitted } from "../pipeline/exchange.ts";
import type { Stage } from "../pipeline/pipeline.ts";
import type { Route } from "../routing/route.ts";
import type { Census, Seat } from "../websocket/census.ts";
import { mayConnect } from "../websocket/origin.ts";

/**
 * Decides whether a request for a WebSocket becomes one: the handshake must be right, the page may connect, and the client has not
 * too many. A route without WebSockets serves it as a plain request (RFC 9110 §7.8).
 */
export function upgrade(census: Census): Stage<Permitted> {
  return (exchange, next) => {
    const { switching, route } = exchange;
    if (switching === undefined) return next(exchange);
    const policy = route.websocket;
    if (policy === undefined) {
      exchange.switching = undefined;
      return next(exchange);
    }
    if (switching.fault !== undefined) throw switching.fault;
    const { head, origin } = exchange;
    const hosts = [head.host, origin.trusted ? head.forwardedHost : undefined];
    if (!mayConnect({ origins: originsOf(head.passing), hosts }, policy.origins))
      throw new Denial("forbidden", "origin-not-allowed", {
        detail: "pages of this origin may not connect",
      });
    exchange.seat = seatOf(census, exchange, policy);
    return next(exchange);
  };
}

function seatOf(
  census: Census,
  { route, principal, clientAddress }: Permitted,
  { perPrincipal, perAddress }: NonNullable<Route["websocket"]>,
): Seat | undefined {
  const names: [string, number][] = [];
  // Counted for each route, because another one has another limit. What the client chose stands last: nobody can pass for another.
  if (perPrincipal !== undefined && principal.method !== "none")
    names.push([`${route.id}\n${principal.issuer}\n${principal.subject}`, perPrincipal]);
  if (perAddress !== undefined)
    names.push([`${route.id}\n${addressGroup(clientAddress)}`, perAddress]);
  if (names.length === 0) return undefined;
  const seat = census.enter(names);
  if (seat === undefined)
    throw new Refusal("quota-exceeded", { detail: "too many WebSockets at the same time" });
  return seat;
}

function originsOf(fields: readonly string[]): string[] {
  const origins: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2)
    if (fields[index]!.toLowerCase() === "origin") origins.push(fields[index + 1]!);
  return origins;
}
