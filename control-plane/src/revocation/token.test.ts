import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestNode } from "../testing/node.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const secret = "a secret that is long enough for HS256";
const shared = `version: 1\nidentity: { issuers: [{ issuer: me, audience: us, algorithms: [HS256], secret: "${secret}" }] }\n`;
const now = () => Math.floor(Date.now() / 1000);

const hs256 = (claims: Record<string, unknown>, key = secret) =>
  new SignJWT({ iss: "me", aud: "us", sub: "alice", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(key));

describe("a token of a shared secret", () => {
  const revoke = async (token: string) => {
    const node = stack.use(await startTestNode({ source: shared }));
    const answer = await node.call("POST", "/v1/revocations?wait=0", { token });
    return { node, answer, list: (await node.call("GET", "/v1/revocations")).json() };
  };

  test("is reduced to issuer, jti and expiry; the rest of it is nowhere", async () => {
    const exp = now() + 60;
    const token = await hs256({ jti: "one", exp });
    const { node, answer, list } = await revoke(token);
    expect(answer.status).toBe(202);
    expect(list["revocations"]).toMatchObject([
      { kind: "token", issuer: "me", jti: "one", expiresAt: exp },
    ]);
    const signature = token.split(".")[2]!;
    expect(JSON.stringify([list, node.lines])).not.toContain(signature);
  });

  test.each([
    ["has expired", { jti: "one", exp: 1 }, "token-expired", /already/],
    ["has no jti", { exp: 99_999_999_999 }, "token-not-usable", /revoke the user/],
    ["never expires", { jti: "one" }, "token-not-usable", /no exp/],
    ["is of another issuer", { iss: "you", jti: "one" }, "token-not-usable", /issuer/],
  ])("that %s is refused, and told why", async (_what, claims, code, words) => {
    const { answer, list } = await revoke(await hs256(claims));
    expect(answer.json()).toMatchObject({ status: 422, code });
    expect(answer.text).toMatch(words);
    expect(list["revocations"]).toEqual([]);
  });

  test("that somebody else signed is refused: nobody may end sessions by making up their jti", async () => {
    const forged = await hs256({ jti: "one", exp: now() + 60 }, "x".repeat(32));
    const { answer, list } = await revoke(forged);
    expect(answer.json()).toMatchObject({ status: 422, code: "token-not-usable" });
    expect(list["revocations"]).toEqual([]);
  });
});

describe("a token of an issuer with a key set", () => {
  let token: string;
  let keySet: { keys: object[] };
  beforeAll(async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    keySet = { keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "ES256" }] };
    token = await new SignJWT({ iss: "them", aud: "us", jti: "one" })
      .setProtectedHeader({ alg: "ES256", kid: "k" })
      .setExpirationTime("5m")
      .sign(privateKey);
  });

  async function revokeWith(handler: RequestListener) {
    const server = createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
    stack.defer(() => server.closeAllConnections());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    const node = stack.use(
      await startTestNode({
        source: `version: 1\nidentity: { issuers: [{ issuer: them, audience: us, algorithms: [ES256], jwks: { url: "${url}" } }] }\n`,
      }),
    );
    return () => node.call("POST", "/v1/revocations?wait=0", { token });
  }

  test("is verified with it, and the set is fetched once", async () => {
    let fetched = 0;
    const revoke = await revokeWith((_request, response) => {
      fetched++;
      response.end(JSON.stringify(keySet));
    });
    expect((await revoke()).status).toBe(202);
    expect((await revoke()).status).toBe(202);
    expect(fetched).toBe(1);
  });

  test.each<[string, RequestListener]>([
    ["answers 500", (_request, response) => void response.writeHead(500).end()],
    ["answers rubbish", (_request, response) => void response.end("<html>")],
    ["answers something else", (_request, response) => void response.end('{"keys":1}')],
    [
      "sends us elsewhere",
      (_request, response) =>
        void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    ],
    ["breaks off", (request) => void request.socket.destroy()],
  ])(
    "that %s is our trouble, not the token's: 503, and what to do instead",
    async (_what, handler) => {
      const answer = await (await revokeWith(handler))();
      expect(answer.json()).toMatchObject({ status: 503, code: "issuer-unavailable" });
      expect(answer.text).toContain("by issuer and jti");
    },
  );

  test("that never ends is given up at its size, long before its time", async () => {
    let sent = 0;
    const revoke = await revokeWith((_request, response) => {
      const part = " ".repeat(65_536);
      const more = () => {
        if (response.destroyed) return;
        sent += part.length;
        response.write(part, () => setImmediate(more));
      };
      more();
    });
    expect((await revoke()).json()).toMatchObject({ status: 503, code: "issuer-unavailable" });
    // One mebibyte is read; the rest filled the buffers of two sockets.
    expect(sent).toBeLessThan(16 * 1024 * 1024);
  });

  test("that says nothing is given up after 3 s", async () => {
    const revoke = await revokeWith(() => {});
    const begun = performance.now();
    expect((await revoke()).json()).toMatchObject({ status: 503, code: "issuer-unavailable" });
    expect(performance.now() - begun).toBeLessThan(6_000);
  });
});
