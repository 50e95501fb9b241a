/** Rules that differ by method and by path, as a table. */
import type { Kit, Shown } from "./access-kit.ts";
import { lacks, missing, type Outcome, type Refused } from "./access-rows.ts";

export interface Place {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly shown: (kit: Kit) => Shown | Promise<Shown>;
  readonly outcome: Outcome;
}

const notAllowed: Refused = { status: 405, code: "method-not-allowed" };
const otherMethod: Refused = {
  status: 400,
  code: "bad-request",
  detail: "the method can be read in more than one way",
};

const nobody: Outcome = { told: () => ({ "x-auth-method": "none" }) };
const ada: Outcome = { told: () => ({ "x-auth-method": "jwt", "x-user-id": "ada" }) };
const admin: Outcome = {
  told: () => ({ "x-auth-method": "jwt", "x-user-id": "ada", "x-user-roles": "admin" }),
};

const nothing = () => [];
const bearer = async (kit: Kit, claims = {}): Promise<Shown> => [
  ["Authorization", `Bearer ${await kit.token(claims)}`],
];
const token = (kit: Kit) => bearer(kit);
const asAdmin = (kit: Kit) => bearer(kit, { roles: ["admin"] });
const saying =
  (...fields: Shown) =>
  () =>
    fields;
const preflight = saying(
  ["Access-Control-Request-Method", "POST"],
  ["Access-Control-Request-Headers", "authorization"],
);

type Line = readonly [
  method: string,
  path: string,
  what: string,
  shown: Place["shown"],
  outcome: Outcome,
];

const lines: readonly Line[] = [
  // One path: GET is open, POST wants a role, DELETE a credential, and there is no other.
  ["GET", "/method", "nothing", nothing, nobody],
  ["HEAD", "/method", "nothing", nothing, nobody],
  ["GET", "/method", "a token", token, nobody],
  ["POST", "/method", "nothing", nothing, missing],
  ["POST", "/method", "a token without the role", token, lacks("role")],
  ["POST", "/method", "a token with the role", asAdmin, admin],
  ["DELETE", "/method", "nothing", nothing, missing],
  ["DELETE", "/method", "a token", token, ada],
  ["PUT", "/method", "a token with the role", asAdmin, notAllowed],
  ["PATCH", "/method", "nothing", nothing, notAllowed],
  ["OPTIONS", "/method", "a preflight", preflight, notAllowed],
  // Frameworks that take the method from a field would find it past the rule of that method.
  ...["X-HTTP-Method-Override", "x-http-method-override", "X-HTTP-Method", "X-Method-Override"].map(
    (name): Line => ["GET", "/method", `${name}: POST`, saying([name, "POST"]), otherMethod],
  ),
  ...["post", " DELETE ", "GET, DELETE", "GET,DELETE", "PUT", "X", ""].map((value): Line => {
    const name = "X-HTTP-Method-Override";
    return ["GET", "/method", `${name}: ${value}`, saying([name, value]), otherMethod];
  }),
  [
    "GET",
    "/method",
    "two overrides",
    saying(["X-HTTP-Method-Override", "GET"], ["X-HTTP-Method-Override", "DELETE"]),
    otherMethod,
  ],
  ["GET", "/method", "the same method", saying(["X-HTTP-Method-Override", "get"]), nobody],
  [
    "POST",
    "/method",
    "a role for another method",
    async (kit) => [...(await asAdmin(kit)), ["X-HTTP-Method-Override", "DELETE"]],
    otherMethod,
  ],
  [
    "POST",
    "/required",
    "another method of the same route",
    async (kit) => [...(await token(kit)), ["X-HTTP-Method-Override", "DELETE"]],
    ada,
  ],
  [
    "POST",
    "/auto/shop/x",
    "another method of a route of discovery",
    async (kit) => [...(await token(kit)), ["X-HTTP-Method-Override", "DELETE"]],
    ada,
  ],
  // A preflight has no credentials (Fetch §4.8): it is let in where a route says so.
  ["OPTIONS", "/required", "a preflight", preflight, missing],
  ["OPTIONS", "/cors", "a preflight", preflight, nobody],
  ["POST", "/cors", "nothing", nothing, missing],
  ["POST", "/cors", "a token", token, ada],
  ["PUT", "/cors", "a token", token, notAllowed],
  // The child wants more than its parent.
  ["GET", "/area/x", "nothing", nothing, nobody],
  ["GET", "/area/administrators/x", "nothing", nothing, nobody],
  ...["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].flatMap((method): Line[] => [
    [method, "/area/admin/x", "nothing", nothing, missing],
    [method, "/area/admin/x", "a token without the role", token, lacks("role")],
    [method, "/area/admin/x", "a token with the role", asAdmin, admin],
  ]),
  ["GET", "/area/admin/", "nothing", nothing, missing],
  ["GET", "/area/admin/x?path=/area/x", "nothing", nothing, missing],
];

export const places: readonly Place[] = lines.map(([method, path, what, shown, outcome]) => ({
  method,
  path,
  what,
  shown,
  outcome,
}));

/** What some server would read as a place below `/area/admin/`. Nobody is let in with nothing. */
export const spellings: readonly string[] = [
  "/area/%61dmin/x",
  "/area/%41dmin/x",
  "/area/adm%69n/x",
  "/area/%2561dmin/x",
  "/area/%252561dmin/x",
  "/area/admin%2Fx",
  "/area/admin%2fx",
  "/area%2Fadmin/x",
  "/area%2Fadmin%2Fx",
  "/area/admin%5Cx",
  "/area/admin%252Fx",
  "/area\\admin\\x",
  "/area/admin\\x",
  "/area//admin/x",
  "//area/admin/x",
  "/area///admin//x",
  "/area/./admin/x",
  "/area/%2e/admin/x",
  "/area/x/../admin/x",
  "/area/x/%2e%2e/admin/x",
  "/area/x/%252e%252e/admin/x",
  "/area/x/..%2fadmin/x",
  "/area/x/..;/admin/x",
  "/area/;/admin/x",
  "/area/admin;v=1/x",
  "/area/admin;/x",
  "/area/admin%3B/x",
  "/area/Admin/x",
  "/area/ADMIN/x",
  "/AREA/ADMIN/X",
  "/area/admin%00/x",
  "/area/admin%20/x",
  "/area/admin./x",
  "/area/admin%09/x",
  "/area/admin/../admin/x",
  "/area/admin/x/../../y",
  "/area/%EF%BD%81dmin/x",
  "/area/admin%C0%AFx",
];
