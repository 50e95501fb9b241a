/** The SDK and the real control plane, over HTTP and over NATS: the same answers either way. */
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, expect, test } from "vitest";
import { startFollower } from "../../test/cli/follower.ts";
import { startRealControlPlane, type RealControlPlane } from "../../test/cli/real-control-plane.ts";
import { startNats } from "../../test/harness/nats-server.ts";
import { observeStates } from "../../test/sdk/observer.ts";
import { register, RegistrationRefused } from "./index.ts";
import type { RegisterOptions } from "./options.ts";

const quiet = { info() {}, warn() {}, error() {} };

interface InstanceView {
  readonly instance: string;
  readonly verdict: string;
  readonly state: string;
}

async function instances(plane: RealControlPlane): Promise<InstanceView[]> {
  const { TOCSIN_ADMIN_TOKEN: token } = plane.environment;
  const response = await fetch(`${plane.url}/v1/services/users`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return ((await response.json()) as { instances?: InstanceView[] }).instances ?? [];
}

async function startService() {
  const server = createServer((_, response) => response.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    server,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A control plane with one proxy, and the variables that lead a service to it. */
async function startPlane(over: "HTTP" | "NATS") {
  await using stack = new AsyncDisposableStack();
  const nats = over === "NATS" ? stack.use(await startNats()) : undefined;
  const plane = stack.use(
    await startRealControlPlane(nats === undefined ? {} : { natsUrl: nats.url }),
  );
  stack.use(await startFollower(plane.bus, "edge-1"));
  const owned = stack.move();
  const environment = nats === undefined ? plane.environment : { TOCSIN_NATS_URL: nats.url };
  return { plane, environment, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe.each(["HTTP", "NATS"] as const)("over %s", (over) => {
  test("a service is probed, found healthy, and gone when its registration is disposed", async () => {
    await using fleet = await startPlane(over);
    await using service = await startService();
    const options: RegisterOptions = {
      name: "users",
      server: service.server,
      instance: "users-1",
      drain: false,
      log: quiet,
      environment: fleet.environment,
    };
    const registration = await register(options);
    await expect
      .poll(() => instances(fleet.plane))
      .toMatchObject([{ instance: "users-1", verdict: "healthy", state: "active" }]);
    await registration.close();
    await expect.poll(() => instances(fleet.plane)).toEqual([]);
    expect(registration.state).toBe("deregistered");
  });

  test("a forbidden URL is refused with code and place", async () => {
    await using fleet = await startPlane(over);
    const error = await register({
      name: "users",
      url: "http://169.254.169.254:80",
      drain: false,
      log: quiet,
      environment: fleet.environment,
    }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RegistrationRefused);
    expect((error as RegistrationRefused).status).toBeGreaterThanOrEqual(400);
    expect((error as RegistrationRefused).status).toBeLessThan(500);
    expect(String(error)).toContain("169.254");
  });

  test("what is wrong in the registration is refused with its place", async () => {
    await using fleet = await startPlane(over);
    await using service = await startService();
    const error = await register({
      name: "users",
      server: service.server,
      weight: 5_000,
      health: { path: "health" },
      drain: false,
      log: quiet,
      environment: fleet.environment,
    }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RegistrationRefused);
    expect((error as RegistrationRefused).errors.map(({ pointer }) => pointer).toSorted()).toEqual([
      "/health/path",
      "/weight",
    ]);
  });

  test("a second process with the same instance name takes its place, and outlives the first one's going", async () => {
    await using fleet = await startPlane(over);
    await using service = await startService();
    const { onState, next } = observeStates();
    const options: RegisterOptions = {
      name: "users",
      server: service.server,
      instance: "users-1",
      drain: false,
      log: quiet,
      environment: fleet.environment,
    };
    const first = await register({ ...options, onState });
    const superseded = next("superseded");
    await using second = await register(options);
    await superseded;
    await first.close();
    expect(await instances(fleet.plane)).toMatchObject([{ instance: "users-1", state: "active" }]);
    expect(second.state).toBe("registered");
  });
});
