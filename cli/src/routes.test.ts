/** `tocsin routes list` and `tocsin routes test`: from a file, and from a control plane. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { adminToken } from "../../test/cli/admin-api.ts";
import { startRealControlPlane } from "../../test/cli/real-control-plane.ts";
import { tocsin } from "../../test/cli/tocsin.ts";

const config = `version: 1
listen: { hosts: [gw.test, "*.shop.test"], limits: { matchBody: 1KiB } }
identity:
  issuers:
    - { issuer: me, audience: us, algorithms: [HS256], secret: "a secret that is long enough for HS256" }
services:
  users: { instances: [{ url: "http://127.0.0.1:1" }] }
  orders:
  orders-next:
routes:
  - { id: all-users, match: { path: "/users/*" }, service: users, auth: none, websocket: true }
  - id: users
    match: { path: "/users/{id}", methods: [GET] }
    service: users
    auth: { mode: required, roles: { any: [admin, ops] } }
  - { id: orders, match: { path: /orders }, service: orders }
  - id: premium
    match: { path: /orders, methods: [POST], body: { /plan: premium } }
    service: orders
    weights: { orders: 95, orders-next: 5 }
  - { id: beta, match: { path: /orders, headers: { X-Beta: "1" } }, service: orders }
  - { id: shop, match: { path: "/{page}", hosts: ["*.shop.test"] }, service: orders }
`;

const directory = mkdtempSync(join(tmpdir(), "tocsin-routes-"));
const file = join(directory, "tocsin.yaml");
writeFileSync(file, config);
writeFileSync(join(directory, "premium.json"), `{"plan":"premium"}`);
const environment = { TOCSIN_ADMIN_URL: "http://127.0.0.1:1" };
const routes = (...args: string[]) =>
  tocsin(["routes", ...args, "--config", file], { environment, cwd: directory });

describe("from a file, without a server", () => {
  test("routes are listed in the order in which they are tried", async () => {
    const ran = await routes("list");
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["ROUTE", "METHODS", "HOST", "PATH", "CONDITIONS", "SERVICE", "AUTH"],
      ["shop", "*", "*.shop.test", "/{page}", "-", "orders", "required"],
      ["users", "GET", "*", "/users/{id}", "-", "users", "required roles any of admin,ops"],
      ["beta", "*", "*", "/orders", "x-beta=1", "orders", "required"],
      ["premium", "POST", "*", "/orders", `/plan="premium"`, "orders 95 orders-next 5", "required"],
      ["orders", "*", "*", "/orders", "-", "orders", "required"],
      ["all-users", "*", "*", "/users/*", "-", "users", "none"],
      [""],
    ]);
    const { stdout } = await routes("list", "--json");
    const listed = JSON.parse(stdout) as { routes: { id: string; match: object }[] };
    expect(listed.routes.map(({ id }) => id).slice(0, 2)).toEqual(["shop", "users"]);
    expect(listed.routes[0]!.match).toEqual({ path: "/{page}", hosts: ["*.shop.test"] });
  });

  test("a request is told which route it takes, why, and why none of the others", async () => {
    const ran = await routes("test", "get", "/users/42");
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toBe(`request    GET /users/42 on gw.test
route      users
service    users, weighted-round-robin
auth       required roles any of admin,ops
timeouts   connect 1.0 s, first byte 10.0 s, idle 1 min
limits     body of any size
why        path /users/{id}, with id = 42
           method, by its name
why not
  all-users   /users/*   the path of users is more specific
`);
  });

  test.each([
    [["POST", "/orders", "-d", `{"plan":"premium"}`], "premium", /body \/plan: "premium"/],
    [["POST", "/orders", "-d", "@premium.json"], "premium", /beta .*x-beta: wants "1", found none/],
    [["POST", "/orders", "-d", `{"plan":"free"}`], "orders", /wants "premium", found "free"/],
    [["POST", "/orders", "-d", "plan=premium", "-H", "Content-Type: text/plain"], "orders", /none/],
    [["POST", "/orders", "-d", `{}`, "-H", "x-beta: 1"], "beta", /beta has more conditions on hea/],
    [["GET", "/orders"], "orders", /premium .*method: wants POST, found GET/],
    [
      ["GET", "https://a.shop.test:8443/orders#x"],
      "shop",
      /orders .*the host of shop is more spec/,
    ],
    [["GET", "/orders", "-H", "Host: a.shop.test"], "shop", /host \*\.shop\.test/],
    [["HEAD", "http://gw.test/users/1"], "users", /as GET without the content/],
    [["DELETE", "/users//42"], "all-users", /also read +\/users\/42/],
  ])("%j takes %s", async (args, route, text) => {
    const ran = await routes("test", ...args);
    expect(ran.stdout).toMatch(new RegExp(`^route +${route}$`, "m"));
    expect(ran.stdout).toMatch(text);
    expect(ran.code).toBe(0);
    const json = JSON.parse((await routes("test", ...args, "--json")).stdout) as {
      route: { id: string };
      candidates: { route: string; taken: boolean; reasons: { text: string }[] }[];
    };
    expect(json.route.id).toBe(route);
    for (const { taken, reasons } of json.candidates) expect(taken).toBe(reasons.length === 0);
    expect(json.candidates.filter(({ taken }) => taken)).toMatchObject([{ route }]);
  });

  test.each([
    [["GET", "/nowhere"], /404 route-not-found/],
    [["GET", "/Users/42"], /users .*differs in the case of letters/],
    [["GET", "http://other.test/users/1"], /421 host-not-allowed/],
    [
      ["GET", "/users//42"],
      /400 bad-request: .*more than one way\nalso read +\/users\/42, which is users/,
    ],
    [["GET", "/users/../orders"], /400 bad-request: the path has dot segments/],
    [["GET", "/users/%2e%2e/orders"], /400 bad-request: the path has dot segments/],
    [["GET", "/users", "-H", "Host: a", "-H", "Host: b"], /400 bad-request: more than one Host/],
    [["POST", "/orders", "-d", `{"plan":1,"plan":2}`], /400 bad-request: .*there twice/],
    [["POST", "/orders", "-d", `"${"x".repeat(1_024)}"`], /413 body-too-large: .* 1024 bytes/],
    [["DELETE", "http://a.shop.test/a/b"], /404 route-not-found/],
  ])("%j is refused, and the exit code is 1", async (args, text) => {
    const ran = await routes("test", ...args);
    expect(ran.stdout).toMatch(text);
    expect(ran).toMatchObject({ code: 1, stderr: "" });
    const json = JSON.parse((await routes("test", ...args, "--json")).stdout) as {
      refusal: { status: number };
    };
    expect(ran.stdout).toContain(String(json.refusal.status));
  });

  test.each([
    [["test", "G E T", "/"], /"G E T" is not a method/],
    [["test", "GET", "http:///x"], /is neither a path nor a URL/],
    [["test", "GET", "/a b"], /is neither a path nor a URL/],
    [["test", "GET", "/", "-H", "nothing"], /-H: "nothing" is not a header/],
    [["test", "GET", "/", "-H", "a: b\r\nc: d"], /is not a header/],
    [["test", "POST", "/", "-d", "@/nowhere.json"], /Cannot read the body from \/nowhere\.json/],
  ])("%j is told what is wrong", async (args, text) => {
    const ran = await routes(...args);
    expect(ran.stderr).toMatch(text);
    expect(ran).toMatchObject({ code: 1, stdout: "" });
  });

  test("a config that is not valid is told so, and no route is looked at", async () => {
    const args = ["routes", "list", "--config", "-"];
    const ran = await tocsin(args, { environment, input: config.replace("/{page}", "page") });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toMatch(/^stdin:\d+:\d+ \/routes\/5\/match\/path .* is not a path/);
  });
});

describe("from a control plane", () => {
  test("the applied config counts, secrets left out, with the automatic routes of what has registered", async () => {
    await using plane = await startRealControlPlane();
    const there = { environment: plane.environment };
    const none = await tocsin(["routes", "list"], there);
    expect(none).toMatchObject({ code: 0, stdout: "" });
    expect(none.stderr).toContain("There is no route");
    const registered = await fetch(`${plane.url}/v1/services/users/instances/u1`, {
      method: "PUT",
      headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
      body: JSON.stringify({ url: "http://127.0.0.1:9" }),
    });
    expect(registered.ok).toBe(true);
    const listed = await tocsin(["routes", "list"], there);
    expect(listed.stdout).toMatch(/^auto-users +\* +\* +\/api\/users\/\* +- +users +required$/m);
    const auto = await tocsin(["routes", "test", "GET", "/api/users/1"], there);
    expect(auto.stdout).toMatch(/^route +auto-users$/m);
    expect(auto.code).toBe(0);
    const unknown = await tocsin(["routes", "test", "GET", "/api/user/1"], there);
    expect(unknown.stdout).toContain("no instance of the service user is known");
    expect(unknown.code).toBe(1);
    const applied = await tocsin(["config", "apply", "-", "--wait", "0"], {
      ...there,
      input: config,
    });
    expect(applied.stderr).not.toContain("refused");
    const ran = await tocsin(["routes", "test", "GET", "/users/42"], there);
    expect(ran.stdout).toMatch(/^route +users$/m);
  });

  test("one that cannot be reached is told so", async () => {
    const ran = await tocsin(["routes", "list"], { environment });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toContain("Nothing listens at http://127.0.0.1:1");
  });
});
