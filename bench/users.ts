/**
 * What looking up whether a user is active costs a request, in this process, when the answer is known.
 *
 *   node bench/users.ts
 */
import { silentLog, systemClock, systemRandom } from "@tocsin/shared";
import { UserPolicy, type AuthPolicy } from "@tocsin/shared/contract";
import { Invalidations } from "@tocsin/shared/invalidations";
import { RevocationSet } from "@tocsin/shared/revocations";
import type { IdentifiedPrincipal } from "../proxy/src/identity/principal.ts";
import { Users } from "../proxy/src/identity/users/users.ts";

const rounds = 7;
const requests = 1_000_000;
const userCount = 10_000;
const auth: AuthPolicy = { mode: "required" };

const principals = Array.from({ length: userCount }, (_, index): IdentifiedPrincipal => {
  const subject = `auth0|${index.toString(36).padStart(24, "0")}`;
  return {
    method: "jwt",
    subject,
    issuer: "https://auth.example",
    roles: ["user"],
    scopes: [],
    expiresAt: 2_000_000_000,
    credential: {
      issuer: "https://auth.example",
      subject,
      issuedAt: 1_700_000_000,
      jti: undefined,
      fingerprint: undefined,
    },
    headers: ["X-Auth-Method", "jwt", "X-User-ID", subject],
  };
});

async function usersWith(answer: object | undefined, path: string) {
  const invalidations = new Invalidations();
  const counts = { cached: 0 };
  const users = new Users({
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    invalidations,
    revocations: new RevocationSet(),
    invalidationsMs: () => 500,
    onLookup: (outcome) => {
      if (outcome === "cached") counts.cached += 1;
    },
  });
  const body = Buffer.from(JSON.stringify(answer ?? {}));
  users.configure(
    answer === undefined ? undefined : UserPolicy.parse({ service: "users", path }),
    () => Promise.resolve({ status: 200, body }),
  );
  for (const principal of principals) await users.check(principal, auth);
  return { users, invalidations, counts };
}

/** Nanoseconds a request: the median round. */
function measure(run: (principal: IdentifiedPrincipal, request: number) => unknown): number {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    for (let request = 0; request < requests; request += 1)
      run(principals[(request * 7919) % userCount]!, request);
    times.push(((performance.now() - start) * 1e6) / requests);
  }
  return times.toSorted((one, other) => one - other)[rounds >> 1]!;
}

function report(name: string, nanoseconds: number): void {
  console.log(`${name.padEnd(58)} ${nanoseconds.toFixed(0).padStart(5)} ns`);
}

const plain = "/internal/users/{subject}";
const loop = measure((principal) => principal.subject.length);
report("the loop alone", loop);
const off = await usersWith(undefined, plain);
report("no identity.users", measure((principal) => off.users.check(principal, auth)) - loop);
const active = await usersWith({ active: true }, plain);
report(
  "known, no roles of its own",
  measure((principal) => active.users.check(principal, auth)) - loop,
);
report("known, one user", measure(() => active.users.check(principals[0]!, auth)) - loop);
const roles = await usersWith({ active: true, roles: ["admin"] }, plain);
report("known, with roles", measure((principal) => roles.users.check(principal, auth)) - loop);
const issuer = await usersWith({ active: true }, "/internal/users/{issuer}/{subject}");
report("known, by issuer too", measure((principal) => issuer.users.check(principal, auth)) - loop);
report(
  "known, somebody else is invalidated before each request",
  measure((principal, request) => {
    active.invalidations.forgetUser(`other-${request % 1_000}`);
    return active.users.check(principal, auth);
  }) - loop,
);
if (active.counts.cached !== 3 * rounds * requests || off.counts.cached !== 0)
  throw new Error("somebody was asked");
