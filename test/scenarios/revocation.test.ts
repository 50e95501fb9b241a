import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { soon } from "../harness/soon.ts";
import { modes, startGateway, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { issuer, issuerConfig, token } from "../harness/tokens.ts";

/** The same token with its last base64url character changed in bits that do not count, and with padding. */
function otherSpellings(text: string): string[] {
  const [header, payload, signature] = text.split(".") as [string, string, string];
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(signature.at(-1)!);
  // 32 bytes are 43 characters: the last one carries two bits that are not part of the signature.
  const twin = `${signature.slice(0, -1)}${alphabet[(last & ~0b11) | ((last + 1) & 0b11)]}`;
  return [
    `${header}.${payload}.${twin}`,
    `${text}=`,
    `${header}.${payload}.${signature}==`,
    `${header}=.${payload}.${signature}`,
  ];
}

describe.each(modes)("revocation, %s", (mode) => {
  let gateway: Gateway;
  let origin: Origin;
  beforeAll(async () => {
    origin = await startOrigin();
    gateway = await startGateway(mode, {
      config: `version: 1
environment: development
${issuerConfig}
services:
  users: { instances: [{ url: "${origin.url}" }] }
routes:
  - { id: users, match: { path: "/api/users/*" }, service: users, auth: required }
`,
    });
    const anyone = await token();
    await soon(async () => {
      for (const answer of await gateway.askAll("/api/users/1", { token: anyone }))
        expect(answer.status).toBe(200);
    });
  }, 60_000);
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
  });

  const statuses = async (text: string) =>
    (await gateway.askAll("/api/users/1", { token: text })).map((answer) => answer.status);
  const all = (status: number) => gateway.urls.map(() => status);

  test("a token that was revoked is refused on every proxy when the command returns, and the command shows the proof", async () => {
    const revoked = await token({ subject: "mallory" });
    const other = await token({ subject: "mallory" });
    expect(await statuses(revoked)).toEqual(all(200));
    const result = await gateway.tocsin("revoke", "token", revoked);
    expect(await statuses(revoked)).toEqual(all(401));
    expect(await statuses(other)).toEqual(all(200));
    expect(result.stderr).toBe("");
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(/^durable +revocations \d+ +[\d.]+ ms$/m);
    const count = gateway.urls.length;
    expect(result.stdout).toMatch(
      new RegExp(`^applied +${count}/${count} prox(y|ies) +[\\d.]+ ms`, "m"),
    );
    const answer = await gateway.ask("/api/users/1", { token: revoked });
    expect(answer.json()).toMatchObject({ code: "credential-revoked" });
    expect(answer.headers["www-authenticate"]).toContain('error="invalid_token"');
    for (const spelling of otherSpellings(revoked))
      expect(await statuses(spelling)).toEqual(all(401));
  });

  test("the JSON of an order carries the same facts", async () => {
    const result = await gateway.tocsin(
      "revoke",
      "token",
      "--jti",
      "some-jti",
      "--issuer",
      issuer,
      "--json",
    );
    expect(result.code).toBe(0);
    const count = gateway.urls.length;
    expect(JSON.parse(result.stdout)).toMatchObject({
      operation: expect.any(String),
      sequence: expect.any(Number),
      epoch: expect.any(String),
      durableMs: expect.any(Number),
      applied: { expected: count, count, ms: expect.any(Number), missing: [] },
    });
  });

  test("revoking a user ends every token issued until now, on every proxy, and lets new ones in", async () => {
    const now = Math.floor(Date.now() / 1000);
    const older = await token({ subject: "bob", issuedAt: now - 60 });
    const justNow = await token({ subject: "bob", issuedAt: now });
    const somebodyElse = await token({ subject: "bobby", issuedAt: now - 60 });
    expect(await statuses(older)).toEqual(all(200));
    const result = await gateway.tocsin("revoke", "user", "bob", "--reason", "left");
    expect(result.code).toBe(0);
    expect(await statuses(older)).toEqual(all(401));
    expect(await statuses(justNow)).toEqual(all(401));
    expect(await statuses(somebodyElse)).toEqual(all(200));
    const later = await token({ subject: "bob", issuedAt: Math.floor(Date.now() / 1000) + 1 });
    expect(await statuses(later)).toEqual(all(200));
  });

  test("revocations hold after every process was killed and started again", async () => {
    const byToken = await token({ subject: "carol" });
    const byUser = await token({ subject: "dave" });
    expect((await gateway.tocsin("revoke", "token", byToken)).code).toBe(0);
    expect((await gateway.tocsin("revoke", "user", "dave")).code).toBe(0);
    await gateway.restartAll("SIGKILL");
    const good = await token();
    await soon(async () => expect(await statuses(good)).toEqual(all(200)), 10_000, 50);
    expect(await statuses(byToken)).toEqual(all(401));
    expect(await statuses(byUser)).toEqual(all(401));
    const list = await gateway.admin("GET", "/v1/revocations");
    expect(list.text).toContain("dave");
    expect(list.text).not.toContain(byToken);
  }, 40_000);

  test("with the control plane killed traffic goes on and revocations hold; restarted, orders work within 2 s", async () => {
    const revoked = await token({ subject: "erin" });
    const good = await token();
    expect((await gateway.tocsin("revoke", "token", revoked)).code).toBe(0);
    if (gateway.mode === "cluster") {
      const ended = gateway.controlPlane().end("SIGKILL");
      for (let count = 0; count < 20; count++) {
        expect(await statuses(good)).toEqual(all(200));
        expect(await statuses(revoked)).toEqual(all(401));
      }
      await ended;
    }
    await gateway.restartControlPlane("SIGKILL");
    const another = await token({ subject: "frank" });
    await soon(async () => expect(await statuses(another)).toEqual(all(200)), 5_000, 50);
    await soon(
      async () =>
        expect((await gateway.tocsin("revoke", "token", another, "--wait", "1s")).code).toBe(0),
      2_000,
      50,
    );
    expect(await statuses(another)).toEqual(all(401));
    expect(await statuses(revoked)).toEqual(all(401));
  }, 40_000);
});
