import { silentLog } from "@tocsin/shared";
import { RevocationEntry, type Revocation } from "@tocsin/shared/contract";
import { createEmbeddedBus, openEmbeddedStore } from "@tocsin/shared/embedded";
import { RevocationSet } from "@tocsin/shared/revocations";
import { afterEach, beforeEach, expect, test } from "vitest";
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
  const leader = { leading: true };
  const append = async (entry: RevocationEntry) => {
    set.apply(entry, 0);
    return journal.append({ key: entry.kind, body: JSON.stringify(entry) });
  };
  stack.use(
    new Renewal({
      journal,
      state: {
        revocations: { set } as never,
        write: (_journal, { body }) => append(RevocationEntry.parse(JSON.parse(body))) as never,
      },
      leader,
      clock,
      log: silentLog,
    }),
  );
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
  /** Ids of the copies. */
  const copies = async () =>
    (await entries()).flatMap((entry) =>
      entry.kind === "batch" ? [entry.items.map(({ id }) => id).toSorted()] : [],
    );
  const listed = async () => {
    const page = await pageOf(journal, clock, { after: 0, limit: 100 }, (item: Revocation) =>
      set.liftedAt(item),
    );
    return page.revocations.map(({ id }) => id);
  };
  return { clock, append, base, copies, listed, leader, journal };
}

test("what outlives the journal is written again in time, again and again, and listed once", async () => {
  const { clock, append, base, copies, listed, journal } = await given();
  await append({ ...base("forever", 1e6 * day), kind: "client", clientId: "c" });
  await append({ ...base("long", 40 * day), kind: "address", cidr: "10.0.0.0/8" });
  await append({ ...base("short", 30 * day), kind: "client", clientId: "d" });
  await clock.pass(15 * day);
  expect(await copies()).toEqual([]);
  await clock.pass(day);
  expect(await copies()).toEqual([["forever", "long"]]);
  expect(await listed()).toEqual(["forever", "long", "short"]);
  await clock.pass(10 * day);
  expect(await copies()).toHaveLength(1);
  // The first ones are forgotten: the copies stand for them, and are written again when they are old themselves.
  await clock.pass(6 * day);
  expect(await listed()).toEqual(["forever", "long"]);
  expect(await copies()).toEqual([["forever", "long"], ["forever"]]);
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
  expect(await copies()).toEqual([["held"]]);
});
