/** The rules of access as a table: what a request shows, where it goes, and what becomes of it. */
import type { Kit, Shown } from "./access-kit.ts";

/** Whom the service is told of, by the names of its fields. */
export type Told = Readonly<Record<string, string>>;

export interface Refused {
  readonly status: number;
  readonly code: string;
  readonly detail?: string;
  /** The whole of `WWW-Authenticate`; undefined: there is none. */
  readonly challenge?: string;
}

export type Outcome = Refused | { readonly told: (kit: Kit) => Told };

export interface Row {
  readonly what: string;
  readonly path: string;
  readonly shown: (kit: Kit) => Shown | Promise<Shown>;
  readonly outcome: Outcome;
}

const bearer = 'Bearer realm="tocsin"';
const unauthorized = (code: string, description: string): Refused => ({
  status: 401,
  code,
  challenge: `${bearer}, error="invalid_token", error_description="${description}"`,
});

export const missing: Refused = { status: 401, code: "credential-missing", challenge: bearer };
export const otherScheme: Refused = { ...missing, code: "credential-invalid" };
export const invalid = unauthorized("credential-invalid", "The credential is not valid");
export const expired = unauthorized("credential-expired", "The credential has expired");
export const revoked = unauthorized("credential-revoked", "The credential has been revoked");
export const notFound: Refused = { status: 404, code: "route-not-found" };

export const ambiguous = (detail: string): Refused => ({
  status: 400,
  code: "bad-request",
  detail,
  challenge: `${bearer}, error="invalid_request", error_description="${detail}"`,
});

/** The listener itself says so: framing may be as doubtful as the rest of such a request. */
export const authorizedTwice = ambiguous("more than one Authorization field");

export const lacks = (what: "role" | "scope", scopes = ""): Refused => {
  const detail = `a ${what} is missing`;
  const wanted = scopes === "" ? "" : `, scope="${scopes}"`;
  return {
    status: 403,
    code: "forbidden",
    detail,
    challenge: `${bearer}, error="insufficient_scope", error_description="${detail}"${wanted}`,
  };
};

const nobody: Outcome = { told: () => ({ "x-auth-method": "none" }) };
const ada = (more: Told = {}): Outcome => ({
  told: () => ({ "x-auth-method": "jwt", "x-user-id": "ada", ...more }),
});
const billing: Outcome = {
  told: () => ({ "x-auth-method": "api-key", "x-user-id": "billing", "x-user-roles": "clerk" }),
};
const sue: Outcome = {
  told: ({ sids }) => ({
    "x-auth-method": "session",
    "x-user-id": "sue",
    "x-user-roles": "clerk",
    "x-auth-session": sids.good,
  }),
};

const authorization = (value: string): Shown => [["Authorization", value]];
const key = (value: string): Shown => [["X-API-Key", value]];
const cookie = (value: string): Shown => [["Cookie", `a=1; sid=${value}; b=2`]];
const jwt =
  (claims: Readonly<Record<string, unknown>> = {}, issuer?: Parameters<Kit["token"]>[1]) =>
  async (kit: Kit) =>
    authorization(`Bearer ${await kit.token(claims, issuer)}`);

const now = Math.floor(Date.now() / 1_000);
const anHourAgo = { iat: now - 7_200, exp: now - 3_600 };

/**
 * Each credential as a route with every kind takes it. `anywhere`: it is refused also where nothing is looked at, because nobody can say
 * which credential it is that the service would look at.
 */
const credentials: readonly (readonly [
  what: string,
  shown: Row["shown"],
  outcome: Outcome,
  anywhere?: "anywhere",
])[] = [
  ["a token", jwt(), ada()],
  [
    "a token, the scheme in capitals",
    async (kit) => authorization(`BEARER ${await kit.token()}`),
    ada(),
  ],
  [
    "a token, the scheme in small letters",
    async (kit) => authorization(`bearer ${await kit.token()}`),
    ada(),
  ],
  ["a token for several audiences", jwt({ aud: ["other", "api-next"] }), ada()],
  ["a token of another issuer that counts too", jwt({}, "nested"), ada()],
  ["an API key", ({ keys }) => key(keys.good), billing],
  ["a session", ({ sessions }) => cookie(sessions.good), sue],
  [
    "a token and a session",
    async (kit) => [...(await jwt()(kit)), ...cookie(kit.sessions.good)],
    ada(),
  ],
  [
    "a token and a session that was ended",
    async (kit) => [...(await jwt()(kit)), ...cookie(kit.sessions.ended)],
    ada(),
  ],
  [
    "an API key and a session",
    ({ keys, sessions }) => [...cookie(sessions.good), ...key(keys.good)],
    billing,
  ],
  ["a token that is none", () => authorization("Bearer abc"), invalid],
  [
    "a token with another signature",
    async (kit) => authorization(`Bearer ${await kit.token()}A`),
    invalid,
  ],
  ["a token of an issuer that nobody named", jwt({}, "stranger"), invalid],
  ["a token that a stranger signed as the issuer", jwt({ iss: "shop" }, "stranger"), invalid],
  ["a token that one issuer signed as another", jwt({ iss: "nested" }), invalid],
  ["a token without an issuer", jwt({ iss: undefined }), invalid],
  ["a token without an audience", jwt({ aud: undefined }), invalid],
  ["a token for no audience", jwt({ aud: [] }), invalid],
  ["a token for another audience", jwt({ aud: "other" }), invalid],
  ["a token for an audience that begins like ours", jwt({ aud: "api-" }), invalid],
  ["a token for our audience in capitals", jwt({ aud: "API" }), invalid],
  ["a token without a subject", jwt({ sub: undefined }), invalid],
  ["a token with a long subject", jwt({ sub: "x".repeat(513) }), invalid],
  ["a token with a subject that is no text", jwt({ sub: 7 }), invalid],
  ["a token with a control character in its subject", jwt({ sub: "ada\n" }), invalid],
  ["a token with a long id", jwt({ jti: "x".repeat(513) }), invalid],
  ["a token with an id that is no text", jwt({ jti: 7 }), invalid],
  ["a token with a control character in its id", jwt({ jti: "id\n" }), invalid],
  ["a token that was never issued", jwt({ iat: undefined }), invalid],
  ["a token that will be issued", jwt({ iat: now + 3_600, exp: now + 7_200 }), invalid],
  ["a token that never ends", jwt({ exp: undefined }), invalid],
  ["a token that lives for too long", jwt({ exp: now + 25 * 3_600 }), invalid],
  ["a token of tomorrow", jwt({ nbf: now + 3_600 }), invalid],
  ["a token that has expired", jwt(anHourAgo), expired],
  ["a token that was revoked", ({ tokens }) => authorization(`Bearer ${tokens.revoked}`), revoked],
  [
    "a token of a user who was revoked",
    ({ tokens }) => authorization(`Bearer ${tokens.ofRevokedUser}`),
    revoked,
  ],
  [
    "a bad token and a good session",
    ({ sessions }) => [...authorization("Bearer abc"), ...cookie(sessions.good)],
    invalid,
  ],
  [
    "an expired token and a good session",
    async (kit) => [...(await jwt(anHourAgo)(kit)), ...cookie(kit.sessions.good)],
    expired,
  ],
  ["Bearer and nothing", () => authorization("Bearer"), invalid],
  [
    "Bearer and two tokens",
    async (kit) => authorization(`Bearer ${await kit.token()} ${await kit.token()}`),
    invalid,
  ],
  [
    "Bearer and a list",
    async (kit) => authorization(`Bearer ${await kit.token()}, Basic eA==`),
    invalid,
  ],
  ["Authorization with nothing in it", () => authorization(""), otherScheme],
  ["Basic", () => authorization("Basic YWRhOmFkYQ=="), otherScheme],
  [
    "Basic and a good session",
    ({ sessions }) => [...authorization("Basic YWRhOmFkYQ=="), ...cookie(sessions.good)],
    otherScheme,
  ],
  ["Digest", () => authorization('Digest username="ada"'), otherScheme],
  ["a token without a scheme", async (kit) => authorization(await kit.token()), otherScheme],
  [
    "a scheme that begins like ours",
    async (kit) => authorization(`BearerX ${await kit.token()}`),
    otherScheme,
  ],
  ["an API key as a bearer token", ({ keys }) => authorization(`Bearer ${keys.good}`), invalid],
  [
    "the cookie of a session as a bearer token",
    ({ sessions }) => authorization(`Bearer ${sessions.good}`),
    invalid,
  ],
  ["an API key that is none", () => key("abc"), invalid],
  ["an API key with nothing in it", () => key(""), invalid],
  ["an API key with another end", ({ keys }) => key(`${keys.good.slice(0, -1)}_`), invalid],
  ["a token as an API key", async (kit) => key(await kit.token()), invalid],
  ["an API key that has expired", ({ keys }) => key(keys.expired), expired],
  ["an API key that was rotated away", ({ keys }) => key(keys.rotated), expired],
  ["an API key that was revoked", ({ keys }) => key(keys.revoked), revoked],
  [
    "a bad API key and a good session",
    ({ sessions }) => [...cookie(sessions.good), ...key("abc")],
    invalid,
  ],
  ["a session that is none", () => cookie("abc"), invalid],
  ["a session with nothing in it", () => cookie(""), invalid],
  [
    "a session with another secret",
    ({ sessions }) => cookie(`${sessions.good.split(".")[0]}.${sessions.admin.split(".")[1]}`),
    invalid,
  ],
  ["a token as a session", async (kit) => cookie(await kit.token()), invalid],
  ["a session that was ended", ({ sessions }) => cookie(sessions.ended), revoked],
  ["a session that has expired", ({ sessions }) => cookie(sessions.expired), expired],
  [
    "a session twice",
    ({ sessions }) => [["Cookie", `sid=${sessions.good}; sid=${sessions.good}`]],
    ambiguous("more than one session cookie"),
  ],
  [
    "a token and an API key",
    async (kit) => [...(await jwt()(kit)), ...key(kit.keys.good)],
    ambiguous("both a token and an API key"),
  ],
  [
    "a bad token and a good API key",
    ({ keys }) => [...authorization("Bearer abc"), ...key(keys.good)],
    ambiguous("both a token and an API key"),
  ],
  [
    "two tokens",
    async (kit) => [...(await jwt()(kit)), ...(await jwt()(kit))],
    authorizedTwice,
    "anywhere",
  ],
  [
    "a token and Basic",
    async (kit) => [...(await jwt()(kit)), ...authorization("Basic eA==")],
    authorizedTwice,
    "anywhere",
  ],
  [
    "two API keys",
    ({ keys }) => [...key(keys.good), ...key(keys.admin)],
    ambiguous("more than one x-api-key field"),
    "anywhere",
  ],
  [
    "an API key with underscores",
    ({ keys }) => [["X_API_Key", keys.good]],
    ambiguous("x-api-key is spelled in a way that only some servers understand"),
    "anywhere",
  ],
  [
    "an API key that Connection names",
    ({ keys }) => [["Connection", "x-api-key"], ...key(keys.good)],
    ambiguous("Connection names x-api-key"),
    "anywhere",
  ],
];

const nothing = () => [];

/** `auth: required | optional | none`, and a route that says nothing. */
const modes: Row[] = ["required", "default", "optional", "none"].flatMap((mode) => [
  {
    what: "nothing",
    path: `/${mode}`,
    shown: nothing,
    outcome: mode === "required" || mode === "default" ? missing : nobody,
  },
  ...credentials.map(([what, shown, outcome, anywhere]) => ({
    what,
    path: `/${mode}`,
    shown,
    outcome: mode === "none" && anywhere === undefined ? nobody : outcome,
  })),
]);

/** `via`: what is of a kind that does not count is refused, never looked past. */
const kinds: readonly (readonly [kind: string, shown: Row["shown"], outcome: Outcome])[] = [
  ["jwt", jwt(), ada()],
  ["api-key", ({ keys }) => key(keys.good), billing],
  ["session", ({ sessions }) => cookie(sessions.good), sue],
];
const vias = [["jwt"], ["api-key"], ["session"], ["jwt", "session"], ["jwt", "api-key"]];
const via: Row[] = vias.flatMap((taken) =>
  ["via", "maybe"].flatMap((mode): Row[] => {
    const path = `/${mode}-${taken.join("-or-")}`;
    return [
      { what: "nothing", path, shown: nothing, outcome: mode === "via" ? missing : nobody },
      ...kinds.map(([kind, shown, outcome]) => ({
        what: kind,
        path,
        shown,
        outcome: taken.includes(kind) ? outcome : invalid,
      })),
      {
        what: "jwt and session",
        path,
        shown: async (kit) => [...(await jwt()(kit)), ...cookie(kit.sessions.good)],
        outcome: taken.includes("jwt") ? ada() : invalid,
      },
      {
        what: "api-key and session",
        path,
        shown: ({ keys, sessions }) => [...key(keys.good), ...cookie(sessions.good)],
        outcome: taken.includes("api-key") ? billing : invalid,
      },
    ];
  }),
);

const row = (path: string, what: string, shown: Row["shown"], outcome: Outcome): Row => ({
  what,
  path,
  shown,
  outcome,
});
const withRoles = (path: string, roles: unknown, outcome: Outcome) =>
  row(path, `roles ${JSON.stringify(roles)}`, jwt({ roles }), outcome);
const withScopes = (path: string, scope: unknown, outcome: Outcome) =>
  row(path, `scope ${JSON.stringify(scope)}`, jwt({ scope }), outcome);
const holding = (roles: string) => ada({ "x-user-roles": roles });
const granted = (scopes: string) => ada({ "x-user-scopes": scopes });

const noRole = lacks("role");
const roles: Row[] = [
  row("/role-any", "nothing", nothing, missing),
  row(
    "/role-any",
    "an expired token with the role",
    jwt({ roles: ["admin"], ...anHourAgo }),
    expired,
  ),
  row("/role-any", "no roles", jwt(), noRole),
  withRoles("/role-any", ["admin"], holding("admin")),
  withRoles("/role-any", ["owner"], holding("owner")),
  withRoles("/role-any", ["user", "owner"], holding("user,owner")),
  withRoles("/role-any", ["admin", "user", "admin"], holding("admin,user")),
  withRoles("/role-any", "admin", holding("admin")),
  withRoles("/role-any", " user  admin ", holding("user,admin")),
  ...[
    ["user"],
    [],
    "",
    ["Admin"],
    ["ADMIN"],
    ["administrator"],
    ["adm"],
    ["admin "],
    [" admin"],
    ["admin\n"],
    ["admin\u0000"],
    ["admin,owner"],
    "admin,owner",
    ["user admin"],
    ["аdmin"],
    ["ａｄｍｉｎ"],
    ["admin", 1],
    ["admin", null],
    [["admin"]],
    { admin: true },
    { 0: "admin", length: 1 },
    true,
    1,
    null,
    ["*"],
    ["adm*"],
    ["/admin/"],
  ].map((value) => withRoles("/role-any", value, noRole)),
  withRoles("/role-all", ["admin", "auditor"], holding("admin,auditor")),
  withRoles("/role-all", "auditor user admin", holding("auditor,user,admin")),
  withRoles("/role-all", ["admin"], noRole),
  withRoles("/role-all", ["admin", "admin"], noRole),
  withRoles("/role-all", ["admin", "Auditor"], noRole),
  withRoles("/role-both", ["owner", "auditor", "staff"], holding("owner,auditor,staff")),
  withRoles("/role-both", ["admin", "owner", "staff"], noRole),
  withRoles("/role-both", ["auditor", "staff"], noRole),
  row("/role-any", "the role as a scope", jwt({ scope: "admin" }), noRole),
  row(
    "/role-any",
    "the role in a claim of another name",
    jwt({ role: ["admin"], groups: ["admin"] }),
    noRole,
  ),
  row("/role-any", "the role in an object", jwt({ realm_access: { roles: ["admin"] } }), noRole),
  row(
    "/role-any",
    "the role where another issuer has it",
    jwt({ roles: ["admin"] }, "nested"),
    noRole,
  ),
  row(
    "/role-any",
    "the role in the object of the issuer",
    jwt({ realm_access: { roles: ["admin"] } }, "nested"),
    holding("admin"),
  ),
  row(
    "/role-any",
    "the role in the object, as a text",
    jwt({ realm_access: { roles: "user admin" } }, "nested"),
    holding("user,admin"),
  ),
  row(
    "/role-any",
    "the path as a name",
    jwt({ "realm_access.roles": ["admin"] }, "nested"),
    noRole,
  ),
  row(
    "/role-any",
    "the object as a list",
    jwt({ realm_access: [{ roles: ["admin"] }] }, "nested"),
    noRole,
  ),
  row(
    "/role-any",
    "the object as a text",
    jwt({ realm_access: '{"roles":["admin"]}' }, "nested"),
    noRole,
  ),
  row("/role-any", "the object as the roles", jwt({ realm_access: ["admin"] }, "nested"), noRole),
  row("/role-any", "the object as null", jwt({ realm_access: null }, "nested"), noRole),
  row(
    "/role-any",
    "a claim named by a URL",
    jwt({ "https://shop.example/roles": ["admin"] }, "named"),
    holding("admin"),
  ),
  row(
    "/role-any",
    "the URL in pieces",
    jwt({ "https://shop": { "example/roles": ["admin"] } }, "named"),
    noRole,
  ),
  row("/role-any", "an API key with the role", ({ keys }) => key(keys.admin), {
    told: () => ({
      "x-auth-method": "api-key",
      "x-user-id": "lord",
      "x-user-roles": "admin,staff",
      "x-user-scopes": "read,write",
    }),
  }),
  row("/role-any", "an API key without", ({ keys }) => key(keys.good), noRole),
  row("/role-any", "a session with the role", ({ sessions }) => cookie(sessions.admin), {
    told: ({ sids }) => ({
      "x-auth-method": "session",
      "x-user-id": "lady",
      "x-user-roles": "admin",
      "x-user-scopes": "read",
      "x-auth-session": sids.admin,
    }),
  }),
  row("/role-any", "a session without", ({ sessions }) => cookie(sessions.good), noRole),
];

const scopes: Row[] = [
  row("/scope-all", "nothing", nothing, missing),
  withScopes("/scope-all", "read write", granted("read,write")),
  withScopes("/scope-all", ["write", "read", "list"], granted("write,read,list")),
  withScopes("/scope-all", "read write read", granted("read,write")),
  ...[
    "read",
    "",
    "read,write",
    "readwrite",
    "READ WRITE",
    "read:all write:all",
    "rea writ",
    ["read write"],
    ["read", 1],
    { read: true, write: true },
    true,
    null,
  ].map((value) => withScopes("/scope-all", value, lacks("scope", "read write"))),
  row("/scope-all", "no scopes", jwt(), lacks("scope", "read write")),
  row(
    "/scope-all",
    "the scopes as roles",
    jwt({ roles: ["read", "write"] }),
    lacks("scope", "read write"),
  ),
  row(
    "/scope-all",
    "the scopes under another name",
    jwt({ scp: "read write", scopes: "read write" }),
    lacks("scope", "read write"),
  ),
  row(
    "/scope-all",
    "the scopes in objects",
    jwt({ access: { shop: { scp: "read write" } } }, "nested"),
    granted("read,write"),
  ),
  row(
    "/scope-all",
    "the scopes where another issuer has them",
    jwt({ scope: "read write" }, "nested"),
    lacks("scope", "read write"),
  ),
  row(
    "/scope-all",
    "a claim whose name has a dot",
    jwt({ resource_access: { "shop.example": { scp: ["read", "write"] } } }, "named"),
    granted("read,write"),
  ),
  row(
    "/scope-all",
    "the name with the dot in pieces",
    jwt({ resource_access: { shop: { example: { scp: ["read", "write"] } } } }, "named"),
    lacks("scope", "read write"),
  ),
  row(
    "/scope-all",
    "an API key without",
    ({ keys }) => key(keys.good),
    lacks("scope", "read write"),
  ),
  row(
    "/scope-all",
    "a session with one of two",
    ({ sessions }) => cookie(sessions.admin),
    lacks("scope", "read write"),
  ),
  withScopes("/scope-any", "write", granted("write")),
  withScopes("/scope-any", "list", lacks("scope", "read write")),
  withScopes("/scope-both", "list read", granted("list,read")),
  withScopes("/scope-both", "read write", lacks("scope", "list read write")),
  withScopes("/scope-colon", "users:read", granted("users:read")),
  ...["users", "users:", "users:*", "users:read:own", "users:rea", "read"].map((value) =>
    withScopes("/scope-colon", value, lacks("scope", "users:read")),
  ),
  withScopes("/scope-unsayable", ["le sen"], lacks("scope")),
  withScopes("/scope-unsayable", ["le sen", 'le"sen'], granted("le%20sen,le%22sen")),
  row(
    "/role-and-scope",
    "both",
    jwt({ roles: ["admin"], scope: "read" }),
    ada({ "x-user-roles": "admin", "x-user-scopes": "read" }),
  ),
  row("/role-and-scope", "the role", jwt({ roles: ["admin"] }), lacks("scope", "read")),
  row("/role-and-scope", "the scope", jwt({ scope: "read" }), lacks("role", "read")),
  row("/role-and-scope", "neither", jwt(), lacks("role", "read")),
  row(
    "/role-and-scope",
    "one as the other",
    jwt({ roles: ["read"], scope: "admin" }),
    lacks("role", "read"),
  ),
];

/** What no route names is nobody's, whoever asks. */
const byDefault: Row[] = [
  row("/nowhere", "nothing", nothing, notFound),
  row("/nowhere", "a token", jwt({ roles: ["admin"] }), notFound),
  row("/required/child", "a token", jwt(), notFound),
  row("/", "a token", jwt(), notFound),
  row("/auto/shop/x", "nothing", nothing, missing),
  row("/auto/shop/x", "a token", jwt(), ada()),
  row("/auto/shop/x", "Basic", () => authorization("Basic YWRhOmFkYQ=="), otherScheme),
  row("/auto/other/x", "a token", jwt(), notFound),
];

export const rows: readonly Row[] = [...modes, ...via, ...roles, ...scopes, ...byDefault];
