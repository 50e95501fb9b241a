/** What the table of access rules is tried with: a gateway with a route for each rule, and credentials good and bad. */
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { startGateway, type Gateway, type Mode } from "../harness/gateway.ts";
import { freePort, startRedis } from "../harness/index.ts";
import { soon } from "../harness/soon.ts";
import { startWitness, type Witness } from "../harness/witness.ts";

const secrets = {
  shop: "the secret of the shop, long enough for HS256",
  nested: "the secret of the nested, long enough for HS256",
  named: "the secret of the named, long enough for HS256",
  stranger: "the secret of a stranger, long enough for HS256",
} as const;
export type IssuerName = keyof typeof secrets;

/** `roles` and `scope` of the issuer `nested` stand in objects, of `named` in claims whose names have dots. */
const issuers = [
  { issuer: "shop" },
  { issuer: "nested", claims: { roles: "realm_access.roles", scopes: "access.shop.scp" } },
  {
    issuer: "named",
    claims: {
      roles: "https://shop.example/roles",
      scopes: String.raw`resource_access.shop\.example.scp`,
    },
  },
].map((each) => ({
  ...each,
  audience: ["api", "api-next"],
  algorithms: ["HS256"],
  secret: secrets[each.issuer as IssuerName],
}));

const required = (more: object) => ({ mode: "required", ...more });
const kinds = ["jwt", "api-key", "session"];

/** A route for each rule; the path is its id. `free` is where the connection is tried after an answer. */
const auths: Readonly<Record<string, unknown>> = {
  free: "none",
  none: "none",
  optional: "optional",
  required: "required",
  ...Object.fromEntries(
    [...kinds.map((kind) => [kind]), ["jwt", "session"], ["jwt", "api-key"]].flatMap((via) => [
      [`via-${via.join("-or-")}`, required({ via })],
      [`maybe-${via.join("-or-")}`, { mode: "optional", via }],
    ]),
  ),
  "role-any": required({ roles: { any: ["admin", "owner"] } }),
  "role-all": required({ roles: { all: ["admin", "auditor"] } }),
  "role-both": required({ roles: { any: ["admin", "owner"], all: ["auditor", "staff"] } }),
  "scope-any": required({ scopes: { any: ["read", "write"] } }),
  "scope-all": required({ scopes: { all: ["read", "write"] } }),
  "scope-both": required({ scopes: { any: ["read", "write"], all: ["list"] } }),
  "scope-colon": required({ scopes: { all: ["users:read"] } }),
  "scope-unsayable": required({ scopes: { all: ["le sen", 'le"sen'] } }),
  "role-and-scope": required({ roles: { any: ["admin"] }, scopes: { all: ["read"] } }),
};

const admin = required({ roles: { any: ["admin"] } });
const toShop = (id: string, match: object, auth?: unknown) => ({
  id,
  match,
  service: "shop",
  websocket: true,
  ...(auth === undefined ? {} : { auth }),
});

const routes = [
  ...Object.entries(auths).map(([id, auth]) => toShop(id, { path: `/${id}` }, auth)),
  toShop("default", { path: "/default" }),
  // The first service does not answer, or not well.
  { ...toShop("retried", { path: "/retried" }, "optional"), service: "pair" },
  {
    ...toShop("fallen", { path: "/fallen" }, "optional"),
    service: "gone",
    fallback: { service: "shop" },
  },
  // One path, another rule for each method.
  toShop("method-get", { path: "/method", methods: ["GET", "HEAD"] }, "none"),
  toShop("method-post", { path: "/method", methods: ["POST"] }, admin),
  toShop("method-delete", { path: "/method", methods: ["DELETE"] }, "required"),
  // A preflight has no credentials: whoever wants CORS on a route says so.
  toShop("cors", { path: "/cors", methods: ["GET", "POST"] }, "required"),
  toShop("cors-preflight", { path: "/cors", methods: ["OPTIONS"] }, "none"),
  // A child that wants more than its parent.
  toShop("area", { path: "/area/*" }, "none"),
  toShop("area-admin", { path: "/area/admin/*" }, admin),
];

/** What a request shows: names and values of fields, in order. */
export type Shown = readonly (readonly [name: string, value: string])[];

export interface Kit extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly witness: Witness;
  /** Beside the other one, where requests are tried again. */
  readonly second: Witness;
  /** A token of that issuer; a claim that is undefined is left out. */
  token(claims?: Readonly<Record<string, unknown>>, issuer?: IssuerName): Promise<string>;
  readonly tokens: { readonly revoked: string; readonly ofRevokedUser: string };
  readonly keys: Readonly<Record<"good" | "expired" | "rotated" | "revoked" | "admin", string>>;
  /** Values of cookies. */
  readonly sessions: Readonly<Record<"good" | "ended" | "expired" | "admin", string>>;
  readonly sids: Readonly<Record<"good" | "admin", string>>;
}

export async function startKit(mode: Mode): Promise<Kit> {
  await using stack = new AsyncDisposableStack();
  const witness = stack.use(await startWitness());
  const second = stack.use(await startWitness());
  const redis = mode === "cluster" ? stack.use(await startRedis()) : undefined;
  const gateway = stack.use(
    await startGateway(mode, {
      config: JSON.stringify({
        version: 1,
        environment: "development",
        identity: { issuers, apiKeys: {}, sessions: {} },
        discovery: { autoRoutes: { prefix: "/auto", websocket: true } },
        services: {
          shop: { instances: [{ url: witness.url }] },
          pair: {
            instances: [{ url: witness.url }, { url: second.url }],
            retry: { attempts: 2, on: [503] },
            circuit: { failures: 1_000 },
          },
          gone: { instances: [{ url: `http://127.0.0.1:${await freePort()}` }] },
        },
        routes,
      }),
      environment: redis === undefined ? {} : { TOCSIN_REDIS_URL: redis.url },
    }),
  );
  const order = async (method: string, path: string, body?: object) => {
    const answer = await gateway.admin(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`);
    return answer.json() as Record<string, string>;
  };
  const everywhere = (path: string, headers: Record<string, string>, status: number) =>
    soon(async () => {
      for (const answer of await gateway.askAll(path, { headers }))
        if (answer.status !== status) throw new Error(`${path}: ${answer.status} ${answer.text}`);
    }, 10_000);

  const good = await order("POST", "/v1/api-keys", { principal: "billing", roles: ["clerk"] });
  const lord = await order("POST", "/v1/api-keys", {
    principal: "lord",
    roles: ["admin", "staff"],
    scopes: ["read", "write"],
  });
  const soonOver = Math.ceil(Date.now() / 1_000) + 1;
  const late = await order("POST", "/v1/api-keys", { principal: "late", expiresAt: soonOver });
  const rotated = await order("POST", "/v1/api-keys", { principal: "rotated" });
  await order("POST", `/v1/api-keys/${rotated["id"]}/rotate`, { overlap: "0s" });
  const revoked = await order("POST", "/v1/api-keys", { principal: "revoked" });
  await order("DELETE", `/v1/api-keys/${revoked["id"]}`);

  const session = await order("POST", "/v1/sessions", { subject: "sue", roles: ["clerk"] });
  const lady = await order("POST", "/v1/sessions", {
    subject: "lady",
    roles: ["admin"],
    scopes: ["read"],
  });
  const ended = await order("POST", "/v1/sessions", { subject: "sue" });
  await order("DELETE", `/v1/sessions/${ended["sid"]}`);
  const brief = await order("POST", "/v1/sessions", { subject: "sue", lifetime: "2s" });
  await everywhere("/required", { cookie: `sid=${brief["cookie"]}` }, 200);

  const tokens = {
    revoked: await sign({}),
    ofRevokedUser: await sign({ sub: "mallory" }),
  };
  await order("POST", "/v1/revocations", { token: tokens.revoked });
  await order("POST", "/v1/revocations", { kind: "user", subject: "mallory" });
  await everywhere("/required", { cookie: `sid=${brief["cookie"]}` }, 401);
  await everywhere("/required", { "x-api-key": late["key"]! }, 401);

  const owned = stack.move();
  return {
    gateway,
    witness,
    second,
    token: sign,
    tokens,
    keys: {
      good: good["key"]!,
      admin: lord["key"]!,
      expired: late["key"]!,
      rotated: rotated["key"]!,
      revoked: revoked["key"]!,
    },
    sessions: {
      good: session["cookie"]!,
      admin: lady["cookie"]!,
      ended: ended["cookie"]!,
      expired: brief["cookie"]!,
    },
    sids: { good: session["sid"]!, admin: lady["sid"]! },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function sign(
  claims: Readonly<Record<string, unknown>> = {},
  issuer: IssuerName = "shop",
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const usual = { iss: issuer, aud: "api", sub: "ada", iat: now, exp: now + 3_600 };
  const all = { ...usual, jti: randomUUID(), ...claims };
  return new SignJWT(JSON.parse(JSON.stringify(all)) as Record<string, unknown>)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .sign(new TextEncoder().encode(secrets[issuer]));
}
