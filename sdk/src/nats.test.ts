import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startNats } from "../../test/harness/nats-server.ts";
import { problem } from "../../test/sdk/leases.ts";
import { startNatsControlPlane } from "../../test/sdk/nats-control-plane.ts";
import { observeStates } from "../../test/sdk/observer.ts";
import { register, RegistrationRefused, RegistrationUnavailable } from "./index.ts";
import { placeOf } from "./nats-registry.ts";
import type { RegisterOptions } from "./options.ts";

const quiet = { info() {}, warn() {}, error() {} };

async function listen() {
  const server = createServer((_, response) => response.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    server,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

function optionsFor(url: string, server: NonNullable<RegisterOptions["server"]>): RegisterOptions {
  const environment = { TOCSIN_NATS_URL: url };
  return { name: "users", server, drain: false, log: quiet, environment };
}

describe("over NATS", () => {
  test("a service registers, renews and deregisters with the same bodies as over HTTP", async () => {
    await using nats = await startNats({ jetstream: false });
    await using plane = await startNatsControlPlane(nats.url);
    await using service = await listen();
    const registration = await register({
      ...optionsFor(nats.url, service.server),
      instance: "users-1",
      health: "/health",
    });
    expect(plane.seen[0]).toMatchObject({
      verb: "register",
      service: "users",
      instance: "users-1",
      body: { url: registration.url, health: { path: "/health" } },
    });
    await plane.seenTimes("renew", 2);
    await registration.close();
    expect(plane.leases.size).toBe(0);
  });

  test("a refusal is an error with code, status and detail", async () => {
    await using nats = await startNats({ jetstream: false });
    await using plane = await startNatsControlPlane(nats.url);
    await using service = await listen();
    plane.interfere = () => problem(403, "forbidden", "Nobody may register this service");
    await expect(register(optionsFor(nats.url, service.server))).rejects.toThrow(
      new RegistrationRefused({
        code: "forbidden",
        status: 403,
        title: "Nobody may register this service",
      }),
    );
  });

  test("another service's name is refused by the bus itself, and that is told at once", async () => {
    const config = join(mkdtempSync(join(tmpdir(), "tocsin-sdk-")), "nats.conf");
    writeFileSync(
      config,
      `accounts { T { users = [ { user: users, password: users, permissions: {
        publish: ["tocsin.v1.register.users.*", "tocsin.v1.renew.users.*", "tocsin.v1.deregister.users.*"]
        subscribe: ["_INBOX_svc.users.>", "_INBOX_svc.payments.>"] } },
        { user: cp, password: cp } ] } }`,
    );
    await using nats = await startNats({ config });
    await using plane = await startNatsControlPlane(nats.urlFor("cp", "cp"));
    await using service = await listen();
    const options = optionsFor(nats.urlFor("users", "users"), service.server);
    const since = performance.now();
    const error = await register({ ...options, name: "payments" }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RegistrationRefused);
    expect(error).toMatchObject({ code: "forbidden", status: 403 });
    expect(performance.now() - since).toBeLessThan(3_000);
    expect(plane.seen).toHaveLength(0);
    await using registration = await register(options);
    expect(registration.state).toBe("registered");
  });

  test("without a control plane on the bus, or without a bus, the wait ends at the deadline and says what was missing", async () => {
    await using nats = await startNats({ jetstream: false });
    await using service = await listen();
    const options = { ...optionsFor(nats.url, service.server), timeoutMs: 500 };
    const nobody = await register(options).catch((error: unknown) => error);
    expect(nobody).toBeInstanceOf(RegistrationUnavailable);
    expect(String(nobody)).toMatch(/no answer from a control plane on the bus/);
    await nats.kill();
    // Nobody answers the connection at all.
    const away = await register(options).catch((error: unknown) => error);
    expect(away).toBeInstanceOf(RegistrationUnavailable);
    expect(String(away)).toMatch(
      /within 500 ms: no connection to nats:\/\/127\.0\.0\.1:\d+: .*refused/i,
    );
  });

  test("a bus that is killed and comes back finds the service registered again, at once", async () => {
    await using nats = await startNats({ jetstream: false });
    await using plane = await startNatsControlPlane(nats.url, { renew: "60s" });
    await using service = await listen();
    const { changes, onState } = observeStates();
    await using registration = await register({ ...optionsFor(nats.url, service.server), onState });
    plane.forget();
    await nats.restart();
    // Renewal is due in a minute; the return of the bus is what is heard here.
    await plane.seenTimes("register", 2);
    expect(plane.leases.size).toBe(1);
    await expect.poll(() => registration.state).toBe("registered");
    expect(changes.map(({ state }) => state)).toEqual(
      changes.length === 1 ? ["registered"] : ["registered", "unreachable", "registered"],
    );
  });

  test("credentials never stand in a message", () => {
    expect(placeOf("nats://users:s3cret@a:4222, tls://b:4222")).toBe("nats://a:4222, tls://b:4222");
    expect(placeOf("nats://token%40x@a")).toBe("nats://a");
  });
});
