import { addressSet } from "@tocsin/shared/contract";
import { expect, test } from "vitest";
import { clientAddress } from "./address.ts";

const trusted = addressSet(["10.0.0.0/8", "fd00::/8"]);
const client = (peer: string, forwardedFor?: string, forwarded?: string) =>
  clientAddress(peer, { forwardedFor, forwarded }, trusted);

test.each([
  [
    "a stranger is the client whatever it says",
    client("192.0.2.9", "1.1.1.1", "for=1.1.1.1"),
    "192.0.2.9",
  ],
  ["a trusted peer that says nothing is the client", client("10.0.0.1"), "10.0.0.1"],
  ["a trusted peer's word counts", client("10.0.0.1", "192.0.2.7"), "192.0.2.7"],
  [
    "the nearest stranger is the client",
    client("10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2"),
    "192.0.2.7",
  ],
  ["all trusted: the farthest", client("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3"],
  [
    "what is no address ends the search",
    client("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2"),
    "10.0.0.2",
  ],
  ["nonsense at once", client("10.0.0.1", "nonsense"), "10.0.0.1"],
  ["an empty list", client("10.0.0.1", ""), "10.0.0.1"],
  ["with a port", client("10.0.0.1", "192.0.2.7:4711"), "192.0.2.7"],
  ["IPv6", client("fd00::1", "2001:db8::7"), "2001:db8::7"],
  ["IPv6 with brackets and a port", client("fd00::1", "[2001:db8::7]:4711"), "2001:db8::7"],
  ["IPv4 in IPv6 form", client("10.0.0.1", "::ffff:192.0.2.7"), "192.0.2.7"],
  [
    "Forwarded",
    client("10.0.0.1", undefined, 'for=6.6.6.6, For="192.0.2.7:1";proto=https, for=10.0.0.2'),
    "192.0.2.7",
  ],
  [
    "Forwarded with IPv6",
    client("10.0.0.1", undefined, 'proto=http;for="[2001:db8::7]:4711"'),
    "2001:db8::7",
  ],
  ["Forwarded that hides", client("10.0.0.1", undefined, "for=6.6.6.6, for=_hidden"), "10.0.0.1"],
  ["Forwarded without for", client("10.0.0.1", undefined, "for=6.6.6.6, proto=http"), "10.0.0.1"],
  [
    "X-Forwarded-For goes before Forwarded",
    client("10.0.0.1", "192.0.2.7", "for=192.0.2.8"),
    "192.0.2.7",
  ],
])("%s", (_name, found, expected) => {
  expect(found).toBe(expected);
});
