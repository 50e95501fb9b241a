/** The production set-up of `deploy/nats` as it is shipped, with certificates and free ports of its own. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectNats, type NatsBus, type NatsRole } from "@tocsin/shared/nats";
import { silentLog, systemClock, type Log } from "@tocsin/shared";
import type { NatsPlace } from "@tocsin/shared/bus";
import { freePort, startProcess, startRelay, type Relay } from "../harness/index.ts";
import { root, temporaryDirectory } from "../harness/program.ts";
import { createAuthority, type Authority } from "./certificates.ts";

interface Server {
  readonly port: number;
  output(): string;
  /** Has it read its configuration again. */
  reload(): void;
}

export interface ProductionBus extends AsyncDisposable {
  readonly directory: string;
  readonly authority: Authority;
  readonly hub: Server;
  /** Beside `proxy-2` and the service `content`, which are users of the leaf and not of the hub. */
  readonly leaf: Server;
  /** Between the leaf and the hub. */
  readonly link: Relay;
  /** Makes the hub's users anew, without some of them or with others, and has the hub read them. */
  setUsers(...members: string[]): void;
  /** How a member gets in. Default: by TLS at the hub, or in the clear at the leaf it stands beside. */
  placeOf(role: NatsRole, name: string): NatsPlace;
  /** The same as variables. */
  environmentOf(role: NatsRole, name: string): Record<string, string>;
  /** Connects as a member; disposed with the bus. */
  connect(
    role: NatsRole,
    name: string,
    more?: Partial<NatsPlace> & { log?: Log },
  ): Promise<NatsBus>;
}

export const everybody: readonly string[] = [
  "control-plane:control-plane-1",
  "proxy:proxy-1",
  "service:users",
  "operator:alice",
  "leaf:host-1=proxy:proxy-2,service:content",
];

/** Who is behind the leaf. */
const behindLeaf = ["proxy-2", "content"];

export async function startProductionBus(): Promise<ProductionBus> {
  const stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(temporaryDirectory());
  const users = join(directory, "users");
  const makeUsers = (members: readonly string[]) =>
    execFileSync(process.execPath, [join(root, "deploy/nats/users.ts"), users, ...members]);
  makeUsers(everybody);

  const authority = createAuthority(directory, "ca");
  const client = authority.issue("client");
  const server = authority.issue("server", { names: "DNS:localhost,IP:127.0.0.1" });
  const leafPort = await freePort();
  const link = stack.use(await startRelay(leafPort));
  const place = (name: string, config: string, usersFile: string, port: number) => {
    const own = join(directory, name);
    mkdirSync(join(own, "tls"), { recursive: true });
    for (const [from, to] of [
      [authority.certificate, "ca.pem"],
      [server.certificate, "server.pem"],
      [server.key, "server.key"],
      [client.certificate, "client.pem"],
      [client.key, "client.key"],
    ] as const)
      copyFileSync(from, join(own, "tls", to));
    copyFileSync(usersFile, join(own, "users.conf"));
    const text = readFileSync(join(root, "deploy/nats", config), "utf8")
      .replaceAll("/etc/nats", own)
      .replaceAll("/var/lib/nats", own)
      .replace(/^(port: 4222|listen: "127.0.0.1:4222")$/m, `listen: "127.0.0.1:${port}"`)
      // Else the hub tells the leaf where it really is, and the leaf goes around the relay.
      .replace(
        "port: 7422",
        `host: 127.0.0.1, port: ${leafPort}, advertise: "localhost:${link.port}"`,
      );
    writeFileSync(join(own, config), text);
    return join(own, config);
  };

  const start = async (name: string, config: string, usersFile: string, environment = {}) => {
    const port = await freePort();
    const server = stack.use(
      await startProcess({
        command: process.env["TOCSIN_NATS_SERVER"] ?? "nats-server",
        args: ["--config", place(name, config, usersFile, port)],
        environment,
        ready: (output) => output.includes("Server is ready"),
      }),
    );
    return { port, output: () => server.output(), reload: () => server.signal("SIGHUP") };
  };
  const hub = await start("hub", "production.conf", join(users, "users.conf"));
  const password = readFileSync(join(users, "leaf-host-1/password"), "utf8").trim();
  const leaf = await start("leaf", "leaf.conf", join(users, "leaf-host-1/users.conf"), {
    TOCSIN_NATS_LEAF_URL: `tls://leaf-host-1:${password}@localhost:${link.port}`,
  });

  const bus: ProductionBus = {
    directory,
    authority,
    hub,
    leaf,
    link,
    setUsers(...members) {
      makeUsers(members);
      copyFileSync(join(users, "users.conf"), join(directory, "hub/users.conf"));
      hub.reload();
    },
    placeOf(role, name) {
      const isBehind = behindLeaf.includes(name);
      const seeds = isBehind ? join(users, "leaf-host-1") : users;
      const credentials = join(seeds, `${role}-${name}.nk`);
      if (isBehind) return { servers: [`nats://127.0.0.1:${leaf.port}`], credentials };
      return {
        servers: [`tls://localhost:${hub.port}`],
        credentials,
        authorities: authority.certificate,
        ...client,
      };
    },
    environmentOf(role, name) {
      const { servers, credentials, authorities, certificate, key } = bus.placeOf(role, name);
      const all = {
        TOCSIN_NATS_URL: servers.join(),
        TOCSIN_NATS_CREDENTIALS: credentials,
        TOCSIN_NATS_CA: authorities,
        TOCSIN_NATS_CERT: certificate,
        TOCSIN_NATS_KEY: key,
      };
      return Object.fromEntries(
        Object.entries(all).filter((each): each is [string, string] => each[1] !== undefined),
      );
    },
    async connect(role, name, { log = silentLog, ...more } = {}) {
      return stack.use(
        await connectNats({
          ...bus.placeOf(role, name),
          ...more,
          role,
          node: name,
          clock: systemClock,
          log,
          firstConnectTimeoutMs: 3_000,
        }),
      );
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return bus;
}
