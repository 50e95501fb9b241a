/** The store loses what it had: streams deleted, everything wiped, an older copy put back. And a store that is full. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { statusOf } from "../harness/convergence.ts";
import { temporaryDirectory } from "../harness/program.ts";
import { soon } from "../harness/soon.ts";
import { breakGlassConfig, connectBreakGlass, jetStream } from "./break-glass.ts";
import { convergesWithinMs, pause, startFleet, type Fleet, type Watch } from "./fleet.ts";

async function startBreakable(more?: { controlPlanes?: number }) {
  const directory = temporaryDirectory();
  const stack = new AsyncDisposableStack();
  stack.use(directory);
  const fleet = stack.use(
    await startFleet({ ...more, natsConfig: breakGlassConfig(directory.path) }),
  );
  return { ...fleet, directory: directory.path, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Some of each kind, acknowledged by all. */
async function someOrders({ writer }: Watch, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => writer.revoke(5_000)));
  expect(await writer.edit(5_000)).toMatchObject({ status: 200 });
}

const epochs = async ({ gateway }: Fleet) => {
  const { catalogue, revocations } = await statusOf(gateway, gateway.names.proxies[0]!);
  return [catalogue!.epoch, revocations!.epoch];
};

/** The history is another one, and said to be within two seconds: convergence is measured against that. */
async function expectNewEpochs(fleet: Fleet, before: readonly unknown[]): Promise<void> {
  const now = await epochs(fleet);
  for (const [index, epoch] of now.entries()) expect(epoch).not.toBe(before[index]);
}

/** What was acknowledged before has no more time than ever; a new order has to wait until the new history has begun. */
const orderWithinMs = convergesWithinMs;

describe.concurrent("a store that has lost what it had", () => {
  test("its streams are deleted by hand, in service", async () => {
    await using fleet = await startBreakable();
    await using watch = await fleet.watch();
    await someOrders(watch, 20);
    const before = await epochs(fleet);
    watch.writer.every(300, () => watch.writer.revoke());
    await pause(1_000);
    await using bus = await connectBreakGlass(fleet.gateway.nats!);
    for (const stream of ["TOCSIN_REVOCATIONS", "TOCSIN_CATALOGUE", "TOCSIN_HEALTH"])
      await jetStream(bus, `STREAM.DELETE.${stream}`);
    await watch.recovered({ fault: "streams deleted", orderWithinMs });
    await expectNewEpochs(fleet, before);
  }, 90_000);

  test("everything is wiped while it is down", async () => {
    await using fleet = await startBreakable();
    await using watch = await fleet.watch();
    await someOrders(watch, 20);
    const before = await epochs(fleet);
    watch.writer.every(500, () => watch.writer.revoke());
    await fleet.gateway.nats!.kill();
    await pause(1_000);
    await fleet.gateway.nats!.restart({ wipe: true });
    await watch.recovered({ fault: "wiped", orderWithinMs });
    await expectNewEpochs(fleet, before);
  }, 90_000);

  test("it is put back to a copy from before 30 orders, and 5 follow", async () => {
    await using fleet = await startBreakable();
    await using watch = await fleet.watch();
    await someOrders(watch, 5);
    const { nats } = fleet.gateway;
    const copy = join(fleet.directory, "copy");
    await nats!.copyStore(copy);
    await someOrders(watch, 30);
    const before = await epochs(fleet);
    await nats!.restart({ restore: copy });
    const since = performance.now();
    const five = Array.from({ length: 5 }, () => watch.writer.revoke(5_000));
    await watch.recovered({ fault: "restored from an older copy", since, orderWithinMs });
    for (const order of await Promise.all(five))
      expect(order).toMatchObject({ outcome: "acknowledged" });
    await expectNewEpochs(fleet, before);
  }, 90_000);

  test("it is wiped while the control plane is away too: the proxies know what was revoked, and give it to the next one", async () => {
    await using fleet = await startBreakable();
    await using watch = await fleet.watch();
    await Promise.all(Array.from({ length: 20 }, () => watch.writer.revoke(5_000)));
    const { gateway } = fleet;
    await gateway.controlPlane().end("SIGKILL");
    await gateway.nats!.restart({ wipe: true });
    await pause(1_000);
    await gateway.restartControlPlane("SIGKILL");
    const since = performance.now();
    await watch.recovered({ fault: "wiped with the control plane away", since, orderWithinMs });
    // And whoever comes now learns it from the control plane.
    const last = gateway.names.proxies.at(-1)!;
    await gateway.restart(last, { fresh: true });
    await soon(async () => {
      const { status } = await gateway.ask("/api/users/1", { token: fleet.good, proxy: 1 });
      expect(status).toBe(200);
    }, 15_000);
    expect(await watch.writer.findings()).toEqual({ lost: [], halfDone: [] });
  }, 90_000);
});

test("a full store takes no order, and says so; nothing is half written, and it works again when there is room", async () => {
  await using stack = new AsyncDisposableStack();
  const path = await mkdtemp(join(tmpdir(), "tocsin-full-"));
  stack.defer(() => rm(path, { recursive: true, force: true }));
  const config = breakGlassConfig(path);
  const limited = (await readFile(config, "utf8")).replace(
    "jetstream {",
    "jetstream {\n  max_file_store: 4MB\n",
  );
  await writeFile(config, limited);
  await using fleet = await startFleet({ natsConfig: config });
  await using watch = await fleet.watch();
  await someOrders(watch, 5);
  await using bus = await connectBreakGlass(fleet.gateway.nats!);
  await jetStream(bus, "STREAM.CREATE.FILLER", {
    name: "FILLER",
    subjects: ["filler"],
    storage: "file",
    retention: "limits",
    discard: "new",
    num_replicas: 1,
    max_age: 0,
    max_msgs: -1,
    max_bytes: -1,
  });
  for (const size of [500_000, 50_000, 5_000, 500, 50, 1])
    for (;;) {
      const answer = await bus.request("filler", "x".repeat(size), { timeoutMs: 5_000 });
      if (answer.text().includes('"error"')) break;
    }
  const orders = await Promise.all([
    watch.writer.revoke(0),
    watch.writer.revoke(0),
    watch.writer.edit(0),
  ]);
  for (const order of orders) {
    expect(order).toMatchObject({ outcome: "refused", status: 503 });
    expect(order.text).toMatch(/resource|storage|space|full/i);
  }
  const stale = watch.observer.report().stale;
  expect(stale).toEqual([]);
  await jetStream(bus, "STREAM.DELETE.FILLER");
  const recovered = await watch.recovered({ fault: "store full" });
  expect(recovered.refused).toBe(3);
}, 90_000);
