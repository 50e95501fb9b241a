/** What it costs to ask 10,000 open streams again whether they may go on. */
import { systemClock } from "@tocsin/shared";
import { RevocationSet } from "@tocsin/shared/revocations";
import { doorOf } from "../proxy/src/streams/door.ts";
import { Standing } from "../proxy/src/streams/standing.ts";
import type { Stream } from "../proxy/src/streams/streams.ts";

const count = 10_000;
const rounds = 200;

function measure(revoked: number, all: boolean): { perLookMs: number; byTimeMs: number } {
  const set = new RevocationSet();
  const expiresAt = Date.now() / 1_000 + 36_000;
  for (let index = 0; index < revoked; index += 1)
    set.addToken(set.fingerprint("issuer", `revoked-${index}`), expiresAt);
  if (all) {
    set.addUser("somebody", undefined, 1, expiresAt);
    set.apply({ v: 1, id: "a", kind: "client", clientId: "c", expiresAt: 1e11, at: 1 }, 0);
    set.apply(
      { v: 1, id: "b", kind: "address", cidr: "203.0.113.0/24", expiresAt: 1e11, at: 1 },
      0,
    );
  }
  const open = new Set<Pick<Stream, "principal" | "clientAddress">>();
  for (let index = 0; index < count; index += 1)
    open.add({
      clientAddress: `192.0.${index >> 8}.${index & 255}`,
      principal: {
        method: "jwt",
        expiresAt,
        credential: {
          issuer: "issuer",
          subject: `user-${index}`,
          issuedAt: 1e9,
          jti: `live-${index}`,
          fingerprint: set.fingerprint("issuer", `live-${index}`),
          client: "web",
        },
      },
    });
  const standing = new Standing(set, systemClock, doorOf(set));
  const look = () => {
    let ending = 0;
    for (const { principal, clientAddress } of open)
      if (standing.of(principal, clientAddress) !== undefined) ending += 1;
    return ending;
  };
  const byTime = () => {
    let ending = 0;
    const { now } = standing;
    for (const { principal } of open)
      if (standing.byTime(principal, now) !== undefined) ending += 1;
    return ending;
  };
  const timed = (run: () => number) => {
    for (let round = 0; round < 20; round += 1) run();
    const times = Array.from({ length: rounds }, () => {
      const from = performance.now();
      if (run() !== 0) throw new Error("nothing of these is revoked");
      return performance.now() - from;
    });
    return times.toSorted((a, b) => a - b)[rounds / 2]!;
  };
  return { perLookMs: timed(look), byTimeMs: timed(byTime) };
}

const rows = [
  ["nothing revoked", 0, false],
  ["1,000,000 tokens", 1_000_000, false],
  ["1,000,000 tokens, a user, a client, a block", 1_000_000, true],
] as const;
console.table(
  rows.map(([what, revoked, all]) => {
    const { perLookMs, byTimeMs } = measure(revoked, all);
    return {
      revoked: what,
      "10,000 streams, ms": perLookMs.toFixed(2),
      "by time alone, ms": byTimeMs.toFixed(2),
    };
  }),
);
