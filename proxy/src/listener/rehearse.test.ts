import { Config } from "@tocsin/shared/contract";
import { describe, expect, test } from "vitest";
import { rehearse } from "./rehearse.ts";

const config = Config.parse({
  version: 1,
  listen: { hosts: ["gw.test", "*.shop.test"], limits: { matchBody: "1KiB", body: "4KiB" } },
  services: { a: null, b: null },
  routes: [
    { id: "orders", match: { path: "/orders/{id}", methods: ["GET", "POST"] }, service: "a" },
    {
      id: "premium",
      match: { path: "/orders/{id}", methods: ["POST"], body: { "/plan": "premium" } },
      service: "b",
    },
    { id: "shop", match: { path: "/orders/*", hosts: ["*.shop.test"] }, service: "b" },
    { id: "files", match: { path: "/files/*" }, service: "a" },
    { id: "private", match: { path: "/files/private/*" }, service: "a" },
  ],
  discovery: { autoRoutes: { prefix: "/auto", auth: "none" } },
});

const run = (
  line: string,
  { body = "", fields = [] }: { body?: string; fields?: string[] } = {},
  services: string[] = [],
) => {
  const [method = "", target = "", host = "gw.test"] = line.split(" ");
  return rehearse(config, services, {
    method,
    target,
    fields: [
      "Host",
      host,
      ...(body === ""
        ? []
        : ["Content-Type", "application/json", "Content-Length", String(body.length)]),
      ...fields,
    ],
    body: Buffer.from(body),
  });
};

describe("a request that finds a route", () => {
  test.each([
    ["GET /orders/7?x=1", "", "orders"],
    ["POST /orders/7", `{"plan":"free"}`, "orders"],
    ["POST /orders/7", `{"plan":"premium"}`, "premium"],
    ["DELETE /orders/7 a.shop.test:8080", "", "shop"],
    ["GET /files/%61", "", "files"],
    ["GET http://gw.test/files/a", "", "files"],
    ["GET /auto/b/1", "", "auto-b"],
  ])("%s with %s takes %s", async (line, body, id) => {
    const { route, refusal, verdicts } = await run(line, { body }, ["b"]);
    expect(refusal).toBeUndefined();
    expect(route?.id).toBe(id);
    if (id.startsWith("auto")) expect(verdicts).toEqual([]);
    else expect(verdicts.find(({ taken }) => taken)?.route.id).toBe(id);
  });

  test("is told which parameters it has, and what puts the others behind", async () => {
    const { path, verdicts } = await run("POST /orders/7/", { body: `{"plan":"premium"}` });
    expect(path).toBe("/orders/7/");
    expect(verdicts.map(({ route, taken, behind }) => [route.id, taken, behind])).toEqual([
      ["premium", true, undefined],
      ["orders", false, { kind: "body", first: 1, second: 0 }],
      ["shop", false, undefined],
    ]);
    expect(verdicts[0]!.fit).toEqual({
      host: "*",
      parameters: { id: "7" },
      method: 2,
      checks: [
        {
          of: "body",
          name: "/plan",
          wanted: "premium",
          found: "premium",
          instead: undefined,
          met: true,
        },
      ],
    });
    expect(verdicts[2]!.fit.host).toBeUndefined();
  });
});

describe("a request that finds none", () => {
  test.each([
    ["GET /nowhere", 404, "route-not-found", undefined],
    ["HEAD /nowhere", 404, "route-not-found", undefined],
    ["PUT /orders/7", 405, "method-not-allowed", undefined],
    ["GET /orders/7 other.test", 421, "host-not-allowed", undefined],
    ["GET /orders/7 a@gw.test", 400, "bad-request", "a bad Host field"],
    ["HEAD /files/../orders/7", 400, "bad-request", "the path has dot segments"],
    ["GET http://else.test/files/a", 400, "bad-request", /disagree/],
    ["GET /files//private/a", 400, "bad-request", /in more than one way/],
    ["GET /files/%2fa", 400, "bad-request", /encoded slash/],
    ["GET /files/a#b", 400, "bad-request", undefined],
    ["BREW /files/a", 400, "bad-request", undefined],
    ["TRACE /files/a", 405, "method-not-allowed", undefined],
    [`GET /${"a".repeat(10_000)}`, 414, "uri-too-long", undefined],
    ["GET /auto/unknown/1", 404, "route-not-found", undefined],
  ])("%s is refused as it would be", async (line, status, code, detail) => {
    const { route, refusal } = await run(line);
    expect(route).toBeUndefined();
    expect(refusal).toMatchObject({ status, code });
    if (detail !== undefined) expect(refusal?.detail).toMatch(detail);
  });

  test("is told the methods that there are", async () => {
    const { refusal } = await run("PUT /orders/7");
    expect(refusal?.allow).toBe("GET, HEAD, POST");
  });

  test("is told both readings of a path, and where they lead", async () => {
    const { readings } = await run("GET /files//private/a");
    expect(readings).toEqual([{ path: "/files/private/a", route: "private" }]);
  });

  test("is told whether the service of an automatic route is known", async () => {
    expect((await run("GET /auto/b/1")).automatic).toEqual({ service: "b", known: false });
    expect((await run("GET /auto/b/1", {}, ["b"])).automatic).toEqual({
      service: "b",
      known: true,
    });
  });

  test.each([
    [413, `{"plan":"${"x".repeat(2_000)}"}`, []],
    [400, `{"plan":1,"plan":2}`, []],
    [400, "{", []],
    [415, "{}", ["Content-Encoding", "br"]],
    [413, "x".repeat(5_000), []],
    [408, "{}", ["Content-Length", "9"]],
    [400, "{}", ["Authorization", "a", "Authorization", "b"]],
  ])("is refused with %s for its body %.20s and %j", async (status, body, fields) => {
    const framed = fields.includes("Content-Length");
    const answer = framed
      ? await rehearse(config, [], {
          method: "POST",
          target: "/orders/7",
          fields: ["Host", "gw.test", "Content-Type", "application/json", ...fields],
          body: Buffer.from(body),
        })
      : await run("POST /orders/7", { body, fields });
    expect(answer.refusal?.status).toBe(status);
  });
});
