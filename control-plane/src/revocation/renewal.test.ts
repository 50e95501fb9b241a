import { silentLog, systemClock } from "@tocsin/shared";
import { RevocationEntry, type BatchRevocation, type Revocation } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { JournalConflict } from "@tocsin/shared/journal";
import { connectNats, openNatsJournals } from "@tocsin/shared/nats";
import { RevocationSet } from "@tocsin/shared/revocations";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startNats } from "../../../test/harness/nats-server.ts";
import { soon } from "../../../test/harness/soon.ts";
import { createVirtualClock } from "../../../test/harness/virtual-clock.ts";
import { pageOf } from "./listing.ts";
import { Renewal } from "./renewal.ts";

const day = 86_400_000;

let stack: AsyncDisposableStack;
beforeEach(() => void (stack = new AsyncDisposableStack()));
afterEach(() => stack.disposeAsync());

async function given() {
  const clock = createVirtualClock();
  const bus = stack.use(createEmbeddedBus());
  // It forgets what is too old, as it does every minute; here that would be tens of thousands of times.
  const storeClock = { ...clock, every: (_ms: number, run: () => void) => clock.every(day, run) };
  const store = stack.use(await openEmbeddedStore(":memory:", { bus, clock: storeClock }));
  const journal = store.journals.revocations;
  const set = new RevocationSet();
  const append = async (entry: RevocationEntry, key: string = entry.kind, options = {}) => {
    const appended = await journal.append({ key, body: JSON.stringify(entry) }, options);
    set.apply(entry, 0);
    return appended;
  };
  /** What is done in front of each copy that is written. */
  const before: { write: (copy: Revocation) => Promise<unknown> | undefined } = {
    write: () => undefined,
  };
  const renewals: Renewal[] = [];
  /** A control plane. */
  const node = (leading: boolean) => {
    const leader = { leading };
    const renewal = new Renewal({
      journal,
      state: {
        revocations: { set } as never,
        async write(_journal, { key, body }, options) {
          const entry = RevocationEntry.parse(JSON.parse(body));
          await before.write((entry as BatchRevocation).items[0]!);
          return append(entry, key, options);
        },
      },
      leader,
      clock,
      log: silentLog,
    });
    renewals.push(stack.use(renewal));
    return leader;
  };
  const leader = node(true);
  const at = clock.wall();
  const base = (id: string, forMs: number) => ({
    v: 1 as const,
    id,
    at,
    expiresAt: Math.ceil((at + forMs) / 1_000),
  });
  const entries = async () => {
    const found: RevocationEntry[] = [];
    for await (const { body } of journal.read(1, 10_000)) {
      const read = RevocationEntry.safeParse(JSON.parse(body));
      if (read.success) found.push(read.data);
    }
    return found;
  };
  /** Ids of the copies, each of which is an entry of its own. */
  const copies = async () =>
    (await entries()).flatMap((entry) =>
      entry.kind === "batch" ? [entry.items.map(({ id }) => id).join(" ")] : [],
    );
  const listed = async () => {
    const page = await pageOf(journal, clock, { after: 0, limit: 100 }, (item: Revocation) =>
      set.liftedAt(item),
    );
    return page.revocations.map(({ id }) => id);
  };
  return { clock, append, base, copies, listed, leader, node, before, renewals, journal };
}

test("what outlives the journal is written again in time, again and again, and listed once", async () => {
  const { clock, append, base, copies, listed, journal } = await given();
  await append({ ...base("forever", 1e6 * day), kind: "client", clientId: "c" });
  await append({ ...base("long", 40 * day), kind: "address", cidr: "10.0.0.0/8" });
  await append({ ...base("short", 30 * day), kind: "client", clientId: "d" });
  await clock.pass(15 * day);
  expect(await copies()).toEqual([]);
  await clock.pass(day);
  expect(await copies()).toEqual(["forever", "long"]);
  expect(await listed()).toEqual(["forever", "long", "short"]);
  await clock.pass(10 * day);
  expect(await copies()).toHaveLength(2);
  // The first ones are forgotten: the copies stand for them, and are written again when they are old themselves.
  await clock.pass(6 * day);
  expect(await listed()).toEqual(["forever", "long"]);
  expect(await copies()).toEqual(["forever", "long", "forever"]);
  await clock.pass(60 * day);
  expect(await listed()).toEqual(["forever"]);
  const [oldest] = await Array.fromAsync(journal.read(1, 1));
  expect(JSON.parse(oldest!.body)).toMatchObject({ items: [{ id: "forever", clientId: "c" }] });
});

test("what was lifted is not, nor by who does not lead", async () => {
  const { clock, append, base, copies, leader } = await given();
  await append({ ...base("lifted", 1e6 * day), kind: "client", clientId: "c" });
  await append({ ...base("held", 1e6 * day), kind: "client", clientId: "d" });
  await append({
    ...base("lifting", 1e6 * day),
    at: base("", 0).at + 1,
    kind: "lifting",
    lifts: "lifted",
    target: { kind: "client", clientId: "c" },
  });
  leader.leading = false;
  await clock.pass(16 * day);
  expect(await copies()).toEqual([]);
  leader.leading = true;
  await clock.pass(day);
  expect(await copies()).toEqual(["held"]);
});

test("a leader that is deposed in the middle, and its successor, write each once, whoever is slow", async () => {
  const { clock, append, base, copies, listed, leader, node, before } = await given();
  const ids = Array.from({ length: 20 }, (_, index) => `client-${index}`);
  for (const id of ids) await append({ ...base(id, 1e6 * day), kind: "client", clientId: id });
  const other = node(false);
  let written = 0;
  const { promise: paused, resolve: goOn } = Promise.withResolvers<void>();
  before.write = () => {
    written += 1;
    if (written === 8) {
      // It stands still with a write on its way, and does not know that another one leads.
      other.leading = true;
      return paused;
    }
    return undefined;
  };
  await clock.pass(16 * day);
  expect((await copies()).length).toBeGreaterThan(7);
  goOn();
  await clock.pass(day);
  leader.leading = false;
  await clock.pass(day);
  const all = new Set(ids);
  expect(await copies()).toHaveLength(ids.length);
  expect(new Set(await copies())).toEqual(all);
  // The first ones are forgotten: each is listed once all the same.
  await clock.pass(14 * day);
  expect(await listed()).toHaveLength(ids.length);
  expect(new Set(await listed())).toEqual(all);
});

test("what is lifted while others are written is not written", async () => {
  const { clock, append, base, copies, before } = await given();
  const first = base("first", 1e6 * day);
  await append({ ...first, kind: "client", clientId: "c" });
  await append({ ...base("second", 1e6 * day), kind: "client", clientId: "d" });
  before.write = ({ id }) =>
    id === "first"
      ? append({
          ...first,
          id: "lifting",
          at: clock.wall(),
          kind: "lifting",
          lifts: "second",
          target: { kind: "client", clientId: "d" },
        })
      : undefined;
  await clock.pass(16 * day);
  expect(await copies()).toEqual(["first"]);
});

test("a node that does not live until the next look has one soon after its start", async () => {
  const { clock, append, base, copies, leader, node, renewals } = await given();
  leader.leading = false;
  await append({ ...base("forever", 1e6 * day), kind: "client", clientId: "c" });
  await clock.pass(16 * day);
  for (const renewal of renewals) renewal[Symbol.dispose]();
  node(true);
  await clock.pass(600_000);
  expect(await copies()).toEqual(["forever"]);
});

test("a long journal is read without holding others up, and not to its end by who does not lead any more", async () => {
  const { clock, append, base, copies, leader, journal } = await given();
  await append({ ...base("forever", 1e6 * day), kind: "client", clientId: "c" });
  const soon = base("", day).expiresAt;
  for (let index = 0; index < 40; index += 1) {
    const items = Array.from({ length: 500 }, (_, of) => ({
      ...base(`token-${index}-${of}`, day),
      kind: "token" as const,
      issuer: "i",
      jti: `token-${index}-${of}`,
      expiresAt: soon,
    }));
    await journal.append({ key: "batch", body: JSON.stringify({ v: 1, kind: "batch", items }) });
  }
  const { head: before } = await journal.head();
  const turns = async (atMost: number) => {
    for (let turn = 1; turn <= atMost; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if ((await journal.head()).head > before) return turn;
    }
    return undefined;
  };
  leader.leading = false;
  await clock.pass(16 * day - 1);
  // Whoever is deposed while it reads writes nothing.
  leader.leading = true;
  await clock.pass(day / 4);
  leader.leading = false;
  expect(await turns(100)).toBeUndefined();
  leader.leading = true;
  await clock.pass(day / 4);
  // So many times others had their turn, after those that the clock has given.
  expect(await turns(100)).toBeGreaterThan(5);
  expect(await copies()).toContain("forever");
});

test("two nodes that both think they lead write each once on NATS, at the same time", async () => {
  const server = stack.use(await startNats());
  const clock = createVirtualClock();
  clock.setWall(Date.now());
  const count = 200;
  let conflicts = 0;
  let written = 0;
  let tries = 0;
  const node = async (name: string) => {
    const shared = { clock: systemClock, log: silentLog };
    const role = "control-plane" as const;
    const signal = AbortSignal.timeout(10_000);
    const bus = stack.use(
      await connectNats({ ...shared, servers: [server.url], node: name, role, signal }),
    );
    const opened = stack.use(await openNatsJournals({ ...shared, bus }));
    const journal = opened.journals.revocations;
    const set = new RevocationSet();
    return {
      journal,
      begin: () =>
        stack.use(
          new Renewal({
            journal,
            state: {
              revocations: { set } as never,
              async write(_journal, entry, options) {
                try {
                  const appended = await journal.append(entry, options);
                  written += 1;
                  return appended;
                } catch (error) {
                  if (error instanceof JournalConflict) conflicts += 1;
                  throw error;
                } finally {
                  tries += 1;
                }
              },
            },
            leader: { leading: true },
            clock,
            log: silentLog,
          }),
        ),
    };
  };
  const [one, other] = [await node("one"), await node("other")];
  const at = clock.wall() - 20 * day;
  for (let index = 0; index < count; index += 1) {
    const id = `client-${index}`;
    const entry = { v: 1, id, kind: "client", clientId: id, at, expiresAt: 1e11 };
    await one.journal.append({ key: "client", body: JSON.stringify(entry) });
  }
  one.begin();
  other.begin();
  await clock.pass(600_000);
  await soon(() => expect(tries).toBe(2 * count), 15_000);
  expect({ written, conflicts }).toEqual({ written: count, conflicts: count });
  expect((await one.journal.head()).head).toBe(2 * count);
}, 30_000);
