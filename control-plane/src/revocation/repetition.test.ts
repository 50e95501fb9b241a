/** The same operation again: one effect, whatever happened in between, on both kinds of bus and through any node. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog, systemClock } from "@tocsin/shared";
import type { Bus } from "@tocsin/shared/bus";
import type { RevocationPage, RevocationView } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { JournalUnavailable, type Journals } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startFollower } from "../../../test/cli/follower.ts";
import { startNats, type NatsServer } from "../../../test/harness/nats-server.ts";
import { startRelay } from "../../../test/harness/relay.ts";
import { soon } from "../../../test/harness/soon.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

interface Store {
  readonly bus: Bus;
  readonly journals: Journals;
}

const common = { clock: systemClock, log: silentLog };
const day = 86_400_000;

async function embedded(clock = systemClock): Promise<Store> {
  const bus = stack.use(createEmbeddedBus());
  const { journals } = stack.use(await openEmbeddedStore(":memory:", { bus, clock }));
  return { bus, journals };
}

async function overNats(
  nats: NatsServer,
  name: string,
  { url = nats.url, deadlineMs = 15_000 } = {},
): Promise<Store> {
  const bus = stack.use(
    await connectNats({ ...common, servers: [url], node: name, role: "control-plane" }),
  );
  const { journals } = stack.use(await openNatsJournals({ ...common, bus, deadlineMs }));
  return { bus, journals };
}

const start = async (store: Store) => stack.use(await startTestNode({ store }));
const revoke = (node: TestNode, body: unknown, headers = {}, query = "?wait=0") =>
  node.call("POST", `/v1/revocations${query}`, body, headers);
async function listed(node: TestNode): Promise<RevocationView[]> {
  const answer = (await node.call("GET", "/v1/revocations?limit=10000")).json();
  return (answer as unknown as RevocationPage).revocations.filter(({ id }) => id !== "probe");
}

/** An entry beside those of the orders. */
const probe = {
  key: "token",
  body: '{"v":1,"id":"probe","kind":"token","issuer":"me","jti":"probe","expiresAt":1e11}',
};

const user = { kind: "user", subject: "bob" };
const many = (count: number, reason = "leaked") => ({
  operation: "many",
  reason,
  revocations: Array.from({ length: count }, (_, index) => ({
    kind: "token",
    issuer: "me",
    jti: `jti-${index}`,
  })),
});

/** The same order, three times, and what must be true of the answers. */
async function expectOneEffect(first: TestNode, again: TestNode, between: () => Promise<void>) {
  const one = await revoke(first, { ...user, operation: "op-1" });
  const all = await revoke(first, many(2_500));
  expect([one.status, all.status]).toEqual([202, 202]);
  await between();
  const oneAgain = await revoke(again, user, { "idempotency-key": '"op-1"' });
  const allAgain = await revoke(again, many(2_500));
  expect(oneAgain.json()).toMatchObject({
    sequence: one.json()["sequence"],
    operation: "op-1",
    repeated: true,
  });
  expect(allAgain.json()).toMatchObject({
    sequence: all.json()["sequence"],
    count: 2_500,
    repeated: true,
  });
  expect(one.json()["repeated"]).toBeUndefined();
  const list = await listed(again);
  expect(list).toHaveLength(2_501);
  for (const [body, name] of [
    [{ ...user, subject: "alice", operation: "op-1" }, "op-1"],
    [{ ...user, issuedBefore: 5, operation: "op-1" }, "op-1"],
    [{ kind: "token", issuer: "me", jti: "x", operation: "op-1" }, "op-1"],
    [many(2_500, "stolen"), "many"],
    [many(2_499), "many"],
  ] as const) {
    const other = await revoke(again, body);
    expect(other.json()).toMatchObject({ status: 409, code: "operation-used" });
    expect(other.text).toContain(name);
  }
  expect(await listed(again)).toEqual(list);
}

describe("repeating an order has one effect", () => {
  test("at once", async () => {
    const node = await start(await embedded());
    await expectOneEffect(node, node, async () => {});
  });

  test("through a node that started later", async () => {
    const store = await embedded();
    const first = await startTestNode({ store });
    const later = await start(store);
    await expectOneEffect(first, later, async () => {
      await first[Symbol.asyncDispose]();
    });
  });

  test("days later, when the journal remembers operations no more", async () => {
    const clock = createVirtualClock();
    clock.setWall(Date.now());
    const node = await start(await embedded(clock));
    await expectOneEffect(node, node, () => clock.pass(3 * day));
  });

  test("through another node of a cluster", async () => {
    const nats = stack.use(await startNats());
    const first = await start(await overNats(nats, "control-plane-1"));
    const second = await start(await overNats(nats, "control-plane-2"));
    await expectOneEffect(first, second, async () => {});
  });

  test("in a cluster, after the time for which NATS remembers operations", async () => {
    const nats = stack.use(await startNats());
    const store = await overNats(nats, "control-plane-1");
    const ask = async (verb: string, body = "") => {
      const subject = `$JS.API.STREAM.${verb}.TOCSIN_REVOCATIONS`;
      const answer = await store.bus.request(subject, body, { timeoutMs: 2_000 });
      return JSON.parse(answer.text()) as { config: object; error?: object };
    };
    const { config } = await ask("INFO");
    const shorter = { ...config, duplicate_window: 200 * 1_000_000 };
    expect((await ask("UPDATE", JSON.stringify(shorter))).error).toBeUndefined();
    const node = await start(store);
    await expectOneEffect(node, node, async () => {
      // Written after the orders: when this one is forgotten, they are.
      const append = () => store.journals.revocations.append(probe, { operation: "probe" });
      expect((await append()).duplicate).toBe(false);
      await soon(async () => expect((await append()).duplicate).toBe(false));
    });
  });
});

test("an order without an id of its own can be repeated with the one from its answer", async () => {
  const node = await start(await embedded());
  const first = (await revoke(node, user)).json();
  const again = (await revoke(node, { ...user, operation: first["operation"] })).json();
  expect(again).toMatchObject({ sequence: first["sequence"], repeated: true });
  const other = await revoke(node, { ...user, subject: "eve", operation: first["operation"] });
  expect(other.status).toBe(409);
});

test("two orders of one id at the same moment are one effect, or one of them is refused", async () => {
  const node = await start(await embedded());
  const alike = await Promise.all(
    Array.from({ length: 5 }, () => revoke(node, { ...user, operation: "alike" })),
  );
  expect(new Set(alike.map((answer) => answer.json()["sequence"])).size).toBe(1);
  const different = await Promise.all(
    ["a", "b", "c"].map((subject) => revoke(node, { ...user, subject, operation: "different" })),
  );
  expect(different.filter(({ status }) => status === 202)).toHaveLength(1);
  expect(different.filter(({ status }) => status === 409)).toHaveLength(2);
  expect(await listed(node)).toHaveLength(2);
});

test.each([
  [{ "idempotency-key": "two words" }, user],
  [{ "idempotency-key": "op-1" }, { ...user, operation: "op-2" }],
  [{ "idempotency-key": "" }, user],
])("an id that is not understood, or is two, is refused: %j", async (headers, body) => {
  const node = await start(await embedded());
  expect((await revoke(node, body, headers)).status).toBe(400);
  expect(await listed(node)).toEqual([]);
});

describe("when the journal fails", () => {
  /** A node whose journal fails as told, before or after it has recorded. */
  async function failing(fails: { before?: number; after?: number; recorded?: "no" }) {
    const { bus, journals } = await embedded();
    let appended = 0;
    const revocations = new Proxy(journals.revocations, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const call = (given: unknown[]) =>
          (value as (...all: unknown[]) => unknown).apply(target, given);
        if (name !== "append") return (...given: unknown[]) => call(given);
        return async (...given: unknown[]) => {
          const doing = ++appended;
          const { recorded } = fails;
          const options = recorded === undefined ? {} : { recorded };
          if (doing === fails.before) throw new JournalUnavailable("away", options);
          const result = await call(given);
          if (doing === fails.after) throw new JournalUnavailable("away", options);
          return result;
        };
      },
    });
    return start({ bus, journals: { ...journals, revocations } });
  }

  test("before anything was written, nothing is in force, and that is said with the id", async () => {
    const node = await failing({ before: 1, recorded: "no" });
    const failed = await revoke(node, user);
    expect(failed.json()).toMatchObject({ status: 503, code: "journal-unavailable" });
    const { operation, detail } = failed.json();
    expect(detail).toContain("nothing is in force");
    expect(detail).toContain(String(operation));
    expect(await listed(node)).toEqual([]);
    expect((await revoke(node, { ...user, operation })).status).toBe(202);
    expect(await listed(node)).toHaveLength(1);
  });

  test("after it may have been written, that is said, and repeating it is one effect", async () => {
    const node = await failing({ after: 1 });
    const failed = await revoke(node, { ...user, operation: "op-1" });
    expect(failed.json()).toMatchObject({ status: 503, operation: "op-1" });
    expect(failed.json()["detail"]).toContain("not known");
    const again = await revoke(node, { ...user, operation: "op-1" });
    expect(again.json()).toMatchObject({ sequence: 1, repeated: true });
    expect(await listed(node)).toHaveLength(1);
  });

  test.each(["before", "after"] as const)(
    "half-way through many, what is in force is said, and repeating the order completes it (%s)",
    async (moment) => {
      const node = await failing({ [moment]: 4 });
      const failed = await revoke(node, many(6_500));
      expect(failed.json()).toMatchObject({ status: 503, operation: "many" });
      expect(failed.json()["detail"]).toContain("3000 of 6500 are in force");
      const again = await revoke(node, many(6_500));
      expect(again.json()).toMatchObject({ count: 6_500, sequence: 7 });
      expect(again.json()["repeated"]).toBeUndefined();
      const list = await listed(node);
      expect(list).toHaveLength(6_500);
    },
  );
});

describe("while NATS", () => {
  const told = async (node: TestNode, operation: string) => {
    const answer = await revoke(node, { ...user, operation });
    expect(answer.json()).toMatchObject({ status: 503, code: "journal-unavailable", operation });
    return answer.json()["detail"];
  };

  test("is away, nothing can have been written, and that is said", async () => {
    const nats = stack.use(await startNats());
    const store = await overNats(nats, "control-plane-1", { deadlineMs: 1_000 });
    const node = await start(store);
    await nats.kill();
    await soon(() => expect(store.bus.state).toBe("disconnected"));
    expect(await told(node, "op-1")).toContain("nothing is in force");
  });

  test("takes what is sent and does not answer, it may have been written; repeated it is one", async () => {
    const nats = stack.use(await startNats());
    const relay = stack.use(await startRelay(nats.port));
    const url = `nats://127.0.0.1:${relay.port}`;
    const node = await start(await overNats(nats, "control-plane-1", { url, deadlineMs: 1_000 }));
    relay.hold("toClient");
    expect(await told(node, "op-1")).toContain("not known");
    relay.pass();
    await soon(async () => {
      const again = await revoke(node, { ...user, operation: "op-1" });
      expect(again.json()).toMatchObject({ sequence: 1, repeated: true });
    }, 10_000);
    expect(await listed(node)).toHaveLength(1);
  });

  test("has no room for all of it, what fits is in force, the rest is not, and that is said", async () => {
    const directory = await mkdtemp(join(tmpdir(), "tocsin-nats-"));
    stack.defer(() => rm(directory, { recursive: true }));
    const config = join(directory, "nats.conf");
    await writeFile(config, "jetstream { max_file_store: 1MB }\n");
    const nats = stack.use(await startNats({ config }));
    const node = await start(await overNats(nats, "control-plane-1", { deadlineMs: 1_000 }));
    const failed = (await revoke(node, many(10_000))).json();
    expect(failed).toMatchObject({ status: 503, code: "journal-unavailable", operation: "many" });
    const [, count] = /^(\d+) of 10000 are in force, the rest is not\./.exec(
      String(failed["detail"]),
    )!;
    expect(Number(count)).toBeGreaterThan(0);
    expect(await listed(node)).toHaveLength(Number(count));
  });
});

test("an acknowledgement that is lost on its way is healed by a heartbeat within the wait", async () => {
  const nats = stack.use(await startNats());
  const relay = stack.use(await startRelay(nats.port, { nats: true }));
  const node = await start(
    await overNats(nats, "control-plane-1", { url: `nats://127.0.0.1:${relay.port}` }),
  );
  const bus = stack.use(
    await connectNats({ ...common, servers: [nats.url], node: "edge-1", role: "proxy" }),
  );
  stack.use(await startFollower(bus, "edge-1"));
  const lost = relay.dropNext((message) => message.subject.startsWith("tocsin.v1.ack."));
  const answer = await revoke(node, user, {}, "?wait=10s");
  expect((await lost).subject).toContain(".edge-1");
  expect(answer.status).toBe(200);
  expect(answer.json()).toMatchObject({ applied: { expected: 1, count: 1, missing: [] } });
});
