import { describe, expect, test } from "vitest";
import type { ReplicaTable } from "@tocsin/shared/replica";
import { RevocationSet } from "@tocsin/shared/revocations";
import { ManualClock } from "../identity/testing/manual-clock.ts";
import { createCatalogueTable } from "./catalogue-table.ts";
import { forgettingTime } from "./expiry.ts";
import { createHealthTable } from "./health-table.ts";
import { createInstanceBoard } from "./instances.ts";
import { loadKeyed } from "./keyed-entries.ts";
import { createRevocationTable } from "./revocation-table.ts";
import { config, gone, instance, revokedToken, verdict } from "./testing/entries.ts";

let sequence = 0;
const recorded = (key: string, body: object | string) => ({
  key,
  body: typeof body === "string" ? body : JSON.stringify(body),
  sequence: (sequence += 1),
  epoch: "e",
});

function write<Change>(table: ReplicaTable<Change>, key: string, body: object | string): void {
  const entry = recorded(key, body);
  table.apply(table.decode(entry), entry.sequence);
}

function load<Change>(
  table: ReplicaTable<Change>,
  entries: readonly (readonly [string, object])[],
): void {
  table.load(
    entries.map(([key, body]) => {
      const entry = recorded(key, body);
      return { change: table.decode(entry), key, sequence: entry.sequence };
    }),
  );
}

/** Catalogue, health and the board over both, wired as in the proxy. */
function tables() {
  const clock = new ManualClock();
  const configs: number[] = [];
  const state = { frozen: false, refuse: false };
  const catalogue = createCatalogueTable({
    onConfig({ revision }) {
      if (state.refuse) throw new Error("this config cannot be served");
      configs.push(revision);
      board.touch();
    },
    onService: (service) => board.touch(service),
    onGone: (entry) => health.forget(entry.service, entry.instance, entry.boot),
  });
  const health = createHealthTable({ clock, onService: (service) => board.touch(service) });
  const board = createInstanceBoard({
    config: () => catalogue.config()?.config,
    registered: (service) => catalogue.registered(service),
    services: () => catalogue.services(),
    verdict: (service, name) => health.verdict(service, name),
    frozen: () => state.frozen,
  });
  const eligible = (service: string) =>
    board
      .current()
      .of(service)
      ?.filter((one) => one.eligible)
      .map((one) => one.instance);
  return { clock, configs, state, catalogue, health, board, eligible };
}

const users1 = ["instance.users.users-1", instance("users", "users-1")] as const;
const users2 = ["instance.users.users-2", instance("users", "users-2")] as const;

describe("the catalogue", () => {
  test("has the config that was written last", () => {
    const { catalogue, configs } = tables();
    expect(catalogue.config()).toBeUndefined();
    write(catalogue, "config", config(1));
    write(catalogue, "config", config(2, { version: 1, environment: "staging" }));
    expect(catalogue.config()).toMatchObject({ revision: 2, config: { environment: "staging" } });
    expect(configs).toEqual([1, 2]);
  });

  test.each<[string, string, object | string]>([
    ["that is not JSON", "config", "{"],
    ["whose document has an unknown key", "config", config(2, { version: 1, colour: "red" })],
    ["whose document is of another version", "config", config(2, { version: 2 })],
    ["with a field that this version does not know", "config", { ...config(2), onlyIf: "x" }],
    ["of an unknown kind", "config", { v: 1, kind: "policy" }],
    ["of another protocol", "config", { ...config(2), v: 2 }],
    ["that takes the config away", "config", gone],
    ["with a config in the place of an instance", "instance.users.users-1", config(2)],
    [
      "with an instance in the place of another",
      "instance.users.users-2",
      instance("users", "users-1"),
    ],
    ["with an instance in the place of the config", "config", instance("users", "users-1")],
  ])("refuses an entry %s", (_, key, body) => {
    const { catalogue } = tables();
    write(catalogue, "config", config(1));
    write(catalogue, ...users1);
    expect(() => write(catalogue, key, body)).toThrow();
    expect(catalogue.config()?.revision).toBe(1);
    expect(catalogue.registered("users")?.size).toBe(1);
  });

  test("keeps the config before when the new one cannot be put into force", () => {
    const { catalogue, state } = tables();
    write(catalogue, "config", config(1));
    state.refuse = true;
    expect(() => write(catalogue, "config", config(2))).toThrow("cannot be served");
    expect(catalogue.config()?.revision).toBe(1);
    // Nor does a restart begin with it.
    const again = tables().catalogue;
    loadKeyed(again, catalogue.dump(), "e");
    expect(again.config()?.revision).toBe(1);
  });

  test("is replaced by a snapshot at once; but a snapshot without a config leaves the one that was", () => {
    const { catalogue, configs, board } = tables();
    write(catalogue, "config", config(1));
    write(catalogue, ...users1);
    load(catalogue, [users2]);
    expect(catalogue.config()?.revision).toBe(1);
    expect(
      board
        .current()
        .of("users")
        ?.map((one) => one.instance),
    ).toEqual(["users-2"]);
    load(catalogue, [["config", config(3)]]);
    expect(catalogue.config()?.revision).toBe(3);
    expect(board.current().services()).toEqual([]);
    load(catalogue, [["config", config(3)]]);
    expect(configs).toEqual([1, 3]);
  });

  test("comes back from its dump, whole or not at all", () => {
    const { catalogue } = tables();
    write(catalogue, "config", config(7));
    write(catalogue, ...users1);
    write(catalogue, ...users2);
    write(catalogue, users2[0], gone);
    const again = tables();
    loadKeyed(again.catalogue, catalogue.dump(), "e");
    expect(again.catalogue.config()?.revision).toBe(7);
    expect([...again.catalogue.registered("users")!.keys()]).toEqual(["users-1"]);

    const spoiled = Buffer.from(catalogue.dump()).toString().replace("boot-1", "");
    const third = tables().catalogue;
    expect(() => loadKeyed(third, Buffer.from(spoiled), "e")).toThrow();
    expect(third.config()).toBeUndefined();
  });
});

describe("a removal by a leader", () => {
  const leader = (term: number) => ({
    v: 1,
    kind: "leader",
    node: "control-plane-1",
    boot: "b",
    term,
  });
  const key = "instance.users.users-1";
  const names = ({ catalogue }: ReturnType<typeof tables>) => [
    ...(catalogue.registered("users")?.keys() ?? []),
  ];

  test("has no effect when the journal has told of a later leader before it", () => {
    const made = tables();
    write(made.catalogue, ...users1);
    write(made.catalogue, "leader", leader(2));
    write(made.catalogue, key, { ...gone, term: 1 });
    expect(names(made)).toEqual(["users-1"]);
    write(made.catalogue, key, { ...gone, term: 2 });
    expect(names(made)).toEqual([]);
  });

  test("counts when the later leader came after it, and always when a service asked for it", () => {
    for (const removal of [{ ...gone, term: 1 }, gone]) {
      const made = tables();
      write(made.catalogue, "leader", leader(1));
      write(made.catalogue, ...users1);
      write(made.catalogue, key, removal);
      write(made.catalogue, "leader", leader(2));
      expect(names(made)).toEqual([]);
    }
  });

  test("is judged by the leader that a snapshot and the disk tell of", () => {
    const made = tables();
    load(made.catalogue, [["leader", leader(3)], users1]);
    write(made.catalogue, key, { ...gone, term: 2 });
    expect(names(made)).toEqual(["users-1"]);

    const again = tables();
    loadKeyed(again.catalogue, made.catalogue.dump(), "e");
    write(again.catalogue, key, { ...gone, term: 2 });
    expect(names(again)).toEqual(["users-1"]);
  });
});

describe("an instance", () => {
  test("gets requests when it is active and found healthy in this very life", () => {
    const { catalogue, health, eligible } = tables();
    write(catalogue, ...users1);
    expect(eligible("users")).toEqual([]);
    write(health, "users.users-1", verdict("users", "users-1"));
    expect(eligible("users")).toEqual(["users-1"]);
    write(catalogue, users1[0], instance("users", "users-1", { boot: "boot-2" }));
    expect(eligible("users")).toEqual([]);
    write(health, "users.users-1", verdict("users", "users-1", "healthy", "boot-2"));
    expect(eligible("users")).toEqual(["users-1"]);
    write(health, "users.users-1", verdict("users", "users-1", "unhealthy", "boot-2"));
    expect(eligible("users")).toEqual([]);
  });

  test("gets none for a verdict on an earlier life that comes late", () => {
    const { catalogue, health, eligible } = tables();
    write(catalogue, users1[0], instance("users", "users-1", { boot: "boot-2" }));
    write(health, "users.users-1", verdict("users", "users-1", "healthy", "boot-1"));
    expect(eligible("users")).toEqual([]);
  });

  test("that drains gets none, and is still known", () => {
    const { catalogue, health, eligible, board, state } = tables();
    write(catalogue, ...users1);
    write(health, "users.users-1", verdict("users", "users-1"));
    write(catalogue, users1[0], instance("users", "users-1", { state: "draining" }));
    expect(eligible("users")).toEqual([]);
    state.frozen = true;
    board.touch();
    expect(eligible("users")).toEqual([]);
    expect(board.current().of("users")).toHaveLength(1);
    write(catalogue, users1[0], gone);
    expect(board.current().of("users")).toBeUndefined();
  });

  test("whose verdict came first waits for its own entry, whatever else happens", () => {
    const { catalogue, health, eligible } = tables();
    write(health, "users.users-1", verdict("users", "users-1", "healthy", "boot-2"));
    write(catalogue, ...users2);
    write(catalogue, ...users1);
    write(catalogue, users1[0], gone);
    load(catalogue, [users2]);
    write(catalogue, users1[0], instance("users", "users-1", { boot: "boot-2" }));
    expect(eligible("users")).toEqual(["users-1"]);
  });

  test("of the config is probed like any other, by its URL", () => {
    const { catalogue, health, eligible, board } = tables();
    const document = {
      version: 1,
      services: { shop: { instances: [{ url: "http://127.0.0.1:9001", weight: 3 }] }, empty: null },
    };
    write(catalogue, "config", config(1, document));
    expect(board.current().of("empty")).toEqual([]);
    expect(board.current().of("other")).toBeUndefined();
    expect(board.current().of("shop")).toMatchObject([
      { instance: "127-0-0-1-9001", url: "http://127.0.0.1:9001", weight: 3, eligible: false },
    ]);
    write(
      health,
      "shop.127-0-0-1-9001",
      verdict("shop", "127-0-0-1-9001", "healthy", "http://127.0.0.1:9001"),
    );
    expect(eligible("shop")).toEqual(["127-0-0-1-9001"]);
    write(catalogue, "config", config(2));
    expect(board.current().services()).toEqual([]);
  });

  test("goes to the proxy with what it is connected by", () => {
    const { catalogue, board } = tables();
    write(
      catalogue,
      users1[0],
      instance("users", "users-1", {
        url: "https://users.internal:8443",
        address: "10.0.0.7",
        weight: 5,
      }),
    );
    expect(board.current().of("users")).toEqual([
      {
        key: "users.users-1.boot-1",
        service: "users",
        instance: "users-1",
        url: "https://users.internal:8443",
        address: "10.0.0.7",
        weight: 5,
        active: true,
        eligible: false,
      },
    ]);
  });
});

describe("the value of all instances", () => {
  test("is the same while nothing changes, and keeps the lists of services that have not", () => {
    const { catalogue, health, board } = tables();
    write(catalogue, ...users1);
    write(catalogue, "instance.shop.shop-1", instance("shop", "shop-1"));
    const before = board.current();
    const users = before.of("users");
    board.touch();
    write(catalogue, users1[0], instance("users", "users-1", { metadata: { a: "b" } }));
    expect(board.current()).toBe(before);
    write(health, "shop.shop-1", verdict("shop", "shop-1"));
    const after = board.current();
    expect(after).not.toBe(before);
    expect(after.of("users")).toBe(users);
    // The value before says what it said.
    expect(before.of("shop")?.[0]?.eligible).toBe(false);
    expect(after.of("shop")?.[0]?.eligible).toBe(true);
  });
});

describe("verdicts", () => {
  test("are kept when a snapshot does not have them: silence is not a verdict", () => {
    const { catalogue, health, eligible } = tables();
    load(catalogue, [users1, users2]);
    load(health, [
      ["users.users-1", verdict("users", "users-1")],
      ["users.users-2", verdict("users", "users-2")],
    ]);
    load(health, [["users.users-2", verdict("users", "users-2", "unhealthy")]]);
    expect(eligible("users")).toEqual(["users-1"]);
    load(health, []);
    expect(eligible("users")).toEqual(["users-1"]);
  });

  test("count as unknown when they are frozen, and what is unknown is tried", () => {
    const { catalogue, health, eligible, board, state } = tables();
    load(catalogue, [users1, users2]);
    write(health, "users.users-1", verdict("users", "users-1", "unhealthy"));
    state.frozen = true;
    board.touch();
    expect(eligible("users")).toEqual(["users-1", "users-2"]);
    state.frozen = false;
    board.touch();
    expect(eligible("users")).toEqual([]);
  });

  test("go with the life they were about", () => {
    const { catalogue, health } = tables();
    write(catalogue, ...users1);
    write(health, "users.users-1", verdict("users", "users-1"));
    write(catalogue, users1[0], gone);
    expect(health.verdict("users", "users-1")).toBeUndefined();
  });

  test("on instances that never came are dropped after a while", () => {
    const { health, clock } = tables();
    write(health, "users.users-1", verdict("users", "users-1"));
    write(health, "users.users-2", verdict("users", "users-2"));
    clock.advance(1_001);
    write(health, "users.users-3", verdict("users", "users-3"));
    health.prune((_, name) => name === "users-1", 1_000);
    expect(
      ["users-1", "users-2", "users-3"].map((name) => health.verdict("users", name) !== undefined),
    ).toEqual([true, false, true]);
  });

  test("under the name of another instance are refused", () => {
    const { health } = tables();
    expect(() => write(health, "users.users-2", verdict("users", "users-1"))).toThrow(
      "under the key",
    );
    expect(() =>
      write(health, "users.users-1", { ...verdict("users", "users-1"), verdict: "fine" }),
    ).toThrow();
  });
});

describe("revocations", () => {
  const start = () => {
    const revocations = new RevocationSet();
    const table = createRevocationTable({ revocations, forgetBefore: () => 1_000 });
    const has = (jti: string) =>
      revocations.has({
        issuer: "shop",
        subject: "s",
        issuedAt: 5_000,
        jti,
        fingerprint: revocations.fingerprint("shop", jti),
      });
    const hasUser = (subject: string, issuer: string) =>
      revocations.has({ issuer, subject, issuedAt: 500, jti: undefined, fingerprint: undefined });
    return { revocations, table, has, hasUser };
  };
  const user = {
    v: 1,
    id: "r",
    kind: "user",
    subject: "alice",
    issuedBefore: 500,
    expiresAt: 2_000,
  };

  test("add up: a snapshot takes nothing away", () => {
    const { table, has, hasUser } = start();
    write(table, "token", revokedToken("1", 2_000));
    write(table, "user", user);
    load(table, [["token", revokedToken("2", 2_000)]]);
    load(table, []);
    expect([
      has("1"),
      has("2"),
      has("3"),
      hasUser("alice", "shop"),
      hasUser("bob", "shop"),
    ]).toEqual([true, true, false, true, false]);
  });

  test("of one issuer do not concern another", () => {
    const { table, hasUser } = start();
    write(table, "user", { ...user, issuer: "shop" });
    expect([hasUser("alice", "shop"), hasUser("alice", "bank")]).toEqual([true, false]);
  });

  test("that have expired are not even taken in", () => {
    const { table, revocations } = start();
    write(table, "token", revokedToken("1", 999));
    load(table, [["user", { ...user, expiresAt: 999 }]]);
    expect(revocations.size).toBe(0);
  });

  test.each([
    { ...user, onlyFrom: "10.0.0.0/8" },
    { ...user, kind: "session", sid: "s" },
    { ...user, issuedBefore: "now" },
    { ...revokedToken("1", 2_000), jti: "" },
  ])("that are not understood are refused: %j", (entry) => {
    const { table } = start();
    expect(() => write(table, "token", entry)).toThrow();
  });
});

test("a wall clock that jumps ahead makes nobody forget", () => {
  const clock = new ManualClock(1_800_000_000_000);
  const forgetBefore = forgettingTime(clock);
  expect(forgetBefore()).toBe(1_800_000_000 - 3_600);
  clock.setWall(1_900_000_000_000);
  clock.advance(60_000);
  expect(forgetBefore()).toBe(1_800_000_060 - 3_600);
  clock.setWall(1_700_000_000_000);
  expect(forgetBefore()).toBeLessThanOrEqual(1_700_000_000);
});
