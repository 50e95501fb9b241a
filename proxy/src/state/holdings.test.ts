/** What proxies hold, asked for and given: over both buses, on NATS with the permissions of the shipped nats.conf. */
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLog, systemClock, type Log } from "@tocsin/shared";
import { subjects, type Bus, type Headers } from "@tocsin/shared/bus";
import { createEmbeddedBus } from "@tocsin/shared/embedded";
import { connectNats } from "@tocsin/shared/nats";
import {
  collectHoldings,
  RevocationSet,
  sendHolding,
  type CollectOptions,
} from "@tocsin/shared/revocations";
import { startNats, type NatsServer } from "@tocsin/test/harness";
import { Holdings, type Held } from "./holdings.ts";
import { KeyedEntries } from "./keyed-entries.ts";

interface Buses extends AsyncDisposable {
  controlPlane(): Promise<Bus>;
  proxy(): Promise<Bus>;
}

const config = fileURLToPath(new URL("../../../nats.conf", import.meta.url));
const passwords = Object.fromEntries(
  ["CONTROL_PLANE", "PROXY", "OPERATOR", "USERS", "CONTENT", "PAYMENTS"].map((name) => [
    `TOCSIN_NATS_${name}_PASSWORD`,
    `secret-of-${name}`,
  ]),
);

async function natsBuses(): Promise<Buses> {
  const server: NatsServer = await startNats({ config, environment: passwords });
  const stack = new AsyncDisposableStack();
  stack.use(server);
  const connect = async (user: string, password: string, role: "control-plane" | "proxy") =>
    stack.use(
      await connectNats({
        servers: [server.urlFor(user, `secret-of-${password}`)],
        node: user,
        role,
        clock: systemClock,
        log: silentLog,
        firstConnectTimeoutMs: 10_000,
      }),
    );
  return {
    controlPlane: () => connect("control-plane", "CONTROL_PLANE", "control-plane"),
    proxy: () => connect("proxy", "PROXY", "proxy"),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function embeddedBuses(): Promise<Buses> {
  const bus = createEmbeddedBus();
  return {
    controlPlane: async () => bus,
    proxy: async () => bus,
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
}

const later = Math.floor(Date.now() / 1_000) + 3_600;

describe.each([
  ["embedded", embeddedBuses],
  ["NATS", natsBuses],
] as const)("over the %s bus, what proxies hold", (_, start) => {
  let buses: Buses;
  let stack: AsyncDisposableStack;
  let asking: Bus;
  let answering: Bus;
  let lines: string[];
  let log: Log;

  beforeAll(async () => {
    buses = await start();
    asking = await buses.controlPlane();
    answering = await buses.proxy();
  });
  afterAll(() => buses[Symbol.asyncDispose]());
  beforeEach(() => {
    stack = new AsyncDisposableStack();
    lines = [];
    log = {
      ...silentLog,
      warn: (fields, message) => void lines.push(`${message}: ${JSON.stringify(fields)}`),
    };
  });
  afterEach(() => stack.disposeAsync());

  const collect = (options: Partial<CollectOptions> = {}) =>
    collectHoldings(asking, {
      journals: ["catalogue", "revocations"],
      waitMs: 1_000,
      clock: systemClock,
      log,
      ...options,
    });

  const nothing: Held = { epoch: undefined, applied: 0, dump: () => new Uint8Array() };

  async function proxy(node: string, held: Partial<Record<string, Held>>): Promise<void> {
    const options = { node, bus: answering, clock: systemClock, log };
    stack.use(new Holdings({ ...options, held: (journal) => held[journal] ?? nothing }));
    // The server takes subscriptions in the order in which they come.
    await answering.flush();
  }

  function revocations(first: number, count: number): { set: RevocationSet; held: Held } {
    const set = new RevocationSet(new Uint8Array(16).fill(7));
    for (let index = first; index < first + count; index += 1)
      set.addToken(set.fingerprint("shop", String(index)), later);
    return { set, held: { epoch: "e.1", applied: count, dump: () => set.dumpInSlices() } };
  }

  test("come from each of them, whole, journal by journal", async () => {
    // More than one piece.
    const { set, held } = revocations(0, 100_000);
    const entries = new KeyedEntries();
    entries.set("config", '{"v":1}', 17);
    await proxy("one", {
      revocations: held,
      catalogue: { epoch: "e.2", applied: 17, dump: () => entries.dump() },
    });
    await proxy("two", { revocations: revocations(5, 1).held });
    const holdings = await collect({ proxies: ["one", "two"] });
    expect(
      holdings
        .map(({ proxy: who, journal, epoch, applied }) => [who, journal, epoch, applied].join(" "))
        .toSorted(),
    ).toEqual(["one catalogue e.2 17", "one revocations e.1 100000", "two revocations e.1 1"]);
    const find = (who: string, journal: string) =>
      holdings.find((each) => each.proxy === who && each.journal === journal)!.bytes;
    expect(JSON.parse(Buffer.from(find("one", "catalogue")).toString())).toEqual([
      [17, "config", '{"v":1}'],
    ]);
    const restored = RevocationSet.restore(find("one", "revocations"));
    expect(restored.size).toBe(100_000);
    expect([...set.lacking(restored, 0)]).toEqual([]);
    expect(lines).toEqual([]);
  });

  test("come from those who are named, and from nobody else", async () => {
    let asked = 0;
    const { held } = revocations(0, 1);
    await proxy("one", { revocations: held });
    await proxy("two", {
      revocations: {
        ...held,
        dump: () => {
          asked += 1;
          return held.dump();
        },
      },
    });
    // All have said it, so nobody waits for the minute to pass.
    const holdings = await collect({ journals: ["revocations"], proxies: ["one"], waitMs: 60_000 });
    expect(holdings.map(({ proxy: who }) => who)).toEqual(["one"]);
    expect(await collect({ proxies: [] })).toEqual([]);
    expect(asked).toBe(0);
  });

  test("that are silent, or hold nothing, are not waited for without end", async () => {
    await proxy("one", { revocations: revocations(0, 1).held });
    const holdings = await collect({ proxies: ["one", "silent"], waitMs: 300 });
    expect(holdings.map(({ proxy: who, journal }) => [who, journal])).toEqual([
      ["one", "revocations"],
    ]);
  });

  test("come to each of two who ask at the same time, unmixed", async () => {
    await proxy("one", { revocations: revocations(0, 60_000).held });
    const proxies = ["one"];
    const both = await Promise.all([collect({ proxies }), collect({ proxies })]);
    for (const holdings of both) {
      expect(holdings).toHaveLength(1);
      expect(RevocationSet.restore(holdings[0]!.bytes).size).toBe(60_000);
    }
  });

  test("and send wrongly are left out, and the log says why; the others count", async () => {
    const bytes = Buffer.alloc(600_000, 1);
    const holding = { journal: "revocations", epoch: "e.1", applied: 1 } as const;
    /** A bus on which one message is changed on its way, or lost when `twist` says so. */
    const twisting = (twist: (payload: Uint8Array, index: number) => "lost" | undefined) => {
      let index = 0;
      return {
        flush: () => answering.flush(),
        publish(subject: string, payload: string | Uint8Array, headers?: Headers) {
          const copy = Buffer.from(payload);
          index += 1;
          if (twist(copy, index) !== "lost") answering.publish(subject, copy, headers);
        },
      };
    };
    const damaging = twisting((payload, index) => {
      if (index === 3) payload[5] = 2;
      return undefined;
    });
    const losing = twisting((_payload, index) => (index === 2 ? "lost" : undefined));
    const cutting = twisting((_payload, index) => (index === 3 ? "lost" : undefined));
    await using _listening = await answering.subscribe(
      subjects.everyProxy("collect"),
      (message) => {
        const { id } = JSON.parse(message.text()) as { id: string };
        for (const [who, bus] of [
          ["damaging", damaging],
          ["losing", losing],
          ["cutting", cutting],
          ["right", answering],
        ] as const)
          void sendHolding(bus, id, { ...holding, proxy: who, bytes });
        answering.publish(subjects.held("talking"), "not a head");
      },
    );
    const holdings = await collect({ journals: ["revocations"], waitMs: 500 });
    expect(holdings.map(({ proxy: who }) => who)).toEqual(["right"]);
    expect(Buffer.from(holdings[0]!.bytes).equals(bytes)).toBe(true);
    for (const [who, why] of [
      ["damaging", "checksum"],
      ["losing", "piece 1 came after 0 others"],
      ["cutting", "1 of 2 pieces"],
    ])
      expect(lines).toContainEqual(expect.stringMatching(new RegExp(`${who}.*${why}`)));
    expect(lines).toHaveLength(3);
  });

  test("and go away are not asked any more, and going twice is going once", async () => {
    const holding = revocations(0, 1).held;
    const options = { node: "one", bus: answering, clock: systemClock, log };
    const gone = new Holdings({ ...options, held: () => holding });
    await answering.flush();
    await gone[Symbol.asyncDispose]();
    await gone[Symbol.asyncDispose]();
    expect(await collect({ proxies: ["one"], waitMs: 200 })).toEqual([]);
  });
});
