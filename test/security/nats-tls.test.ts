/** Connections to NATS by TLS: who is let in, whom we believe, and what is said when it does not work. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog, systemClock, type Log } from "@tocsin/shared";
import { connectNats, type NatsBus } from "@tocsin/shared/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, freePort, startNats, type NatsServer } from "../harness/index.ts";
import { runTocsin, temporaryDirectory } from "../harness/program.ts";
import { createAuthority, type Authority, type Pair } from "./certificates.ts";
import { everybody, startProductionBus, type ProductionBus } from "./production-bus.ts";

let bus: ProductionBus;
const open = new AsyncDisposableStack();
let other: Authority;
beforeAll(async () => {
  bus = open.use(await startProductionBus());
  other = createAuthority(bus.directory, "other");
}, 30_000);
afterAll(() => open.disposeAsync());

/** What the bus says about itself in its log. */
function listening(): { log: Log; lines: () => string } {
  const lines: string[] = [];
  const write = (fields: object, message: string) =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug() {}, info: write, warn: write, error: write, child: () => log };
  return { log, lines: () => lines.join("\n") };
}

describe("who is let in", () => {
  test("a certificate of our authority and a key that is known", async () => {
    expect((await bus.connect("proxy", "proxy-1")).state).toBe("connected");
  });

  const refused: readonly {
    readonly who: string;
    readonly with: () => Partial<Pair> & { credentials?: string };
    readonly says: RegExp;
  }[] = [
    {
      who: "a certificate that has expired",
      with: () => bus.authority.issue("expired", { days: -1 }),
      says: /TLS handshake error: .*certificate has expired/,
    },
    {
      who: "a certificate of an authority that is not ours",
      with: () => other.issue("unknown"),
      says: /TLS handshake error: .*unknown authority/,
    },
    {
      who: "no certificate",
      with: () => ({ certificate: undefined, key: undefined }),
      says: /TLS handshake error: .*didn't provide a certificate/,
    },
    {
      who: "a good certificate and the key of nobody",
      with: () => ({ credentials: join(bus.directory, "users/leaf-host-1/proxy-proxy-2.nk") }),
      says: /authentication error/,
    },
  ];
  test.each(refused)("$who: refused", async ({ with: given, says }) => {
    const { log } = listening();
    const before = bus.hub.output().length;
    const stranger = await connectNats({
      ...bus.placeOf("proxy", "proxy-1"),
      ...given(),
      role: "proxy",
      node: "proxy-1",
      clock: systemClock,
      log,
      firstConnectTimeoutMs: 700,
    });
    expect(stranger.state).toBe("disconnected");
    await eventually("the server's word", () => says.test(bus.hub.output().slice(before)));
    await stranger[Symbol.asyncDispose]();
  });

  test("nobody in the clear, and no key without TLS", async () => {
    const place = bus.placeOf("proxy", "proxy-1");
    await using stranger = await connectNats({
      servers: [`nats://127.0.0.1:${bus.hub.port}`],
      credentials: place.credentials,
      role: "proxy",
      node: "proxy-1",
      clock: systemClock,
      log: silentLog,
      firstConnectTimeoutMs: 700,
    });
    expect(stranger.state).toBe("disconnected");
  });
});

test("a user that is left out is out when the server has read the file, a leaf's too, and back with the same key", async () => {
  const before = everybody.filter((member) => !/proxy:proxy-1$|^leaf:/.test(member));
  const [proxy, behind, staying] = [
    await bus.connect("proxy", "proxy-1"),
    await bus.connect("proxy", "proxy-2"),
    await bus.connect("service", "users"),
  ];
  const states: string[] = [];
  staying.onState((state) => states.push(state));
  const controlPlane = await bus.connect("control-plane", "control-plane-1");
  await using _ = await controlPlane.subscribe("tocsin.v1.sync.trial", (message) =>
    message.respond("answer"),
  );
  const asks = (from: NatsBus) =>
    from.request("tocsin.v1.sync.trial", "", { timeoutMs: 300 }).then(
      () => true,
      () => false,
    );
  await eventually("both ask", async () => (await asks(proxy)) && (await asks(behind)));
  bus.setUsers(...before);
  await eventually("out", () => proxy.state === "disconnected");
  // A link of a leaf that is up stays up when its user goes: it has to be cut.
  bus.link.cut();
  await eventually("out too", async () => !(await asks(behind)));
  bus.setUsers(...everybody);
  await eventually("both are back", async () => (await asks(proxy)) && (await asks(behind)));
  expect(states).toEqual([]);
}, 30_000);

describe("whom we believe", () => {
  /** A server with TLS and nothing else, whose certificate has these names. */
  async function startServer(names: string, authority: Authority) {
    const directory = open.use(temporaryDirectory()).path;
    const { certificate, key } = authority.issue(`server-${names.replaceAll(/\W/g, "-")}`, {
      names,
    });
    const config = join(directory, "nats.conf");
    writeFileSync(config, `tls { cert_file: "${certificate}", key_file: "${key}" }\n`);
    return open.use(await startNats({ config }));
  }
  const connects = async (url: string, authorities = bus.authority.certificate) => {
    const { log, lines } = listening();
    await using connected = await connectNats({
      servers: [url],
      authorities,
      role: "proxy",
      node: "proxy-1",
      clock: systemClock,
      log,
      firstConnectTimeoutMs: 700,
    });
    return connected.state === "connected" ? "yes" : lines();
  };

  test("a server of our authority, by its name and by its address", async () => {
    const server = await startServer("DNS:localhost,IP:127.0.0.1", bus.authority);
    expect(await connects(`tls://localhost:${server.port}`)).toBe("yes");
    expect(await connects(`tls://127.0.0.1:${server.port}`)).toBe("yes");
  });

  test("no server of another authority, and none without one", async () => {
    const server = await startServer("DNS:localhost,IP:127.0.0.1", other);
    expect(await connects(`tls://localhost:${server.port}`)).toMatch(
      /unable to verify|self.signed/,
    );
  });

  test("no server whose certificate is for another name", async () => {
    const server = await startServer("DNS:elsewhere.example", bus.authority);
    expect(await connects(`tls://localhost:${server.port}`)).toMatch(/altnames/);
    expect(await connects(`tls://127.0.0.1:${server.port}`)).toMatch(/altnames/);
  });

  test("no server that we know by its address, whose certificate is for localhost", async () => {
    const server = await startServer("DNS:localhost", bus.authority);
    expect(await connects(`tls://127.0.0.1:${server.port}`)).toMatch(/altnames/);
    expect(await connects(`tls://localhost:${server.port}`)).toBe("yes");
  });
});

test("of a cluster's servers in one list another is used when one is gone, and the first again when that is back", async () => {
  const directory = open.use(temporaryDirectory()).path;
  const routes = [await freePort(), await freePort()];
  const servers: NatsServer[] = [];
  for (const index of [0, 1]) {
    const { certificate, key } = bus.authority.issue(`node-${index}`, { names: "DNS:localhost" });
    const config = join(directory, `node-${index}.conf`);
    writeFileSync(
      config,
      `server_name: node-${index}
tls { cert_file: "${certificate}", key_file: "${key}" }
cluster { name: c, listen: "127.0.0.1:${routes[index]}", routes: ["nats://127.0.0.1:${routes[1 - index]}"] }
`,
    );
    servers.push(open.use(await startNats({ config })));
  }
  const { log, lines } = listening();
  const client = async (node: string) =>
    open.use(
      await connectNats({
        servers: servers.map(({ port }) => `tls://localhost:${port}`),
        authorities: bus.authority.certificate,
        role: "proxy",
        node,
        clock: systemClock,
        log,
        firstConnectTimeoutMs: 5_000,
      }),
    );
  const [one, two] = [await client("one"), await client("two")];
  await using _ = await one.subscribe("question", (message) => message.respond("answer"));
  const asks = () =>
    two.request("question", "", { timeoutMs: 500 }).then(
      (message) => message.text() === "answer",
      () => false,
    );
  await eventually("answered", asks);
  for (const server of servers) {
    await server.kill();
    await eventually("answered without it", asks, 5_000);
    await server.restart();
  }
  await eventually("answered", asks);
  expect(lines()).toContain("bus disconnected");
}, 30_000);

test("credentials and certificates that are renewed in place are used at the next connection", async () => {
  const place = bus.placeOf("proxy", "proxy-1");
  const own = join(bus.directory, "renewed");
  mkdirSync(own);
  const at = (name: string) => join(own, name);
  const stale = bus.authority.issue("stale", { days: -1 });
  const put = (pair: Pair, credentials: string) => {
    // As a renewal does it that is not atomic.
    rmSync(at("credentials"), { force: true });
    copyFileSync(pair.certificate, at("cert.pem"));
    copyFileSync(pair.key, at("key.pem"));
    writeFileSync(at("credentials"), readFileSync(credentials), { mode: 0o600 });
  };
  put(stale, join(bus.directory, "users/service-users.nk"));
  await using renewed = await connectNats({
    ...place,
    credentials: at("credentials"),
    certificate: at("cert.pem"),
    key: at("key.pem"),
    role: "proxy",
    node: "proxy-1",
    clock: systemClock,
    log: silentLog,
    firstConnectTimeoutMs: 500,
  });
  expect(renewed.state).toBe("disconnected");
  put({ certificate: place.certificate!, key: place.key! }, place.credentials!);
  await eventually("connected", () => renewed.state === "connected");
  // With the seed of a service a proxy could not hear this.
  await using _ = await renewed.subscribe("_INBOX_px.proxy-1.>", () => {});
});

test("a wrong file ends the program with 64 and the variable, before it binds or connects", async () => {
  const environment = {
    ...bus.environmentOf("proxy", "proxy-1"),
    TOCSIN_NATS_KEY: join(bus.directory, "users/proxy-proxy-1.nk"),
    TOCSIN_NATS_CA: "/nowhere/ca.pem",
    TOCSIN_LISTEN: "127.0.0.1:0",
    TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
  };
  const { code, stdout, stderr } = await runTocsin(["proxy"], environment);
  expect(code).toBe(64);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/TOCSIN_NATS_CA: found "\/nowhere\/ca.pem": cannot be read: ENOENT/);
  expect(stderr).toMatch(/TOCSIN_NATS_KEY: found ".*": not a private key in PEM form/);
});
