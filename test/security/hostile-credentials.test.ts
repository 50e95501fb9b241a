/** Hostile tokens through the whole gateway: each gets the refusal that it should, soon, and nobody else hears of it. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  hmac,
  signed,
  signingKey,
  startKeyServer,
  type KeyServer,
} from "../../proxy/src/identity/testing/issuer.ts";
import { startGateway, modes, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { attacks, goodToken, type Attack, type Kit } from "./hostile-tokens.ts";

const secret = "the secret that the shop and the gateway share";
const algorithms = ["RS256", "PS256", "ES256", "EdDSA", "HS256"] as const;
/** In which an answer is there, in milliseconds. */
const boundMs = 50;

/** Somebody whom nothing of the gateway may ever ask. */
async function startCanary() {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get asked() {
      return asked;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe.each(modes)("hostile tokens, %s", (mode) => {
  const stack = new AsyncDisposableStack();
  let gateway: Gateway;
  let origin: Origin;
  let canary: Awaited<ReturnType<typeof startCanary>>;
  let kits: readonly Kit[];
  const keyServers: KeyServer[] = [];
  afterAll(() => stack.disposeAsync());

  beforeAll(async () => {
    origin = stack.use(await startOrigin());
    canary = stack.use(await startCanary());
    const issuers: object[] = [];
    kits = await Promise.all(
      algorithms.map(async (algorithm): Promise<Kit> => {
        const issuer = `https://${algorithm.toLowerCase()}.example`;
        const stranger = signingKey("ES256", "key-1");
        const common = {
          algorithm,
          issuer,
          kid: "key-1",
          ownJwk: stranger.jwk,
          canary: canary.url,
        };
        if (algorithm === "HS256") {
          issuers.push({ issuer, audience: "api", algorithms: [algorithm], secret });
          return {
            ...common,
            hmac: (bytes) => hmac(bytes),
            sign: hmac(secret),
            forge: hmac("a secret that somebody made up for the occasion"),
            publicTexts: [issuer, "key-1", "api"],
          };
        }
        const key = signingKey(algorithm, "key-1");
        const forged = signingKey(algorithm, "key-1");
        const server = stack.use(await startKeyServer(key.jwk));
        keyServers.push(server);
        issuers.push({
          issuer,
          audience: "api",
          algorithms: [algorithm],
          jwks: { url: server.url },
        });
        return {
          ...common,
          hmac: (bytes) => hmac(bytes),
          sign: signed(key.privateKey, algorithm),
          forge: signed(forged.privateKey, algorithm),
          publicTexts: [
            key.publicKey.export({ type: "spki", format: "pem" }),
            key.publicKey.export({ type: "spki", format: "der" }),
            JSON.stringify(key.jwk),
          ],
        };
      }),
    );
    gateway = stack.use(
      await startGateway(mode, {
        config: JSON.stringify({
          version: 1,
          environment: "development",
          identity: { issuers },
          services: { users: { instances: [{ url: origin.url }] } },
          routes: ["required", "optional"].map((auth) => ({
            id: auth,
            match: { path: `/${auth}` },
            service: "users",
            auth,
          })),
        }),
      }),
    );
    for (const kit of kits)
      await soon(async () => {
        const answers = await gateway.askAll("/required", { token: goodToken(kit) });
        for (const { status } of answers) expect(status).toBe(200);
      });
  }, 60_000);

  const all = (): Attack[] => kits.flatMap(attacks);

  test("each is refused on each proxy with the code that it should have, and the service hears of none", async () => {
    const list = all();
    expect(list.length).toBeGreaterThanOrEqual(200);
    // The first token with an unknown kid has each issuer asked once; then nobody is.
    for (const kit of kits)
      await gateway.askAll("/required", { token: goodToken(kit, {}, { kid: "other" }) });
    const before = { seen: origin.seen.length, fetches: keyServers.map(({ fetches }) => fetches) };
    const wrong: string[] = [];
    const slow: number[] = [];
    for (const [proxy] of gateway.urls.entries())
      for (const path of ["/required", "/optional"])
        for (const { what, token, code = "credential-invalid" } of list) {
          const from = performance.now();
          const answer = await gateway.ask(path, { proxy, token });
          slow.push(performance.now() - from);
          const found = answer.status === 401 ? (answer.json()["code"] as string) : answer.status;
          const challenge = String(answer.headers["www-authenticate"]);
          if (found !== code || !challenge.includes('error="invalid_token"'))
            wrong.push(`${what} on ${path}: ${found} ${challenge}`);
        }
    expect(wrong).toEqual([]);
    expect(origin.seen.length).toBe(before.seen);
    expect(canary.asked).toBe(0);
    expect(keyServers.map(({ fetches }) => fetches)).toEqual(before.fetches);
    slow.sort((a, b) => a - b);
    const slowest = slow.at(-1)!;
    process.stdout.write(
      `${list.length} hostile tokens, ${slow.length} answers, ${mode}: median ${slow[slow.length >> 1]!.toFixed(1)} ms, slowest ${slowest.toFixed(1)} ms\n`,
    );
    // One pause of a machine that is shared is not the gateway's.
    expect(slow.at(-3)!).toBeLessThan(boundMs);
  }, 120_000);

  test("no other spelling of a revoked token is let in", async () => {
    for (const kit of kits) {
      const token = goodToken(kit, { jti: `revoked-${kit.algorithm}` });
      expect((await gateway.ask("/required", { token })).status).toBe(200);
      expect((await gateway.admin("POST", "/v1/revocations", { token })).status).toBe(200);
      const [header = "", claims = "", signature = ""] = token.split(".");
      const spellings = [
        `Bearer ${token}`,
        `bearer ${token}`,
        `BEARER  ${token}`,
        `Bearer ${token}=`,
        `Bearer ${header}=.${claims}.${signature}`,
        `Bearer ${header}.${claims}==.${signature}`,
        `Bearer ${header}.${claims}.${signature}A`,
        `Bearer ${token.replaceAll("-", "+").replaceAll("_", "/")}`,
        // The same token made anew: another header, other claims beside, another signature.
        `Bearer ${goodToken(kit, { jti: `revoked-${kit.algorithm}`, extra: 1 })}`,
        `Bearer ${goodToken(kit, { jti: `revoked-${kit.algorithm}` }, { typ: "at+jwt" })}`,
      ];
      for (const authorization of spellings)
        for (const answer of await gateway.askAll("/required", { headers: { authorization } }))
          expect([authorization.slice(0, 20), answer.status]).toEqual([
            authorization.slice(0, 20),
            401,
          ]);
    }
  }, 60_000);

  test("after all of them a good token is let in", async () => {
    for (const kit of kits)
      for (const { status } of await gateway.askAll("/required", { token: goodToken(kit) }))
        expect(status).toBe(200);
  });
});
