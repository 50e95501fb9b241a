import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createNetServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mkdtempSync, writeFileSync } from "node:fs";
import fastify from "fastify";
import { describe, expect, test } from "vitest";
import { startHttpControlPlane, testToken } from "../../test/sdk/http-control-plane.ts";
import { problem } from "../../test/sdk/leases.ts";
import { observeStates } from "../../test/sdk/observer.ts";
import { register, RegistrationRefused, RegistrationUnavailable } from "./index.ts";
import type { RegisterOptions } from "./options.ts";

const quiet = { info() {}, warn() {}, error() {} };

interface Listening extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
}

async function listen(host = "127.0.0.1"): Promise<Listening> {
  const server = createServer((_, response) => response.end("hello"));
  server.listen(0, host);
  await once(server, "listening");
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Options that keep a test to itself: no signals, no lines, no variables of this process. */
function optionsFor(plane: { url: string }, server: RegisterOptions["server"]): RegisterOptions {
  return {
    name: "users",
    drain: false,
    log: quiet,
    environment: { TOCSIN_ADMIN_URL: plane.url, TOCSIN_ADMIN_TOKEN: testToken },
    ...(server === undefined ? {} : { server }),
  };
}

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createNetServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("registering", () => {
  test("a node:http server is announced where it listens, with all that was said about it", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    await using registration = await register({
      ...optionsFor(plane, service.server),
      health: { path: "/health", interval: "1s" },
      instance: "users-1",
      weight: 3,
      zone: "eu-1",
      version: "1.2.3",
      metadata: { team: "core" },
    });
    expect(registration).toMatchObject({
      service: "users",
      instance: "users-1",
      url: `http://127.0.0.1:${service.port}`,
      state: "registered",
    });
    expect(plane.seen[0]).toMatchObject({
      verb: "register",
      service: "users",
      instance: "users-1",
      body: {
        url: `http://127.0.0.1:${service.port}`,
        weight: 3,
        zone: "eu-1",
        version: "1.2.3",
        health: { path: "/health", interval: "1s" },
        metadata: { team: "core" },
      },
    });
    expect(String(plane.seen[0]?.body["boot"])).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  });

  test("a Fastify instance is taken as it is", async () => {
    await using plane = await startHttpControlPlane();
    const app = fastify();
    await app.listen({ port: 0, host: "127.0.0.1" });
    const registration = await register(optionsFor(plane, app));
    expect(registration.url).toBe(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
    await registration.close();
    await app.close();
  });

  test("what Express' listen returns is taken as it is", async () => {
    await using plane = await startHttpControlPlane();
    // Express brings no types along, and this one line needs none.
    const name: string = "express";
    const { default: express } = (await import(name)) as {
      default: () => { listen(port: number, host: string): Server };
    };
    const server = express().listen(0, "127.0.0.1");
    await using registration = await register(optionsFor(plane, server));
    expect(registration.url).toBe(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await new Promise((resolve) => server.close(resolve));
  });

  test("a server that does not listen yet is waited for", async () => {
    await using plane = await startHttpControlPlane();
    const server = createServer();
    const registering = register(optionsFor(plane, server));
    server.listen(0, "127.0.0.1");
    await using registration = await registering;
    expect(registration.state).toBe("registered");
    await new Promise((resolve) => server.close(resolve));
  });

  test("a server on all addresses is announced on loopback when the control plane is there", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen("0.0.0.0");
    await using registration = await register(optionsFor(plane, service.server));
    expect(registration.url).toBe(`http://127.0.0.1:${service.port}`);
  });

  test("a server on ::1 is announced in brackets, and a given host wins", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen("::1");
    await using bracketed = await register(optionsFor(plane, service.server));
    expect(bracketed.url).toBe(`http://[::1]:${service.port}`);
    await using named = await register({
      ...optionsFor(plane, service.server),
      instance: "other",
      host: "users.internal",
    });
    expect(named.url).toBe(`http://users.internal:${service.port}`);
  });

  test("without a name of its own the instance is called by host and port, so that a restart takes its place", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    await using registration = await register(optionsFor(plane, service.server));
    expect(registration.instance).toMatch(new RegExp(`^[a-z0-9][a-z0-9-]*-${service.port}$`));
    expect(registration.instance.length).toBeLessThanOrEqual(63);
  });

  test("the token is found in the state directory, also when it is written after the start", async () => {
    const port = await freePort();
    const directory = mkdtempSync(join(tmpdir(), "tocsin-sdk-"));
    await using service = await listen();
    const registering = register({
      ...optionsFor({ url: "" }, service.server),
      environment: { TOCSIN_ADMIN_URL: `http://127.0.0.1:${port}`, TOCSIN_STATE_DIR: directory },
    });
    writeFileSync(join(directory, "admin-token"), `${testToken}\n`);
    await using plane = await startHttpControlPlane({ port });
    await using registration = await registering;
    expect(registration.state).toBe("registered");
    expect(plane.leases.size).toBe(1);
  });
});

describe("refusals and silence", () => {
  test("a refusal is an error with code, status, detail and places", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    plane.interfere = () => ({
      status: 422,
      body: {
        code: "validation-failed",
        status: 422,
        title: "The request does not validate",
        detail: "the URL is not allowed here",
        errors: [{ pointer: "/url", message: "169.254.0.0/16 is never allowed" }],
      },
    });
    const error = await register(optionsFor(plane, service.server)).catch(
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(RegistrationRefused);
    expect(error).toMatchObject({
      code: "validation-failed",
      status: 422,
      detail: "the URL is not allowed here",
      errors: [{ pointer: "/url", message: "169.254.0.0/16 is never allowed" }],
    });
    expect(String(error)).toContain("/url 169.254.0.0/16 is never allowed");
    expect(plane.seen).toHaveLength(1);
  });

  test("a wrong token is told with the place it came from, a missing one with the places looked at", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const directory = mkdtempSync(join(tmpdir(), "tocsin-sdk-"));
    const environment = { TOCSIN_ADMIN_URL: plane.url, TOCSIN_STATE_DIR: directory };
    await expect(register({ ...optionsFor(plane, service.server), environment })).rejects.toThrow(
      new RegExp(`401.*TOCSIN_ADMIN_TOKEN_FILE and ${directory}/admin-token`),
    );
    await expect(
      register({
        ...optionsFor(plane, service.server),
        environment: { ...environment, TOCSIN_ADMIN_TOKEN: "wrong-wrong-wrong-wrong" },
      }),
    ).rejects.toThrow(/does not accept the token from TOCSIN_ADMIN_TOKEN/);
  });

  test("a control plane that is away is waited for, up to the deadline", async () => {
    const port = await freePort();
    await using service = await listen();
    const options = optionsFor({ url: `http://127.0.0.1:${port}` }, service.server);
    const error = await register({ ...options, timeoutMs: 400 }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RegistrationUnavailable);
    expect(String(error)).toMatch(/within 400 ms: no answer .*ECONNREFUSED/);

    const registering = register(options);
    await using plane = await startHttpControlPlane({ port });
    await using registration = await registering;
    expect(registration.state).toBe("registered");
    expect(plane.seen.filter(({ verb }) => verb === "register")).toHaveLength(1);
  });

  test("an answer of 503 is tried again, as nobody's answer is", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    plane.interfere = () =>
      plane.seen.length < 2
        ? problem(503, "journal-unavailable", "The journal is away")
        : undefined;
    await using registration = await register(optionsFor(plane, service.server));
    expect(registration.state).toBe("registered");
    expect(plane.seen).toHaveLength(3);
  });

  test("the signal ends the wait with its reason", async () => {
    await using service = await listen();
    const controller = new AbortController();
    const options = optionsFor({ url: `http://127.0.0.1:${await freePort()}` }, service.server);
    const registering = register({ ...options, signal: controller.signal });
    const reason = new Error("not today");
    controller.abort(reason);
    await expect(registering).rejects.toBe(reason);
  });

  test("a registration that is answered after the signal is taken back", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const controller = new AbortController();
    plane.interfere = (call) => {
      if (call.verb === "register") controller.abort(new Error("too late"));
      return undefined;
    };
    await expect(
      register({ ...optionsFor(plane, service.server), signal: controller.signal }),
    ).rejects.toThrow("too late");
    await plane.seenTimes("deregister", 1);
    expect(plane.leases.size).toBe(0);
  });

  test.each([
    [{ name: "Users" }, /name: "Users" is not a name/],
    [{ name: "users\r\nPUB x" }, /is not a name/],
    [{ name: ">" }, /is not a name/],
    [{ name: "users", instance: "a.b" }, /instance: "a\.b" is not a name/],
    [{ name: "users" }, /either server or url/],
    [{ name: "users", server: {} as never }, /server: expected a node:http server/],
    [
      { name: "users", url: "http://127.0.0.1:1", environment: { TOCSIN_ADMIN_URL: "localhost" } },
      /TOCSIN_ADMIN_URL: found "localhost"/,
    ],
  ])("%o is told to be wrong before anything is sent", async (options, message) => {
    await expect(
      register({ drain: false, log: quiet, environment: {}, ...options }),
    ).rejects.toThrow(message);
  });
});

describe("keeping the lease", () => {
  test("the lease is renewed at the interval that the answer gives, by the same boot", async () => {
    await using plane = await startHttpControlPlane({ renew: "100ms" });
    await using service = await listen();
    await using _ = await register(optionsFor(plane, service.server));
    await plane.seenTimes("renew", 3);
    expect(new Set(plane.seen.map(({ body }) => body["boot"])).size).toBe(1);
    expect(plane.seen.filter(({ verb }) => verb === "register")).toHaveLength(1);
  });

  test("a lost lease is taken again, unasked and without a change of state", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const { changes, onState } = observeStates();
    await using registration = await register({ ...optionsFor(plane, service.server), onState });
    plane.forget();
    await plane.seenTimes("register", 2);
    await plane.seenTimes("renew", 3);
    expect(registration.state).toBe("registered");
    expect(plane.leases.size).toBe(1);
    expect(changes.map(({ state }) => state)).toEqual(["registered"]);
    // As another life: verdicts on the one before went with it.
    const [first, second] = plane.seen.flatMap(({ verb, body }) =>
      verb === "register" ? [body["boot"]] : [],
    );
    expect(second).not.toBe(first);
    expect([...plane.leases.values()]).toEqual([second]);
    await registration.close();
    expect(plane.leases.size).toBe(0);
  });

  test("another process with the same instance name ends the renewal, and the service is told", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const first = observeStates();
    const options = { ...optionsFor(plane, service.server), instance: "users-1" };
    const old = await register({ ...options, onState: first.onState });
    const superseded = first.next("superseded");
    await using heir = await register(options);
    expect((await superseded).error).toBeInstanceOf(RegistrationRefused);
    expect(old.state).toBe("superseded");
    // Going away, it does not take its successor along.
    await old.close();
    expect(plane.leases.size).toBe(1);
    expect(plane.seen.filter(({ verb }) => verb === "deregister")).toHaveLength(0);
    expect(heir.state).toBe("registered");
  });

  test("a control plane that goes away and comes back without leases is found again within 2 s", async () => {
    const port = await freePort();
    await using service = await listen();
    const { onState, next } = observeStates();
    let plane = await startHttpControlPlane({ port });
    await using registration = await register({ ...optionsFor(plane, service.server), onState });
    const unreachable = next("unreachable");
    await plane[Symbol.asyncDispose]();
    expect((await unreachable).error).toBeInstanceOf(RegistrationUnavailable);
    const back = next("registered");
    plane = await startHttpControlPlane({ port });
    const since = performance.now();
    await back;
    expect(performance.now() - since).toBeLessThan(2_000);
    expect(plane.leases.size).toBe(1);
    await registration.close();
    await plane[Symbol.asyncDispose]();
  });

  test("a refusal in the middle of a life is told, and does not end the process", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const { onState, next } = observeStates();
    await using registration = await register({ ...optionsFor(plane, service.server), onState });
    const refused = next("refused");
    plane.interfere = ({ verb }) =>
      verb === "renew" ? problem(403, "forbidden", "Not allowed any more") : undefined;
    expect((await refused).error).toMatchObject({ code: "forbidden", status: 403 });
    expect(registration.state).toBe("refused");
  });

  test("an onState that throws hurts nobody", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const onState = () => {
      throw new Error("no");
    };
    await using registration = await register({ ...optionsFor(plane, service.server), onState });
    await plane.seenTimes("renew", 2);
    expect(registration.state).toBe("registered");
  });
});

describe("going away", () => {
  test("disposing deregisters, waits for the answer, and does so once", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const { changes, onState } = observeStates();
    const registration = await register({ ...optionsFor(plane, service.server), onState });
    await Promise.all([registration.close(), registration.close()]);
    await registration[Symbol.asyncDispose]();
    expect(plane.leases.size).toBe(0);
    expect(plane.seen.filter(({ verb }) => verb === "deregister")).toHaveLength(1);
    expect(changes.map(({ state }) => state)).toEqual(["registered", "draining", "deregistered"]);
  });

  test("a deregistration that finds nobody at first is tried again", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const registration = await register(optionsFor(plane, service.server));
    let refusedOnce = false;
    plane.interfere = ({ verb }) => {
      if (verb !== "deregister" || refusedOnce) return undefined;
      refusedOnce = true;
      return problem(503, "journal-unavailable", "The journal is away");
    };
    await registration.close();
    expect(plane.leases.size).toBe(0);
  });

  test("a registration still under way arrives before the deregistration, which would else be undone", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const registration = await register(optionsFor(plane, service.server));
    const again = Promise.withResolvers<void>();
    const held = Promise.withResolvers<undefined>();
    plane.interfere = ({ verb }) => {
      if (verb !== "register") return undefined;
      again.resolve();
      return held.promise;
    };
    plane.forget();
    await again.promise;
    const closing = registration.close();
    // Nothing tells that a deregistration is not sent; a third of a second is long on loopback.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(plane.seen.filter(({ verb }) => verb === "deregister")).toHaveLength(0);
    held.resolve(undefined);
    await closing;
    expect(plane.leases.size).toBe(0);
  });

  test("the signal deregisters", async () => {
    await using plane = await startHttpControlPlane();
    await using service = await listen();
    const controller = new AbortController();
    await register({ ...optionsFor(plane, service.server), signal: controller.signal });
    controller.abort();
    await plane.seenTimes("deregister", 1);
    expect(plane.leases.size).toBe(0);
  });
});
