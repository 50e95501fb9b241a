import { isIP } from "node:net";
import { unmapped } from "@tocsin/shared/contract";

/** What a peer that is believed says about who called it. */
export interface ClientClaims {
  readonly forwardedFor: string | undefined;
  readonly forwarded: string | undefined;
}

/**
 * The client's address: the first one, read from the nearest peer outwards, that is not a trusted proxy.
 *
 * `X-Forwarded-For` goes before `Forwarded` when both are there. Something that is not an address ends the search at the last one
 * that was: a trusted proxy vouches for what it saw, not for what it was told.
 */
export function clientAddress(
  peer: string,
  claims: ClientClaims,
  trusted: (address: string) => boolean,
): string {
  if (!trusted(peer)) return peer;
  const hops =
    claims.forwardedFor !== undefined
      ? claims.forwardedFor.split(",").map((hop) => addressOf(hop))
      : claims.forwarded === undefined
        ? []
        : claims.forwarded.split(",").map(forwardedFor);
  let client = peer;
  for (const hop of hops.toReversed()) {
    if (hop === undefined) return client;
    client = hop;
    if (!trusted(hop)) return client;
  }
  return client;
}

/** The `for` parameter of one element of `Forwarded` (RFC 7239 §4). */
function forwardedFor(element: string): string | undefined {
  for (const pair of element.split(";")) {
    const [name = "", value = ""] = pair.split("=", 2);
    if (name.trim().toLowerCase() === "for")
      return addressOf(value.trim().replace(/^"(.*)"$/, "$1"));
  }
  return undefined;
}

/** An address out of `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::1]:4711`; undefined for anything else (`unknown`, `_hidden`). */
function addressOf(text: string): string | undefined {
  const plain = text.trim();
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(plain)?.[1];
  const address = unmapped(
    bracketed ?? (/^[^:]*:\d{1,5}$/.test(plain) ? plain.slice(0, plain.indexOf(":")) : plain),
  );
  return isIP(address) === 0 ? undefined : address;
}
