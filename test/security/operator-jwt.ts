/** JWTs of an operator, its accounts and their users, in the form that nats-server reads (what `nsc` writes). */
import { nkeys } from "@nats-io/transport-node";
import type { Permissions } from "../../deploy/nats/permissions.ts";

type KeyPair = ReturnType<typeof nkeys.createUser>;

const base64url = (value: object | Uint8Array) =>
  Buffer.from(value instanceof Uint8Array ? value : JSON.stringify(value)).toString("base64url");

function sign(issuer: KeyPair, subject: string, name: string, nats: object): string {
  const header = base64url({ typ: "JWT", alg: "ed25519-nkey" });
  const iat = Math.floor(Date.now() / 1_000);
  const payload = base64url({
    jti: "unused",
    iat,
    iss: issuer.getPublicKey(),
    name,
    sub: subject,
    nats: { ...nats, version: 2 },
  });
  const signature = issuer.sign(new TextEncoder().encode(`${header}.${payload}`));
  return `${header}.${payload}.${base64url(signature)}`;
}

const unlimited = { subs: -1, data: -1, payload: -1 };
const accountLimits = {
  ...unlimited,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

export interface Issued {
  /** The server's configuration: operator, accounts, resolver. */
  readonly config: string;
  /** A `.creds` file of a user whose permissions are those of the role's signing key, with its name filled in. */
  credentials(role: string, name: string): string;
}

/** An operator with one account, which has a scoped signing key for each role. */
export function issue(roles: Readonly<Record<string, Permissions>>): Issued {
  const operator = nkeys.createOperator();
  const system = nkeys.createAccount();
  const account = nkeys.createAccount();
  const keys = new Map(Object.keys(roles).map((role) => [role, nkeys.createAccount()]));
  const operatorJwt = sign(operator, operator.getPublicKey(), "tocsin", {
    type: "operator",
    system_account: system.getPublicKey(),
  });
  const accountOf = (pair: KeyPair, name: string, more: object) =>
    sign(operator, pair.getPublicKey(), name, { type: "account", limits: accountLimits, ...more });
  const tocsin = accountOf(account, "TOCSIN", {
    limits: { ...accountLimits, ...storage },
    signing_keys: Object.entries(roles).map(([role, { publish, subscribe }]) => ({
      kind: "user_scope",
      key: keys.get(role)!.getPublicKey(),
      role,
      template: { pub: { allow: publish }, sub: { allow: subscribe }, ...unlimited },
    })),
  });
  return {
    config: `operator: "${operatorJwt}"
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${account.getPublicKey()}: "${tocsin}"
  ${system.getPublicKey()}: "${accountOf(system, "SYS", {})}"
}
jetstream {}
`,
    credentials(role, name) {
      const user = nkeys.createUser();
      const jwt = sign(keys.get(role)!, user.getPublicKey(), name, {
        type: "user",
        issuer_account: account.getPublicKey(),
      });
      const seed = new TextDecoder().decode(user.getSeed());
      return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
    },
  };
}
