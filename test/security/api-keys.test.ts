/** Hostile keys on raw sockets, through the whole gateway: each gets the refusal that it should, and the service sees none of them. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startGateway, modes, type Gateway } from "../harness/gateway.ts";
import { startOrigin, type Origin } from "../harness/origin.ts";
import { soon } from "../harness/soon.ts";
import { ambiguousKeys, wrongKeys } from "./hostile-keys.ts";

/** @returns status and code of the answer */
async function send(url: string, path: string, fields: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = [`GET ${path} HTTP/1.1`, "Host: api.example"];
  for (let index = 0; index + 1 < fields.length; index += 2)
    lines.push(`${fields[index]}: ${fields[index + 1]}`);
  // What is too long is answered before it was all sent, and the rest meets a closed connection.
  socket.on("error", () => {});
  socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  let answer = "";
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
    // A refusal ends so; of what was let in the head is enough.
    if (/^HTTP\/1\.1 200|\r\n\r\n[^]*\}$/.test(answer)) resolve();
  });
  socket.on("close", () => resolve());
  await promise;
  socket.destroy();
  const status = answer.slice(9, 12);
  return `${status} ${/"code":"([a-z-]+)"/.exec(answer)?.[1] ?? ""}`.trim();
}

describe.each(modes)("hostile API keys, %s", (mode) => {
  let gateway: Gateway;
  let origin: Origin;
  const keys = { good: "", expired: "", rotated: "", revoked: "" };
  const stack = new AsyncDisposableStack();

  beforeAll(async () => {
    origin = stack.use(await startOrigin());
    gateway = stack.use(
      await startGateway(mode, {
        config: `version: 1
environment: development
identity: { apiKeys: {} }
services:
  users: { instances: [{ url: "${origin.url}" }] }
routes:
  - { id: required, match: { path: /required }, service: users, auth: required }
  - { id: optional, match: { path: /optional }, service: users, auth: optional }
`,
      }),
    );
    const make = async (path: string, body: object) => {
      const answer = await gateway.admin("POST", path, body);
      const { id, key } = answer.json() as { id: string; key: string };
      return { id, key };
    };
    const second = Math.ceil(Date.now() / 1_000) + 1;
    keys.good = (await make("/v1/api-keys", { principal: "good" })).key;
    keys.expired = (await make("/v1/api-keys", { principal: "late", expiresAt: second })).key;
    const rotated = await make("/v1/api-keys", { principal: "rotated" });
    await make(`/v1/api-keys/${rotated.id}/rotate`, { overlap: "0s" });
    keys.rotated = rotated.key;
    const revoked = await make("/v1/api-keys", { principal: "revoked" });
    await gateway.admin("DELETE", `/v1/api-keys/${revoked.id}`);
    keys.revoked = revoked.key;
    for (const url of gateway.urls) {
      await soon(async () =>
        expect(await send(url, "/required", ["X-API-Key", keys.good])).toBe("200"),
      );
      await soon(async () =>
        expect(await send(url, "/required", ["X-API-Key", keys.expired])).toMatch(/^401/),
      );
    }
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  test("each is refused on each proxy with the code that it should have", async () => {
    const { good } = keys;
    const cases: [string, readonly string[], RegExp][] = [
      ...wrongKeys(good, good.slice(7, 19)).map(
        ([what, value]): [string, readonly string[], RegExp] => [
          what,
          ["X-API-Key", value],
          // Beyond the limit for all fields it is not looked at.
          value.length > 8_000 ? /^431/ : /^401 credential-invalid$/,
        ],
      ),
      ...ambiguousKeys(good).map(([what, fields]): [string, readonly string[], RegExp] => [
        what,
        fields,
        /^400 bad-request$/,
      ]),
      ["expired", ["X-API-Key", keys.expired], /^401 credential-expired$/],
      ["rotated away", ["X-API-Key", keys.rotated], /^401 credential-expired$/],
      ["revoked", ["X-API-Key", keys.revoked], /^401 credential-revoked$/],
      [
        "folded over two lines",
        ["X-API-Key", `${good.slice(0, 30)}\r\n ${good.slice(30)}`],
        /^40[01]/,
      ],
      ["with a NUL", ["X-API-Key", `${good}\u0000`], /^400/],
      ["a blank behind the name", ["X-API-Key ", good], /^400/],
    ];
    expect(cases.length).toBeGreaterThan(60);
    const before = origin.seen.length;
    const wrong: string[] = [];
    for (const url of gateway.urls)
      for (const path of ["/required", "/optional"])
        for (const [what, fields, expected] of cases) {
          const found = await send(url, path, fields);
          if (!expected.test(found)) wrong.push(`${path}, ${what}: ${found}, not ${expected}`);
        }
    expect(wrong).toEqual([]);
    expect(origin.seen.length).toBe(before);
  });

  test("a key elsewhere than in its field is none", async () => {
    const { good } = keys;
    const before = origin.seen.length;
    for (const url of gateway.urls) {
      expect(await send(url, `/required?x-api-key=${good}`, [])).toBe("401 credential-missing");
      expect(await send(url, "/required", ["Cookie", `x-api-key=${good}`])).toBe(
        "401 credential-missing",
      );
      for (const scheme of ["ApiKey", "Bearer", "Basic"])
        expect(await send(url, "/required", ["Authorization", `${scheme} ${good}`])).toBe(
          "401 credential-invalid",
        );
    }
    expect(origin.seen.length).toBe(before);
  });
});
