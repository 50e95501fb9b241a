/** A gateway with clients and a writer at work, for something to go wrong in. */
import { appendFileSync } from "node:fs";
import { SignJWT } from "jose";
import { expect } from "vitest";
import { convergence, inForce } from "../harness/convergence.ts";
import { startGateway, type Gateway, type GatewayOptions } from "../harness/gateway.ts";
import {
  Observer,
  type Observation,
  type ObserverOptions,
  type Report,
} from "../harness/observer.ts";
import { startOrigin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { audience, issuer, secret, token, type TokenClaims } from "../harness/tokens.ts";
import { Writer } from "../harness/writer.ts";

/** From the end of any single fault until every proxy has applied the head. */
export const convergesWithinMs = 2_000;
/** From the end of any single fault until every acknowledged revocation is in force. */
export const revokedWithinMs = 1_000;
/** How old the revocations may be on the route `strict`. */
export const strictStalenessMs = 2_000;

/** Two routes to one service: `users` puts up with old knowledge for a minute and goes on then, `strict` denies after 2 s. */
export function configFor(url: string) {
  const users = { service: "users", auth: "required" };
  return {
    version: 1,
    environment: "development",
    identity: { issuers: [{ issuer, audience, algorithms: ["HS256"], secret }] },
    services: { users: { instances: [{ url }], health: { path: "/health", interval: "500ms" } } },
    routes: [
      { id: "users", match: { path: "/api/users/*" }, ...users },
      {
        id: "strict",
        match: { path: "/api/strict/*" },
        ...users,
        revocation: { strict: true, maxStaleness: `${strictStalenessMs}ms` },
      },
    ],
  };
}

/** A token in the name of the issuer that the issuer never gave. */
export function forged(): Promise<string> {
  return new SignJWT({ roles: ["admin"] })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject("alice")
    .setJti("forged")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode("another secret that is long enough for HS256"));
}

export interface Fleet extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly good: string;
  /** Clients at these proxies, and a writer whose orders they watch. */
  watch(options?: Pick<ObserverOptions, "proxies" | "slackMs" | "perSecond">): Promise<Watch>;
}

export interface Watch extends AsyncDisposable {
  readonly observer: Observer;
  readonly writer: Writer;
  /** The fault has just ended: everything that has to hold after it. Ends the watch. */
  recovered(options: RecoveryOptions): Promise<Recovered>;
}

export interface RecoveryOptions {
  /** What happened, for the figures. */
  readonly fault: string;
  /** When the fault ended, by `performance.now()`. Default: now. */
  readonly since?: number;
  /** A proxy that was never touched. */
  readonly witness?: string;
  /** A new order, given at the end of the fault, may take so long. Default {@link revokedWithinMs}. */
  readonly orderWithinMs?: number;
}

export interface Recovered extends Report {
  readonly convergedMs: number;
  /** The last ones that were acknowledged before the end of the fault: in force everywhere so much later. */
  readonly revokedMs: number;
  /** A new order, given at the end of the fault: in force everywhere. */
  readonly orderMs: number;
  readonly acknowledged: number;
  readonly refused: number;
}

export interface FleetOptions extends Omit<GatewayOptions, "config"> {
  /** What the tokens say. Default: of now, for an hour. */
  readonly claims?: TokenClaims;
  /** Adds what is no process of its own. What is started is disposed with the stack. */
  readonly extend?: (gateway: Gateway, stack: AsyncDisposableStack) => Promise<Gateway>;
}

export async function startFleet({
  extend,
  claims = {},
  ...options
}: FleetOptions = {}): Promise<Fleet> {
  const stack = new AsyncDisposableStack();
  const origin = stack.use(await startOrigin());
  const config = configFor(origin.url);
  let gateway: Gateway;
  try {
    gateway = stack.use(
      await startGateway("cluster", { relays: true, ...options, config: JSON.stringify(config) }),
    );
    if (extend !== undefined) gateway = await extend(gateway, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  const good = await token(claims);
  const stranger = await forged();
  await soon(async () => {
    for (const { status } of await gateway.askAll("/api/strict/1", { token: good }))
      expect(status).toBe(200);
  }, 15_000);
  // Orders count on proxies that were heard: each has to be, once.
  await soon(async () => {
    const answer = (await gateway.admin("GET", "/v1/proxies")).json() as unknown;
    const live = (answer as { proxies: { live: boolean }[] }).proxies.filter((proxy) => proxy.live);
    expect(live).toHaveLength(gateway.names.proxies.length);
  }, 15_000);

  return {
    gateway,
    good,
    async watch({ proxies = gateway.names.proxies, ...more } = {}) {
      const writer = new Writer({ gateway, config, good, claims });
      const first = await writer.revoke(5_000);
      expect(first).toMatchObject({ outcome: "acknowledged" });
      const observer = new Observer({
        gateway,
        ledger: writer.ledger,
        good,
        stranger,
        proxies,
        strictStalenessMs,
        ...more,
      });
      const stop = async () => {
        await writer.stop();
        await observer.stop();
      };
      return {
        observer,
        writer,
        async recovered({
          fault,
          since = performance.now(),
          witness,
          orderWithinMs = revokedWithinMs,
        }) {
          const at = { since, proxies, ...(witness === undefined ? {} : { witness }) };
          const known = writer.ledger.of("acknowledged", "revocation").slice(-50);
          const order = async () => {
            const given = await soon(async () => {
              const tried = await writer.revoke(0);
              expect(tried).toMatchObject({ outcome: "acknowledged" });
              return tried;
            }, 20_000);
            return inForce(gateway, [given], at);
          };
          // No more orders but this one: the head may stand still.
          const stopped = writer.stop();
          const [convergedMs, revokedMs, orderMs] = await Promise.all([
            convergence(gateway, at),
            known.length === 0 ? 0 : inForce(gateway, known, at),
            order(),
          ]);
          await stopped;
          await writer.stop();
          // Orders that were on their way all the time may have arrived since.
          await convergence(gateway, { ...at, since: performance.now() });
          writer.ledger.settledAt = performance.now();
          // Every kind of request at every proxy, now that nothing is excused any more.
          await new Promise((resolve) => setTimeout(resolve, 300));
          const findings = await writer.findings(proxies);
          await observer.stop();
          const report = observer.assertClean();
          expect(findings).toEqual({ lost: [], halfDone: [] });
          const recovered = {
            ...report,
            convergedMs,
            revokedMs,
            orderMs,
            acknowledged: writer.ledger.of("acknowledged").length,
            refused: writer.ledger.of("refused").length,
          };
          note(fault, recovered);
          expect(convergedMs).toBeLessThan(convergesWithinMs);
          expect(revokedMs).toBeLessThan(revokedWithinMs);
          expect(orderMs).toBeLessThan(orderWithinMs);
          return recovered;
        },
        [Symbol.asyncDispose]: stop,
      };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** What the good token got on the strict route, between two moments. */
export function onStrict(
  observer: Observer,
  { from, to = Infinity, proxy }: { from: number; to?: number; proxy?: string },
): Observation[] {
  return observer.observations.filter(
    ({ at, tookMs, route, who, proxy: name }) =>
      route === "strict" &&
      who === "good" &&
      at >= from &&
      at + tookMs <= to &&
      (proxy === undefined || name === proxy),
  );
}

/** One line of figures for each fault, where the environment names a file for them. */
export function note(fault: string, figures: Readonly<Record<string, unknown>>): void {
  const file = process.env["TOCSIN_FAULT_FIGURES"];
  if (file === undefined) return;
  const short = Object.entries(figures).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.length : typeof value === "number" ? Math.round(value) : value,
  ]);
  appendFileSync(file, `${JSON.stringify({ fault, ...Object.fromEntries(short) })}\n`);
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
