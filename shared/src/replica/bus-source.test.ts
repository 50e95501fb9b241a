/** Questions and answers over a real bus, both kinds: what travels in pieces arrives whole or not at all. */
import { startNats } from "@tocsin/test/harness";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Bus, Message } from "../bus/bus.ts";
import { createEmbeddedBus } from "../bus/embedded.ts";
import { connectNats } from "../bus/nats.ts";
import { subjects } from "../bus/subjects.ts";
import type { Recorded } from "../journal/journal.ts";
import { silentLog } from "../log.ts";
import { systemClock, systemRandom } from "../time.ts";
import { createBusSource } from "./bus-source.ts";
import { startReplica } from "./replica.ts";
import { answerSync, declineSync, readSyncRequest } from "./sync-server.ts";

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const epoch = "e1";
const question = { epoch: undefined, applied: 0, atLeast: 0 };
const never = new AbortController().signal;

function entries(count: number): Recorded[] {
  return Array.from({ length: count }, (_, index) => ({
    sequence: index + 1,
    key: "token",
    body: `{"jti":"${index}"}`,
    epoch,
    ...(index % 2 === 0 ? { operation: `operation-${index}` } : {}),
  }));
}

async function connectBoth(kind: string): Promise<{ asker: Bus; answerer: Bus }> {
  if (kind === "embedded") {
    const bus = stack.use(createEmbeddedBus());
    return { asker: bus, answerer: bus };
  }
  const nats = stack.use(await startNats());
  const connect = async (role: "proxy" | "control-plane") =>
    stack.use(
      await connectNats({
        servers: [nats.url],
        node: "node-1",
        role,
        clock: systemClock,
        log: silentLog,
      }),
    );
  return { asker: await connect("proxy"), answerer: await connect("control-plane") };
}

/** The message of a question whose answers pass through `change` on their way; undefined: lost. */
function meddled(
  message: Message,
  change: (payload: string | Uint8Array, index: number) => string | Uint8Array | undefined,
): Message {
  let index = 0;
  return {
    subject: message.subject,
    text: () => message.text(),
    bytes: () => message.bytes(),
    header: (name) => message.header(name),
    headers: () => message.headers(),
    respond(payload, headers) {
      const sent = change(payload, index++);
      if (sent !== undefined) message.respond(sent, headers);
    },
  };
}

describe.each(["embedded", "nats"])("over the %s bus", (kind) => {
  async function answering(answer: (message: Message, times: number, bus: Bus) => unknown) {
    const { asker, answerer } = await connectBoth(kind);
    let times = 0;
    stack.use(
      await answerer.subscribe(
        subjects.sync("revocations"),
        (message) => void answer(message, ++times, answerer),
      ),
    );
    return {
      asker,
      source: createBusSource({
        bus: asker,
        journal: "revocations",
        node: "proxy-1",
        answerTimeoutMs: 400,
      }),
    };
  }
  const all = entries(100_000);
  const whole = (message: Message) =>
    answerSync(message, { mode: "snapshot", epoch, to: all.length, entries: all });

  test("100,000 entries arrive as they were, in many pieces", async () => {
    let pieces = 0;
    const { source } = await answering((message) =>
      whole(
        meddled(message, (payload) => {
          pieces++;
          return payload;
        }),
      ),
    );
    const answer = await source.sync(question, never);
    expect(answer).toEqual({ mode: "snapshot", epoch, to: all.length, entries: all });
    expect(pieces).toBeGreaterThan(5);
  }, 20_000);

  test("a dump of 20 MB arrives as it was", async () => {
    const dump = new Uint8Array(20 * 1024 * 1024);
    for (let at = 0; at < dump.length; at += 997) dump[at] = at;
    const { source } = await answering((message, _times, bus) =>
      answerSync(message, { mode: "snapshot", epoch, to: 9, dump }, { bus }),
    );
    const answer = await source.sync(question, never);
    expect(answer).toMatchObject({ mode: "snapshot", epoch, to: 9 });
    expect("dump" in answer && Buffer.compare(answer.dump, dump)).toBe(0);
  }, 20_000);

  test("an entry longer than a slice, and one with line feeds and other scripts, arrive as they were", async () => {
    const odd = ["x".repeat(300_000), "line\nfeed\u2028é漢😀", ""].map((body, index) => ({
      sequence: index + 1,
      key: "token",
      body,
      epoch,
    }));
    const { source } = await answering((message) =>
      answerSync(message, { mode: "delta", epoch, to: 3, entries: odd }),
    );
    expect(await source.sync(question, never)).toMatchObject({ entries: odd });
  });

  test("an answer without entries is whole, too", async () => {
    const { source } = await answering((message) =>
      answerSync(message, { mode: "delta", epoch, to: 7, entries: [] }),
    );
    expect(await source.sync({ epoch, applied: 7, atLeast: 7 }, never)).toEqual({
      mode: "delta",
      epoch,
      to: 7,
      entries: [],
    });
  });

  test.each([
    ["a piece that is lost", (_: string | Uint8Array, index: number) => index === 2, undefined],
    [
      "the last piece that is lost",
      (piece: string | Uint8Array, index: number) => index > 0 && piece.length < 524_288,
      undefined,
    ],
    ["a piece that is damaged", (_: string | Uint8Array, index: number) => index === 2, "x"],
    [
      "a piece that is longer",
      (_: string | Uint8Array, index: number) => index === 2,
      "x".repeat(600_000),
    ],
    [
      "a piece that is another one as long",
      (piece: string | Uint8Array, index: number) => index > 1 && piece.length === 524_288,
      "x".repeat(524_288),
    ],
  ])(
    "%s makes the answer fail, and the replica asks again",
    async (_what, hit, instead) => {
      const { source } = await answering((message, times) =>
        whole(
          times > 2
            ? message
            : meddled(message, (piece, index) => (hit(piece, index) ? instead : piece)),
        ),
      );
      await expect(source.sync(question, never)).rejects.toThrow();

      const loaded: number[] = [];
      const replica = stack.use(
        startReplica<Recorded>({
          journal: "revocations",
          source,
          table: {
            decode: (entry) => entry,
            apply: () => {},
            load: (changes) => void loaded.push(changes.length),
          },
          clock: systemClock,
          random: systemRandom,
          log: silentLog,
        }),
      );
      await replica.synced;
      expect(loaded).toEqual([all.length]);
      expect(replica.status()).toMatchObject({ applied: all.length, epoch });
    },
    30_000,
  );

  test("nobody there is told at once", async () => {
    const { asker } = await connectBoth(kind);
    const source = createBusSource({ bus: asker, journal: "revocations", node: "proxy-1" });
    await expect(source.sync(question, never)).rejects.toMatchObject({ kind: "no-responders" });
  });

  test("one who knows less declines, and the question says what is known", async () => {
    const asked: unknown[] = [];
    const { source } = await answering((message) => {
      asked.push(readSyncRequest(message));
      declineSync(message, 50, "at 3");
    });
    expect(await source.sync({ epoch, applied: 4, atLeast: 9 }, never)).toEqual({
      mode: "retry",
      afterMs: 50,
      why: "at 3",
    });
    expect(asked).toMatchObject([{ node: "proxy-1", epoch, applied: 4, atLeast: 9 }]);
  });

  test("an answer that is no answer fails, and a question that is none is not understood", async () => {
    const understood: unknown[] = [];
    const { asker, source } = await answering((message) => {
      understood.push(readSyncRequest(message));
      message.respond("not an answer");
    });
    await expect(source.sync(question, never)).rejects.toThrow();
    await asker.request(subjects.sync("revocations"), "not a question", { timeoutMs: 2_000 });
    expect(understood[1]).toBeUndefined();
  });

  test("a beacon is heard with its term; one that is none is as if it had not been heard", async () => {
    const { asker, answerer } = await connectBoth(kind);
    const source = createBusSource({ bus: asker, journal: "health", node: "proxy-1" });
    const heads: unknown[] = [];
    stack.use(await source.beacons((head, term) => heads.push([head, term])));
    const head = { epoch, head: 3 };
    const journals = { catalogue: head, health: head, revocations: head };
    for (const beacon of [
      "rubbish",
      JSON.stringify({ v: 2, controlPlane: "cp", journals, proxies: 0 }),
      JSON.stringify({ v: 1, controlPlane: "cp", journals, proxies: 0 }),
      JSON.stringify({ v: 1, controlPlane: "cp", journals, proxies: 0, term: 4 }),
    ])
      answerer.publish(subjects.beacon, beacon);
    await vi.waitFor(() =>
      expect(heads).toEqual([
        [head, undefined],
        [head, 4],
      ]),
    );
  });
});
