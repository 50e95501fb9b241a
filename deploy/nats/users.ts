/**
 * Makes the users of a production bus: a seed for each, and the `users.conf` that the servers include.
 *
 *   node deploy/nats/users.ts DIRECTORY control-plane:cp-1 proxy:proxy-eu-1 service:users operator:alice \
 *     leaf:host-7=proxy:proxy-eu-2,service:content
 *
 * A sidecar is written as `sidecar:NODE:SERVICE`: a proxy that registers that service. A service that signs people in is written as
 * `service:NAME:sessions`: it may make, list and end sessions too.
 *
 * - `ROLE-NAME.nk`: the seed, for `TOCSIN_NATS_CREDENTIALS` of that process alone (mode 600).
 * - `users.conf`: the hub's users, for `production.conf`.
 * - `leaf-HOST/users.conf`: the users of a leaf server, for `leaf.conf`; they are no users of the hub.
 * - `leaf-HOST/password`: what that leaf server says to the hub (mode 600).
 *
 * Seeds and passwords that are there are kept, so it is run again with one more user whenever there is one more. A user that is left out
 * is out when the servers have read the new file (`nats-server --signal reload`).
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { isName } from "@tocsin/shared";
import {
  permissionsOf,
  roles,
  sidecarPermissionsOf,
  signInPermissionsOf,
  union,
  type Permissions,
  type Role,
} from "./permissions.ts";

interface Member {
  readonly role: Role | "sidecar";
  readonly name: string;
  readonly permissions: Permissions;
}

interface Leaf {
  readonly host: string;
  readonly members: readonly Member[];
}

function memberOf(text: string): Member {
  const [role, name, service, ...more] = text.split(":");
  if (role === "sidecar" && isName(name) && isName(service) && more.length === 0)
    return { role, name, permissions: sidecarPermissionsOf(name, service) };
  if (role === "service" && isName(name) && service === "sessions" && more.length === 0)
    return { role, name, permissions: signInPermissionsOf(name) };
  const known = roles.find((each) => each === role);
  if (known === undefined || !isName(name) || service !== undefined)
    throw new Error(
      `not ROLE:NAME with a role of ${roles.join(", ")}, and neither sidecar:NODE:SERVICE nor service:NAME:sessions: ${JSON.stringify(text)}`,
    );
  return { role: known, name, permissions: permissionsOf(known, name) };
}

function leafOf(text: string): Leaf {
  const [host, members, ...more] = text.split("=");
  if (!isName(host) || members === undefined || more.length > 0)
    throw new Error(`not leaf:HOST=ROLE:NAME,ROLE:NAME: ${JSON.stringify(text)}`);
  const found = members.split(",").map(memberOf);
  // Journals are reached through the hub's own JetStream alone.
  if (found.some(({ role }) => role === "control-plane"))
    throw new Error("a control plane stays on the hub");
  return { host, members: found };
}

const secret = { mode: 0o600 };

/** The public key of a member, and its seed in a file. */
function keyOf(directory: string, { role, name }: Member): string {
  const file = join(directory, `${role}-${name}.nk`);
  if (!existsSync(file))
    writeFileSync(file, `${new TextDecoder().decode(nkeys.createUser().getSeed())}\n`, secret);
  const seed = readFileSync(file, "utf8").trim();
  return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
}

function passwordOf(directory: string): string {
  const file = join(directory, "password");
  // The server takes a password that looks like a number for one, so it begins with a letter.
  if (!existsSync(file)) writeFileSync(file, `p${randomBytes(24).toString("hex")}\n`, secret);
  return readFileSync(file, "utf8").trim();
}

function entry(comment: string, credentials: string, { publish, subscribe }: Permissions): string {
  const list = (subjects: readonly string[]) =>
    subjects.map((subject) => `\n          ${JSON.stringify(subject)}`).join("");
  return `  # ${comment}
  {
    ${credentials}
    permissions: {
      publish: { allow: [${list(publish)}
      ] }
      subscribe: { allow: [${list(subscribe)}
      ] }
    }
  }
`;
}

function writeUsers(directory: string, entries: readonly string[]): void {
  const text = `# Written by deploy/nats/users.ts.\nusers: [\n${entries.join("")}]\n`;
  // It may hold a leaf's password.
  writeFileSync(join(directory, "users.conf"), text, secret);
}

function member(directory: string, each: Member): string {
  const { role, name, permissions } = each;
  return entry(`${role} ${name}`, `nkey: ${keyOf(directory, each)}`, permissions);
}

function leaf(directory: string, { host, members }: Leaf): string {
  const own = join(directory, `leaf-${host}`);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  writeUsers(
    own,
    members.map((each) => member(own, each)),
  );
  const all = union(members.map(({ permissions }) => permissions));
  return entry(`leaf ${host}`, `user: leaf-${host}, password: ${passwordOf(own)}`, all);
}

function main([directory, ...specifications]: readonly string[]): void {
  if (directory === undefined || specifications.length === 0)
    throw new Error("usage: users.ts DIRECTORY ROLE:NAME… leaf:HOST=ROLE:NAME,…");
  const isLeaf = (text: string) => text.startsWith("leaf:");
  // All are read before the first file is written.
  const members = specifications.filter((text) => !isLeaf(text)).map(memberOf);
  const leaves = specifications.filter(isLeaf).map((text) => leafOf(text.slice("leaf:".length)));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeUsers(directory, [
    ...members.map((each) => member(directory, each)),
    ...leaves.map((each) => leaf(directory, each)),
  ]);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 64;
}
