/** How long answers are sent: in pieces, no faster than the bus takes them, and not twice at once to the same asker. */
import { describe, expect, test } from "vitest";
import type { Message } from "../bus/bus.ts";
import { SyncHead } from "../contract/messages.ts";
import type { Recorded } from "../journal/journal.ts";
import { chunkBytes } from "./chunks.ts";
import { answerSync, SnapshotSender } from "./sync-server.ts";

/** A question, and what came back. */
function question() {
  const answers: (string | Uint8Array)[] = [];
  const message: Message = {
    subject: "tocsin.v1.sync.revocations",
    text: () => "",
    bytes: () => new Uint8Array(),
    header: () => undefined,
    headers: () => undefined,
    respond: (payload) => void answers.push(payload),
  };
  return {
    message,
    answers,
    head: () => SyncHead.parse(JSON.parse(answers[0] as string)),
  };
}
/** A bus that takes nothing more until it is told to. */
function heldBus() {
  const waiting: PromiseWithResolvers<void>[] = [];
  return {
    flush() {
      const flushed = Promise.withResolvers<void>();
      waiting.push(flushed);
      return flushed.promise;
    },
    get waits() {
      return waiting.length;
    },
    take: () => waiting.shift()?.resolve(),
    lose: () => waiting.shift()?.reject(new Error("gone")),
  };
}
const settled = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const dump = (bytes: number) => ({
  mode: "snapshot" as const,
  epoch: "e1",
  to: 3,
  dump: new Uint8Array(bytes),
});

test("a short answer is sent at once", async () => {
  const asked = question();
  const entry: Recorded = { sequence: 3, key: "token", body: "{}", epoch: "e1" };
  expect(
    await answerSync(asked.message, { mode: "delta", epoch: "e1", to: 3, entries: [entry] }),
  ).toBe(true);
  expect(asked.head()).toMatchObject({ mode: "delta", epoch: "e1", to: 3, chunks: 1 });
  expect(Buffer.from(asked.answers[1] as Uint8Array).toString()).toBe('[3,"token","{}"]\n');
});

test("no more than two pieces are written before the bus has passed on the last ones", async () => {
  const asked = question();
  const bus = heldBus();
  const sending = answerSync(asked.message, dump(5 * chunkBytes + 1), { bus });
  for (const pieces of [2, 4, 6]) {
    await settled();
    expect(asked.answers).toHaveLength(1 + pieces);
    bus.take();
  }
  expect(await sending).toBe(true);
  expect(asked.head()).toMatchObject({ form: "dump", chunks: 6, bytes: 5 * chunkBytes + 1 });
});

test("a bus that goes away ends the answer, and is nobody's error", async () => {
  const asked = question();
  const bus = heldBus();
  const sending = answerSync(asked.message, dump(9 * chunkBytes), { bus });
  await settled();
  bus.lose();
  expect(await sending).toBe(false);
  expect(asked.answers).toHaveLength(3);
});

describe("snapshots", () => {
  test("are built once for one who asks again while the first is on its way, and again after that", async () => {
    const bus = heldBus();
    const sender = new SnapshotSender({ bus });
    let built = 0;
    const build = () => {
      built++;
      return dump(3 * chunkBytes);
    };
    const [first, again, other, later] = [question(), question(), question(), question()];
    const sending = sender.send(first.message, "revocations proxy-1", build);
    expect(await sender.send(again.message, "revocations proxy-1", build)).toBe(false);
    expect(again.head()).toMatchObject({ mode: "retry" });
    expect(built).toBe(1);
    const alsoSending = sender.send(other.message, "revocations proxy-2", build);
    expect(built).toBe(2);
    await settled();
    bus.take();
    bus.take();
    expect([await sending, await alsoSending]).toEqual([true, true]);
    const last = sender.send(later.message, "revocations proxy-1", build);
    expect(built).toBe(3);
    await settled();
    bus.take();
    expect(await last).toBe(true);
  });

  test("are sent to a few at a time; the others are asked for patience", async () => {
    const bus = heldBus();
    const sender = new SnapshotSender({ bus, atOnce: 2 });
    const asked = Array.from({ length: 3 }, question);
    const sent = asked.map(({ message }, index) =>
      sender.send(message, `health proxy-${index}`, () => dump(3 * chunkBytes)),
    );
    expect(asked[2]!.head()).toMatchObject({ mode: "retry" });
    await settled();
    bus.take();
    bus.take();
    expect(await Promise.all(sent)).toEqual([true, true, false]);
  });

  test("that cannot be built are declined, and the next one is tried", async () => {
    const sender = new SnapshotSender({ bus: heldBus() });
    const [first, second] = [question(), question()];
    await expect(
      sender.send(first.message, "health proxy-1", () => {
        throw new Error("out of memory");
      }),
    ).rejects.toThrow("out of memory");
    expect(first.head()).toMatchObject({ mode: "retry" });
    expect(await sender.send(second.message, "health proxy-1", () => dump(10))).toBe(true);
    expect(second.head()).toMatchObject({ mode: "snapshot", chunks: 1 });
  });
});
